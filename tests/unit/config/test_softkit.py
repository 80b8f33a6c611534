"""The layout of `@softkit/jobs` is read as it is."""

from pathlib import Path

import pytest

from ledger.config.settings import Execution
from tests.unit.config.config_files import load, loaded, refused

SHOP = """
jobsConfig:
  prefix: shop
  jobs: [{name: export-orders}]
  systemJobs:
    - name: clean-carts
      repeat: {pattern: '*/10 * * * * *'}
      jobVersion: 2
      jobData: {olderThanDays: 30}
  redisConfig:
    config: [{connectionName: '${jobsConfig.prefix}-jobs', host: '${REDIS_HOST:-localhost}', port: '${REDIS_PORT:-6379}'}]
"""

WHOLE = """
logs: {defaultLevel: info, colorize: on}
db: {host: localhost, port: '${DB_PORT}', password: '${DB_PASSWORD}'}
jobsConfig:
  prefix: test
  applicationStartupLock: application-name
  blockingConnection: true
  defaultJobOptions:
    backoff: {type: fixed, delay: 10000}
    removeOnComplete: {age: 86400000, count: 10}
    removeOnFail: {age: 86400000, count: 10}
  redisLockConfig: {driftFactor: 0.02, retryCount: 10}
  jobs:
    - name: busy-job
      defaultJobOptions:
        backoff: {type: exponential, delay: 15000}
        keepLogs: 0
    - name: busy-not-scheduled-job
  systemJobs:
    systemJobLockTimeoutMillis: 15000
    jobs:
      - name: busy-progress-system-job
        repeat: {pattern: '*/1 * * * * *'}
        jobVersion: 1
        jobData:
          executeForMillis: 800
      - name: busy-system-job
        repeat: {every: 4000, limit: 10, immediately: true}
        jobVersion: 1
  redisConfig:
    readyLog: true
    commonConfig: {db: 3, password: '${REDIS_PASSWORD:-}'}
    config:
      - connectionName: test-app
        host: redis
        port: 6380
        enableOfflineQueue: true
        maxRetriesPerRequest:
"""


def system_job(repeat: str, more: str = "") -> str:
    return f"jobsConfig:\n  systemJobs:\n  - name: a\n    jobVersion: 1\n    repeat: {repeat}\n{more}"


def test_a_file_works_unchanged(tmp_path: Path) -> None:
    found = loaded(tmp_path, SHOP)
    settings = found.settings
    assert (settings.prefix, [job.name for job in settings.jobs]) == ("shop", ["export-orders"])
    assert settings.redis.url.get_secret_value() == "redis://localhost:6379/0"
    [job] = settings.system_jobs
    assert (job.name, job.cron, job.version, job.data) == ("clean-carts", ["*/10 * * * * *"], 2, {"olderThanDays": 30})
    assert job.spec.cron == ("*/10 * * * * *",)
    assert found.warnings == ()


def test_variables_say_where_redis_is(tmp_path: Path) -> None:
    settings = load(tmp_path, SHOP, REDIS_HOST="cache", REDIS_PORT="7000")
    assert settings.redis.url.get_secret_value() == "redis://cache:7000/0"
    assert load(tmp_path, SHOP, JOBLEDGER_REDIS__URL="redis://env:1").redis.url.get_secret_value() == "redis://env:1"
    assert load(tmp_path, SHOP, JOBLEDGER_PREFIX="other").prefix == "other"


def test_a_whole_file_of_theirs_is_understood(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    assert [job.name for job in settings.jobs] == ["busy-job", "busy-not-scheduled-job"]
    assert settings.jobs[0].options == Execution(backoff="exponential", backoff_first="15000ms")
    assert settings.jobs[1].options == Execution(backoff="fixed", backoff_first="10000ms")
    first, second = settings.system_jobs
    assert (first.cron, first.data) == (["*/1 * * * * *"], {"executeForMillis": 800})
    assert (second.every, second.limit, second.immediately, second.spec.every_ms) == ("4000ms", 10, True, 4000)
    assert settings.redis.url.get_secret_value() == "redis://redis:6380/3"
    assert load(tmp_path, WHOLE, REDIS_PASSWORD="a/b").redis.url.get_secret_value() == "redis://:a%2Fb@redis:6380/3"


def test_what_has_no_meaning_here_is_told(tmp_path: Path) -> None:
    warnings = [warning.replace(f"{tmp_path}/", "") for warning in loaded(tmp_path, WHOLE).warnings]
    assert (
        "jobledger.yaml:10: jobsConfig.defaultJobOptions.removeOnComplete: was left out: the log and the tables keep the whole history"
        in (warnings)
    )
    assert "jobledger.yaml:2: logs: is no part of the jobs' configuration and was not read" in warnings
    for word in ("applicationStartupLock", "redisLockConfig", "keepLogs", "systemJobLockTimeoutMillis", "readyLog", "db:"):
        assert any(word in warning for warning in warnings)


def test_profiles_are_merged_before(tmp_path: Path) -> None:
    profile = """
jobsConfig:
  systemJobs: [{name: clean-carts, jobVersion: 3, jobData: {olderThanDays: 7}}, {name: more, repeat: {every: 5000}, jobVersion: 1}]
  redisConfig: {config: {host: test, port: 1}}
"""
    settings = load(tmp_path, SHOP, {"test": profile})
    assert [(job.name, job.version, job.data) for job in settings.system_jobs] == [
        ("clean-carts", 3, {"olderThanDays": 7}),
        ("more", 1, None),
    ]
    assert settings.redis.url.get_secret_value() == "redis://test:1/0"


def test_their_own_file_names_work(tmp_path: Path) -> None:
    found = loaded(tmp_path, SHOP, {"test": "jobsConfig: {prefix: test}"}, file_name=".env.yaml")
    assert ([file.name for file in found.files], found.settings.prefix) == ([".env.yaml", ".env-test.yaml"], "test")


@pytest.mark.parametrize(
    ("repeat", "field", "meant"),
    [
        ("{every: 90000}", "every_ms", 90_000),
        ("{every: '${EVERY:-90000}'}", "every_ms", 90_000),
        ("{every: 90s}", "every_ms", 90_000),
        ("{pattern: '0 3 * * *', tz: Europe/Berlin}", "timezone", "Europe/Berlin"),
        ("{every: 5000, limit: 7}", "limit", 7),
        ("{every: 5000, startDate: 2026-01-01}", "start", "2026-01-01"),
        ("{every: 5000, startDate: '2026-01-01T00:00:00Z', endDate: 1893456000000}", "end", "2030-01-01T00:00:00Z"),
        ("{every: 5000, offset: 1000}", "offset_ms", 1000),
    ],
)
def test_how_often_a_job_repeats(tmp_path: Path, repeat: str, field: str, meant: object) -> None:
    assert getattr(load(tmp_path, system_job(repeat)).system_jobs[0].spec, field) == meant


def test_our_own_keys_may_stand_beside_theirs(tmp_path: Path) -> None:
    more = """
    pauseOnFailure: 3
    overlap: buffer_one
    dst: last
    catchup: {window: 60000, coalesce: all}
    options: {timeout: 60000, startDeadline: 5m, attempts: 1}
  queues: {mail: {partitions: 2}}
  limits: {shutdownGrace: 30}
  kafka: {bootstrap: 'k:1', minInsyncReplicas: 2, replication: 3}
app: jobs:jobs
"""
    settings = load(tmp_path, system_job("{pattern: '0 3 * * *', jitter: 2000}", more))
    [job] = settings.system_jobs
    assert (job.spec.pause_on_failure, job.spec.overlap, job.spec.dst, job.spec.jitter_ms) == (3, "buffer_one", "last", 2000)
    assert (job.spec.catchup_window_ms, job.spec.coalesce) == (60_000, "all")
    assert job.options == Execution(timeout="60000ms", start_deadline="5m", attempts=1)
    assert (settings.queues["mail"].partitions, settings.limits.shutdown_grace, settings.kafka.min_insync_replicas) == (2, 30, 2)
    assert settings.app == "jobs:jobs"


@pytest.mark.parametrize("written", ["5000", "'${PAUSE:-5000}'", "{type: fixed, delay: 5000}"])
def test_a_plain_number_of_backoff_is_a_fixed_pause(tmp_path: Path, written: str) -> None:
    [job] = load(tmp_path, system_job("{every: 60000}", f"    defaultJobOptions: {{backoff: {written}}}")).system_jobs
    assert job.options == Execution(backoff="fixed", backoff_first="5000ms")


def test_the_kind_of_backoff_may_stand_alone_as_ours_does(tmp_path: Path) -> None:
    text = system_job("{every: 60000}", "    options: {backoff: exponential, backoffFirst: 5000}")
    assert load(tmp_path, text).system_jobs[0].options == Execution(backoff="exponential", backoff_first="5000ms")


def test_how_long_rows_are_kept_is_a_duration(tmp_path: Path) -> None:
    keep = load(tmp_path, "jobsConfig:\n  keep: {completed: 86400000, timedOut: 1d, failed: '${DAY:-86400000}'}").keep
    assert (keep.completed, keep.timed_out, keep.failed) == ("86400000ms", "1d", "86400000ms")


DEFAULTS = "  defaults: {timezone: Europe/Berlin}\n"
OPTIONS = "  defaultJobOptions: {attempts: 5}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"jobsConfig:\n{DEFAULTS}{OPTIONS}",
        f"jobsConfig:\n{OPTIONS}{DEFAULTS}",
        f"defaults: {{timezone: Europe/Berlin}}\njobsConfig:\n{OPTIONS}",
        f"jobsConfig:\n{OPTIONS}defaults: {{timezone: Europe/Berlin, options: }}",
    ],
)
def test_their_default_options_stand_beside_our_defaults(tmp_path: Path, text: str) -> None:
    defaults = load(tmp_path, text).defaults
    assert (defaults.timezone, defaults.options) == ("Europe/Berlin", Execution(attempts=5))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("jobsConfig:\n  defaults: {options: {attempts: 1}}\n" + OPTIONS, "jobledger.yaml:2"),
        ("jobsConfig:\n" + OPTIONS + "  defaults: {options: {attempts: 1}}\n", "jobledger.yaml:3"),
        ("defaults:\n  options: {attempts: 1}\njobsConfig:\n" + OPTIONS, "jobledger.yaml:2"),
    ],
)
def test_default_options_are_said_once(tmp_path: Path, text: str, where: str) -> None:
    said = refused(tmp_path, text)
    assert f": jobsConfig.defaultJobOptions: says `defaults.options` a second time, first at {where}: keep one" in said


def test_defaults_are_said_once(tmp_path: Path) -> None:
    said = refused(tmp_path, "jobsConfig:\n" + DEFAULTS + "defaults: {dst: last}\n")
    assert said == "jobledger.yaml:2: jobsConfig.defaults: says `defaults` a second time, first at jobledger.yaml:3: keep one"


def redis(connection: str, more: str = "") -> str:
    return f"jobsConfig:\n  redisConfig:\n    config:\n    - {connection}\n{more}"


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ("{host: h, port: 6380, db: 3}", "redis://h:6380/3"),
        ("{host: h, tls: {}}", "rediss://h:6379/0"),
        ("{host: h, tls: '${TLS:-true}'}", "rediss://h:6379/0"),
        ("{host: h, tls: '${TLS:-}'}", "redis://h:6379/0"),
        ("{host: h, tls: {rejectUnauthorized: true}}", "rediss://h:6379/0"),
        ("{host: h, password: 0}", "redis://:0@h:6379/0"),
        ("{host: h, tls: false}", "redis://h:6379/0"),
        ("{host: h, username: u}", "redis://u@h:6379/0"),
        ("{host: h, username: u, password: 'p@:/'}", "redis://u:p%40%3A%2F@h:6379/0"),
        ("{host: '::1'}", "redis://[::1]:6379/0"),
        ("{path: /tmp/s, password: p, db: 2}", "unix://:p@/tmp/s?db=2"),
        ("{url: 'rediss://h', tls: true, password: '${P:-}', db: 0}", "rediss://h"),
        ("{namespace: jobs, connectionName: jobs}", "redis://localhost:6379/0"),
    ],
)
def test_what_a_connection_comes_to(tmp_path: Path, connection: str, url: str) -> None:
    found = loaded(tmp_path, redis(connection))
    assert (found.settings.redis.url.get_secret_value(), found.warnings) == (url, ())


def test_what_of_a_connection_has_no_meaning_here_is_told(tmp_path: Path) -> None:
    found = loaded(tmp_path, redis("{host: h, keyPrefix: x, commandTimeout: 5}", "    commonConfig: {keepAlive: 0}"))
    assert found.settings.redis.url.get_secret_value() == "redis://h:6379/0"
    said = [warning.replace(f"{tmp_path}/", "") for warning in found.warnings]
    assert said == [
        "jobledger.yaml:5: jobsConfig.redisConfig.commonConfig.keepAlive: was left out: what a connection does by itself (time limits, "
        "queues, retries) is jobledger's own affair",
        "jobledger.yaml:4: jobsConfig.redisConfig.config[0].keyPrefix: was left out: all keys begin with `prefix`",
        "jobledger.yaml:4: jobsConfig.redisConfig.config[0].commandTimeout: was left out: what a connection does by itself (time limits, "
        "queues, retries) is jobledger's own affair",
    ]


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ("{hosst: h}", ["config[0].hosst: there is no such key; did you mean `host`?"]),
        ("{maxRetriesPerRequests: 1}", ["did you mean `maxRetriesPerRequest`?"]),
        ("{xyz: h}", ["there is no such key; there are host, port, username, password, db, tls, path, url"]),
        ("{sentinels: [{host: a}], name: m}", ["config[0].sentinels: is not supported", "one server, by `host` and `port` or by `url`"]),
        ("{nodes: []}", ["config[0].nodes: is not supported"]),
        ("{host: h, tls: {ca: x}}", ["config[0].tls.ca: is not supported", "url: 'rediss://h:6379/0?ssl_ca_certs=FILE'"]),
        ("{host: h, tls: {rejectUnauthorized: false}}", ["tls.rejectUnauthorized: is not supported", "?ssl_cert_reqs=none"]),
        ("{host: h, tls: 5}", ["config[0].tls: has to be true, false or {}, not 5"]),
        ("{url: 'redis://h', db: 3}", ["config[0].db: stands in `url` itself"]),
        ("{url: 'redis://h', tls: {}}", ["config[0].tls: stands in `url` itself", "rediss://"]),
        ("{path: /s, host: h}", ["config[0].host: a connection is by `path` or by `host`"]),
        ("{path: /s, tls: {}}", ["config[0].tls: a connection is by `path` or by `host`"]),
        ("{host: h, db: x}", ["config[0].db: has to be the number of a database, for example 0, not 'x'"]),
        ("{host: 'h/3?x=1'}", ["config[0].host: has to be a host and no more, for example 'localhost'"]),
        ("{host: [h]}", ["config[0].host: has to be a host"]),
        ("{port: true}", ["config[0].port: has to be a port"]),
        ("{host: h}\n    confg: {}", ["redisConfig.confg: there is no such key; did you mean `config`?"]),
        ("{host: h}\n    commonConfig: {user: x}", ["redisConfig.commonConfig.user: there is no such key; did you mean `username`?"]),
        ("{host: h}\n    commonConfig: {db: x}", ["jobledger.yaml:5: jobsConfig.redisConfig.commonConfig.db: has to be the number"]),
    ],
)
def test_a_connection_that_cannot_be(tmp_path: Path, connection: str, words: list[str]) -> None:
    said = refused(tmp_path, redis(connection))
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (system_job("{pattern: '0 0 0 * * *', every: 5000}"), ["jobsConfig.systemJobs[0]", "exactly one of cron, every and at"]),
        (system_job("{pattern: 'x'}"), ["jobledger.yaml:5: jobsConfig.systemJobs[0].repeat.pattern", "has 1 field"]),
        (system_job("{every: 500}"), ["jobledger.yaml:5: jobsConfig.systemJobs[0].repeat.every", "'500ms' is shorter than one second"]),
        (system_job("{every: -5}"), ["repeat.every", "'-5ms' is negative"]),
        (system_job("{every: 5000, limit: 0}"), ["repeat.limit", "at least 1"]),
        (system_job("{every: 5000, tz: Mars/X}"), ["repeat.tz", "Mars/X"]),
        (system_job("{every: 5000, patern: x}"), ["repeat.patern: there is no such key; did you mean `pattern`?"]),
        (system_job("{every: 5000, immediately: perhaps}"), ["repeat.immediately", "has to be true or false, not 'perhaps'"]),
        (system_job("[]"), ["systemJobs[0].repeat: has to be a section"]),
        (system_job("{every: 5000}", "    options: {timeout: 0}"), ["systemJobs[0].options.timeout", "'0ms' is zero"]),
        (system_job("{every: 5000}", "    timezone: UTC\n    jobVersion: 2"), ["a second time"]),
        (system_job("{every: 5000, tz: UTC}", "    timezone: UTC"), ["says `timezone` a second time", "repeat.tz"]),
        ("jobsConfig: {jobs: {name: a}}", ["jobsConfig.jobs: has to be a list of jobs"]),
        ("jobsConfig: {systemJobs: {job: []}}", ["jobsConfig.systemJobs.job: there is no such key"]),
        ("jobsConfig: {prefx: a}", ["jobsConfig.prefx: there is no such key; did you mean `prefix`?"]),
        ("jobsConfig: {prefix: a}\nprefix: b", ["jobledger.yaml:1: jobsConfig.prefix: says `prefix` a second time, first at", "yaml:2"]),
        ("jobsConfig: {prefix: a}\nkafak: {}", ["kafak: there is no such key; did you mean `kafka`?"]),
        ("jobsConfig: {defaultJobOptions: {backoff: {kind: fixed}}}", ["backoff.kind: there is no such key; there are type, delay"]),
        ("jobsConfig: {defaultJobOptions: {backoff: true}}", ["defaultJobOptions.backoff: True is not one of 'exponential' or 'fixed'"]),
        (
            "jobsConfig: {defaultJobOptions: {backoff: 5, backoffFirst: 6}}",
            ["defaultJobOptions.backoffFirst: says `backoff_first` a second"],
        ),
        ("jobsConfig: {defaultJobOptions: {backoff: -5}}", ["defaultJobOptions.backoff: duration '-5ms' is negative"]),
        ("jobsConfig: {keep: {complete: 5}}", ["jobsConfig.keep.complete: there is no such key; did you mean `completed`?"]),
        ("jobsConfig: {redisConfig: {config: [{port: many}]}}", ["redisConfig.config[0].port: has to be a port"]),
        ("jobsConfig: {systemJobs: [{name: a, jobData: '${A_TOKEN}'}]}", ["jobsConfig.systemJobs[0].jobData", "looks like a secret"]),
        ("jobsConfig: 5", ["jobsConfig: has to be a section"]),
        ("systemJobs: []", ["did you mean `system_jobs`?"]),
    ],
)
def test_a_mistake_is_told_with_the_key_as_it_is_written(tmp_path: Path, text: str, words: list[str]) -> None:
    said = refused(tmp_path, text)
    for word in words:
        assert word in said

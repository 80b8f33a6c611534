"""Each value with where it came from, and no secrets."""

from pathlib import Path

import pytest

from ledger.config.showing import document_of, values_with_origin
from tests.unit.config.config_files import loaded, refused
from tests.unit.config.test_softkit import SHOP

TEXT = """
prefix: '${NAME:-shop}'
redis: {url: 'redis://:hunter2@r:1/0?password=hunter2'}
database: {url: 'postgresql://me:hunter2@db/x'}
defaults: {timezone: Europe/Berlin, options: {attempts: 2}}
jobs: [{name: send}]
system_jobs:
  - {name: clean, cron: '0 3 * * *', data: {api_token: hunter2, days: [1, 2], none: ~}, options: {timeout: 1m}}
"""


def shown(folder: Path, text: str, profiles: dict[str, str] | None = None, /, **env: str) -> dict[str, tuple[object, str]]:
    rows = values_with_origin(loaded(folder, text, profiles, **env))
    return {row.key: (row.value, row.origin.replace(f"{folder}/", "")) for row in rows}


def test_where_each_value_came_from(tmp_path: Path) -> None:
    rows = shown(tmp_path, TEXT, {"eu": "\npartitions: 8"}, JOBLEDGER_KAFKA__REPLICATION="3")
    assert rows["prefix"] == ("shop", "jobledger.yaml:2")
    assert rows["partitions"] == (8, "jobledger-eu.yaml:2")
    assert rows["kafka.replication"] == (3, "environment variable JOBLEDGER_KAFKA__REPLICATION")
    assert rows["kafka.min_insync_replicas"] == (1, "default")
    assert rows["system_jobs[0].cron[0]"] == ("0 3 * * *", "jobledger.yaml:8 (system_jobs[0].cron)")
    assert rows["system_jobs[0].data.days[1]"] == (2, "jobledger.yaml:8")
    assert rows["system_jobs[0].options.timeout"] == ("1m", "jobledger.yaml:8")
    assert rows["system_jobs[0].options.attempts"] == (2, "jobledger.yaml:5 (defaults.options.attempts)")
    assert rows["system_jobs[0].timezone"] == ("Europe/Berlin", "jobledger.yaml:5 (defaults.timezone)")
    assert "system_jobs[0].every" not in rows


def test_the_other_layout_shows_its_own_keys(tmp_path: Path) -> None:
    rows = shown(tmp_path, SHOP)
    assert rows["system_jobs[0].version"] == (2, "jobledger.yaml:8 (jobsConfig.systemJobs[0].jobVersion)")
    assert rows["system_jobs[0].cron[0]"] == ("*/10 * * * * *", "jobledger.yaml:7 (jobsConfig.systemJobs[0].repeat.pattern)")
    assert rows["redis.url"] == ("redis://localhost:6379/0", "jobledger.yaml:11 (jobsConfig.redisConfig.config[0])")


def test_secrets_are_masked(tmp_path: Path) -> None:
    found = loaded(tmp_path, TEXT + "kafka: {bootstrap: '${K_SECRET}:1'}", K_SECRET="hunter2")
    rows = {row.key: row.value for row in values_with_origin(found)}
    assert "hunter2" not in str(rows)
    document = document_of(found)
    assert "hunter2" not in str(document)
    assert document["prefix"] == found.settings.prefix
    assert rows["redis.url"] == "redis://***@r:1/0?password=***"
    assert rows["database.url"] == "postgresql://***@db/x"
    assert rows["system_jobs[0].data.api_token"] == "***"
    assert rows["kafka.bootstrap"] == "***"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://h/d?user=u&password=hunter2&sslmode=require", "postgresql://h/d?user=u&password=***&sslmode=require"),
        ("postgresql://h/d?sslpassword=hunter2", "postgresql://h/d?sslpassword=***"),
        ("postgresql://h/d?pass%77ord=hunter2", "postgresql://h/d?pass%77ord=***"),
        ("postgresql://u:hunter2@h/d?sslmode=require", "postgresql://***@h/d?sslmode=require"),
        ("postgresql://u:p@hunter2@h/d", "postgresql://***@h/d"),
        ("postgresql://u:correct hunter2@h/d", "postgresql://***@h/d"),
        ("postgresql://u:12/hunter2@h/d", "postgresql://***@h/d"),
        ("postgresql://u:12/hun@hunter2@h/d?user=a@b", "postgresql://***@h/d?user=a@b"),
        ("postgresql://u:correct?hunter2@h/d", "postgresql://***@h/d"),
        ("postgresql://h/d?user=a@b", "postgresql://h/d?user=a@b"),
        ("host=h password=correct hunter2 dbname=d", "host=h password=*** dbname=d"),
        ("host=h password=hunter2 dbname=d", "host=h password=*** dbname=d"),
        ("password = 'hunter2 \\' hunter2' host=h", "password = *** host=h"),
        ("postgresql://h/d?sslmode=require", "postgresql://h/d?sslmode=require"),
    ],
)
def test_of_an_address_all_but_its_secrets_is_shown(tmp_path: Path, url: str, told: str) -> None:
    rows = values_with_origin(loaded(tmp_path, "", JOBLEDGER_DATABASE__URL=url, JOBLEDGER_REDIS__LOCK_URLS="redis://h?password=hunter2"))
    assert {row.key: row.value for row in rows}["database.url"] == told
    assert "hunter2" not in str(rows)


@pytest.mark.parametrize("text", ["prefix: '%s'", "jobs: [{name: a, exclusive: '%s'}]"])
@pytest.mark.parametrize("url", ["redis://:hunter2@h", "redis://h?password=hunter2"])
def test_nor_is_one_told_that_stands_in_the_wrong_place(tmp_path: Path, text: str, url: str) -> None:
    assert "hunter2" not in refused(tmp_path, text % url)

"""What a job says in the settings, and the schedule it means."""

from pathlib import Path

import pytest

from ledger.client.content import content_hash
from ledger.config import Settings
from ledger.config.jobs import SystemJob
from ledger.core.bodies import NOTHING
from ledger.core.options import Options
from ledger.core.schedule_spec import ScheduleSpec
from ledger.submitting.submission import options_of
from tests.unit.config.config_files import load

EVERYTHING = """
system_jobs:
  - name: report
    job: make-report
    version: auto
    cron: ['0 30 2 * * *', '0 0 14 * * MON']
    timezone: Europe/Berlin
    dst: cronos
    start: 2026-01-01
    end: '2030-12-31T12:00:00'
    exclude: [2026-12-25, '* 0-5 * * *']
    limit: 100
    jitter: 30s
    overlap: buffer_one
    catchup: {window: 2h, coalesce: earliest}
    pause_on_failure: 3
    immediately: true
    exclusive: none
    data: {format: pdf}
    options: {timeout: 10m, start_deadline: 1h, attempts: 5, backoff: fixed, backoff_first: 1s, backoff_max: 1m, busy: skip, priority: 2}
"""


def written(**said: object) -> SystemJob:
    return SystemJob.model_validate({"name": "a", **said})


def hash_of(job: SystemJob) -> str:
    return content_hash(NOTHING, options_of(job.options), job.spec)


def test_everything_that_a_schedule_can_say(tmp_path: Path) -> None:
    [job] = load(tmp_path, EVERYTHING).system_jobs
    assert job.spec == ScheduleSpec(
        cron=("0 30 2 * * *", "0 0 14 * * MON"),
        timezone="Europe/Berlin",
        dst="cronos",
        start="2026-01-01",
        end="2030-12-31T12:00:00",
        exclude=("2026-12-25", "* 0-5 * * *"),
        overlap="buffer_one",
        catchup_window_ms=7_200_000,
        coalesce="earliest",
        limit=100,
        jitter_ms=30_000,
        pause_on_failure=3,
    )
    assert options_of(job.options) == Options(600_000, 3_600_000, 5, "fixed", 1000, 60_000, "skip", 2)
    assert (job.version, job.immediately, job.exclusive, job.job) == ("auto", True, "none", "make-report")


def test_one_instant_may_be_past_in_a_file_that_has_done_its_work() -> None:
    assert written(at="2020-01-01T00:00:00", jitter="1m").spec.at == "2020-01-01T00:00:00"


def test_an_interval_with_an_offset() -> None:
    spec = written(every="1h", offset="5m").spec
    assert (spec.every_ms, spec.offset_ms) == (3_600_000, 300_000)


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ({"every": "90s"}, {"every": "PT90S"}),
        ({"every": "90s"}, {"every": "1m30s", "overlap": "skip", "catchup": {"window": "1h"}, "timezone": "utc".upper(), "jitter": "0s"}),
        ({"cron": "0  2 * * mon"}, {"cron": ["0 2 * * MON"], "dst": "vixie"}),
        ({"every": "5s"}, {"every": "5s", "version": 7, "immediately": True}),
        ({"every": "5s", "exclude": "2026-12-25"}, {"every": "5s", "exclude": ["2026-12-25"]}),
    ],
)
def test_two_ways_to_say_the_same_are_one_content(said: dict[str, object], same: dict[str, object]) -> None:
    assert hash_of(written(**said)) == hash_of(written(**same))


def test_each_policy_is_part_of_the_content() -> None:
    policies: list[dict[str, object]] = [
        {},
        {"overlap": "allow_all"},
        {"catchup": {"window": "2h"}},
        {"catchup": {"coalesce": "all"}},
        {"limit": 5},
        {"jitter": "1s"},
        {"pause_on_failure": 2},
        {"start": "2026-01-01"},
        {"exclude": ["2026-12-25"]},
        {"options": {"busy": "skip"}},
    ]
    assert len({hash_of(written(every="5s", **one)) for one in policies}) == len(policies)


def test_defaults_hold_where_a_job_says_nothing(tmp_path: Path) -> None:
    text = """
    defaults:
      timezone: Europe/Berlin
      dst: last
      overlap: buffer_all
      catchup: {window: 2h}
      pause_on_failure: 4
      options: {timeout: 1m, attempts: 7}
    jobs: [{name: send, options: {attempts: 2}}]
    system_jobs:
      - {name: a, cron: '0 3 * * *'}
      - {name: b, every: 5s, timezone: UTC, overlap: skip, catchup: {coalesce: all}, options: {timeout: 2m}}
    """
    settings = load(tmp_path, text)
    first, second = settings.system_jobs
    assert (first.spec.timezone, first.spec.dst, first.spec.overlap, first.spec.pause_on_failure) == (
        "Europe/Berlin",
        "last",
        "buffer_all",
        4,
    )
    assert (second.spec.timezone, second.spec.dst, second.spec.overlap) == ("UTC", "vixie", "skip")
    assert (second.spec.catchup_window_ms, second.spec.coalesce) == (7_200_000, "all")
    assert (second.options.timeout, second.options.attempts) == ("2m", 7)
    assert (settings.jobs[0].options.timeout, settings.jobs[0].options.attempts) == ("1m", 2)


def test_settings_that_were_dumped_are_the_same_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, "defaults: {options: {attempts: 7}}" + EVERYTHING)
    assert Settings.model_validate(settings.model_dump(by_alias=True)) == settings


def test_empty_sections_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    text = "kafka:\njobs:\nsystem_jobs:\ndefaults:\nqueues: {default: , mail: }\n"
    assert load(tmp_path, text) == Settings.model_validate({"queues": {"default": {}, "mail": {}}})


def test_concurrency_is_by_handler_and_the_least_counts(tmp_path: Path) -> None:
    text = """
    jobs: [{name: send, concurrency: 4}, {name: other}]
    system_jobs: [{name: a, job: send, every: 5s, concurrency: 2}, {name: b, every: 5s, concurrency: 1}]
    """
    assert load(tmp_path, text).concurrency == {"send": 2, "b": 1}

"""Several files that are one: what a profile adds, replaces and leaves alone."""

import logging
from pathlib import Path

import pytest

from ledger.config.loading import load_settings
from tests.unit.config.config_files import load, loaded, refused

BASE = """
prefix: shop
kafka: {bootstrap: 'a:1', replication: 3}
queues: {default: {}, mail: {partitions: 2}}
jobs: [{name: export}, {name: send, options: {attempts: 2, timeout: 1m}}]
system_jobs: [{name: clean, every: 5s, exclude: ['2026-12-25', '2026-12-26'], data: {days: 30, kinds: [a, b]}}]
"""


def test_mappings_are_merged_at_every_depth(tmp_path: Path) -> None:
    settings = load(tmp_path, BASE, {"eu": "kafka: {bootstrap: 'eu:1'}\nqueues: {mail: {partitions: 8}}"})
    assert (settings.kafka.bootstrap, settings.kafka.replication) == ("eu:1", 3)
    assert {name: queue.partitions for name, queue in settings.queues.items()} == {"default": 4, "mail": 8}


def test_jobs_are_merged_by_name_and_others_follow(tmp_path: Path) -> None:
    profile = "jobs: [{name: other}, {name: send, options: {timeout: 2m}}]\nsystem_jobs: [{name: clean, data: {days: 7}}]"
    settings = load(tmp_path, BASE, {"eu": profile})
    assert [job.name for job in settings.jobs] == ["export", "send", "other"]
    assert (settings.jobs[1].options.attempts, settings.jobs[1].options.timeout) == (2, "2m")
    assert settings.system_jobs[0].every == "5s"
    assert settings.system_jobs[0].data == {"days": 7, "kinds": ["a", "b"]}


def test_other_lists_are_replaced(tmp_path: Path) -> None:
    profile = "system_jobs: [{name: clean, exclude: ['2027-01-01'], data: {kinds: [c]}}]"
    [job] = load(tmp_path, BASE, {"eu": profile}).system_jobs
    assert (job.exclude, job.data) == (["2027-01-01"], {"days": 30, "kinds": ["c"]})


def test_later_profiles_go_before_earlier_ones(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, {"a": "prefix: first", "b": "prefix: second"}).prefix == "second"
    assert load(tmp_path, BASE, JOBLEDGER_PROFILES="b, a").prefix == "first"
    assert load(tmp_path, BASE, JOBLEDGER_PROFILES=" ,").prefix == "shop"


def test_an_empty_value_takes_away_what_was_said_and_an_empty_section_says_nothing(tmp_path: Path) -> None:
    profile = "kafka:\nsystem_jobs: [{name: clean, every: ~, cron: '0 0 * * * *'}]"
    settings = load(tmp_path, BASE, {"eu": profile})
    assert settings.kafka.replication == 3
    assert (settings.system_jobs[0].every, settings.system_jobs[0].cron) == (None, ["0 0 * * * *"])


def test_the_environment_goes_before_every_profile(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, {"eu": "prefix: eu"}, JOBLEDGER_PREFIX="env").prefix == "env"


def test_references_see_what_the_files_say_together(tmp_path: Path) -> None:
    text = "prefix: base\nkafka: {bootstrap: '${prefix}:1'}"
    assert load(tmp_path, text, {"eu": "prefix: eu"}).kafka.bootstrap == "eu:1"
    assert load(tmp_path, text, JOBLEDGER_PREFIX="env").kafka.bootstrap == "env:1"


def test_a_profile_without_a_file_is_a_warning(tmp_path: Path) -> None:
    found = loaded(tmp_path, BASE, {"a": "prefix: a"}, JOBLEDGER_PROFILES="a,nowhere")
    assert found.settings.prefix == "a"
    assert [warning.replace(f"{tmp_path}/", "") for warning in found.warnings] == [
        "profile 'nowhere': there is no file jobledger-nowhere.yaml"
    ]
    assert [file.name for file in found.files] == ["jobledger.yaml", "jobledger-a.yaml"]


def test_a_warning_is_logged_where_nobody_takes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "jobledger.yaml").write_text(BASE)
    taken: list[str] = []
    load_settings(tmp_path / "jobledger.yaml", {"JOBLEDGER_PROFILES": "x"}, taken.append)
    with caplog.at_level(logging.WARNING):
        load_settings(tmp_path / "jobledger.yaml", {"JOBLEDGER_PROFILES": "x"})
    assert taken == [record.getMessage() for record in caplog.records]
    assert "profile 'x'" in taken[0]


def test_a_profile_is_no_path(tmp_path: Path) -> None:
    assert "'../x' is no name of a profile" in refused(tmp_path, BASE, JOBLEDGER_PROFILES="../x")


def test_a_mistake_names_the_file_that_says_it(tmp_path: Path) -> None:
    profile = "\nkafka: {replication: many}\njobs:\n- {name: new}\n- {name: send, options: {timeout: soon}}"
    said = refused(tmp_path, BASE, {"eu": profile}).splitlines()
    assert said[0].startswith("jobledger-eu.yaml:2: kafka.replication: has to be a whole number")
    assert said[1].startswith("jobledger-eu.yaml:5: jobs[1].options.timeout: duration 'soon' is not a duration")
    assert refused(tmp_path, BASE + "\npartitions: no-number", {"eu": "prefix: x"}).startswith("jobledger.yaml:8: partitions")


def test_a_job_named_twice_in_one_file_is_not_merged(tmp_path: Path) -> None:
    assert "two jobs are called 'new'" in refused(tmp_path, BASE, {"eu": "jobs: [{name: new}, {name: new}]"})
    assert "two jobs are called 'send'" in refused(tmp_path, BASE, {"eu": "jobs: [{name: send}, {name: send}]"})

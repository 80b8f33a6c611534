"""`jobledger ledger export` of a log that a real broker holds."""

import json
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.core.archive import Checker
from ledger.kafka.opening import LogIdentity
from tests.services.conftest import run
from tests.services.log.command import jobledger
from tests.services.log.test_verify import Logs, at_work
from tests.services.log.writing import append
from tests.unit.log.chains import rewritten


@pytest.fixture
def original(settings: Settings, opened: LogIdentity) -> Logs:
    return run(at_work(settings))


def test_the_file_holds_every_accepted_commit_and_takes_its_name_when_it_is_whole(
    settings: Settings, original: Logs, tmp_path: Path
) -> None:
    run(append(settings, "events", 1, [rewritten(original["events", 1][3], at=9000)]))  # a void
    done = jobledger(settings, tmp_path, "ledger", "export", str(tmp_path / "backup.jsonl"))
    assert done.returncode == 0, done.stderr
    checker, found = Checker(), dict[tuple[str, int], list[bytes]]()
    for line in (tmp_path / "backup.jsonl").read_bytes().splitlines(keepends=True):
        taken = checker.take(line)
        if isinstance(taken, tuple):
            found.setdefault(taken[0], []).append(taken[1])
    assert checker.whole()[0].partitions == settings.partitions
    assert found == original
    assert not (tmp_path / "backup.jsonl.part").exists()


def test_a_broken_chain_gives_no_file(settings: Settings, original: Logs, tmp_path: Path) -> None:
    run(append(settings, "events", 2, [b'{"order":4711}']))
    failed = jobledger(settings, tmp_path, "ledger", "export", str(tmp_path / "backup.jsonl"))
    assert failed.returncode == 4
    assert "is broken at offset" in failed.stderr
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("backup")] == []


def test_cloudevents_are_one_a_line(settings: Settings, original: Logs, tmp_path: Path) -> None:
    done = jobledger(settings, tmp_path, "ledger", "export", "--format", "cloudevents")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) == sum(map(len, original.values()))  # each commit holds one
    assert len({(one["source"], one["id"]) for one in events}) == len(events)
    assert {one["specversion"] for one in events} == {"1.0"}

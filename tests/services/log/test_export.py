"""`jobledger ledger export` of a log that a real broker holds."""

import asyncio
import json
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.core import chain, wire
from ledger.core.archive import Checker, Place
from ledger.kafka import export as exporting
from ledger.kafka.connect import new_producer
from ledger.kafka.opening import LogIdentity
from tests.services.conftest import run
from tests.services.log.command import jobledger
from tests.services.log.test_verify import Logs, at_work
from tests.services.log.writing import append
from tests.unit.log.chains import commit, rewritten


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
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("backup")] == ["backup.jsonl"]


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


async def test_one_made_at_work_holds_nothing_without_what_came_before(settings: Settings, original: Logs, opened: LogIdentity) -> None:
    order: list[tuple[Place, int]] = []
    working = asyncio.create_task(work(settings, original, order))
    ends = dict[Place, int]()
    async for place, commits in exporting.commits(settings, opened):
        ends[place] = max([ends.get(place, 0), *(one.header.seq for one in commits)])
    working.cancel()
    await asyncio.wait([working])
    held = [seq <= ends[place] for place, seq in order]
    assert len(order) > sum(held) > 0
    assert held == sorted(held, reverse=True)


async def work(settings: Settings, logs: Logs, order: list[tuple[Place, int]]) -> None:
    """One commit after the other, each once the former stands, in the order in which ends are looked at: for ever."""
    producer = new_producer(settings.kafka.bootstrap)
    await producer.start()
    try:
        while True:
            for (log, number), records in reversed(logs.items()):
                seq = len(records) + 1
                records.append(wire.encode(commit(seq, chain.digest(records[-1]), log=log, partition=number)))
                await producer.send_and_wait(settings.topic(log), records[-1], partition=number)
                order.append(((log, number), seq))
    finally:
        await producer.stop()

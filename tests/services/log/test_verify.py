"""`jobledger ledger verify` on damaged copies of a log that a real broker holds: each damage is named with partition and offset."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from ledger.config import Settings
from ledger.core import chain, wire
from ledger.kafka.connect import admin_client
from ledger.kafka.opening import LogIdentity
from ledger.kafka.topics import apply
from ledger.kafka.verify import Finding, verify
from tests.services.conftest import Fresh, apply_and_open
from tests.services.log.command import jobledger
from tests.services.log.test_opening import make_anew
from tests.services.log.writing import append_all, read_all
from tests.unit.log.chains import chain_of, commit, rewritten

Damage = Callable[[list[bytes]], list[bytes]]
Logs = dict[tuple[str, int], list[bytes]]
LENGTH = 8
FIELDS = [b'{"v":', b'"log":"', b'"partition":', b'"seq":', b'"prev":"', b'"at":', b'"position":[', b'"registry":[', b'"events":[{"']
INSIDE = [b'"type":"execution.', b'"execution_id":"', b'"attempt":', b'"run_ms":', b'"result":{"', b'"n":']


def flip(field: bytes) -> Damage:
    """One bit of the first byte behind `field`, in the fifth commit."""

    def damage(good: list[bytes]) -> list[bytes]:
        place = good[4].index(field) + len(field)
        return [*good[:4], good[4][:place] + bytes([good[4][place] ^ 1]) + good[4][place + 1 :], *good[5:]]

    return damage


def foreign(length: int, partition: int) -> bytes:
    return chain_of(length, partition=partition, log_id="f" * 32)[-1]


# What is done to a partition, and the offset that verify has to name.
DAMAGES: dict[str, tuple[Damage, int | None]] = {
    "nothing": (lambda good: good, None),
    "twice there, and so void": (lambda good: [*good[:5], good[4], *good[5:], good[0]], None),
    **{f"a bit behind {field.decode()}": (flip(field), 4) for field in FIELDS + INSIDE},
    "dropped": (lambda good: [*good[:4], *good[5:]], 4),
    "the first one dropped": (lambda good: good[1:], 0),
    "swapped": (lambda good: [*good[:4], good[5], good[4], *good[6:]], 4),
    "cut short": (lambda good: [*good[:4], good[4][:-30], *good[5:]], 4),
    "the last one cut short": (lambda good: [*good[:-1], good[-1][:-30]], LENGTH - 1),
    "emptied": (lambda good: [*good[:4], b"", *good[5:]], 4),
    "its events taken out": (lambda good: [*good[:4], rewritten(good[4], events=()), *good[5:]], 4),
    "a foreign commit put between": (lambda good: [*good[:4], foreign(5, _partition(good)), *good[4:]], 4),
    "a foreign commit in its place": (lambda good: [*good[:4], foreign(5, _partition(good)), *good[5:]], 4),
    "another partition's commit": (lambda good: [*good[:4], foreign(5, 99), *good[4:]], 4),
    "another program's record": (lambda good: [*good[:4], b'{"order":4711}', *good[4:]], 4),
    "another log's partition": (lambda good: chain_of(LENGTH, partition=_partition(good), log_id="f" * 32), 0),
    "all of it gone": (lambda good: [], 0),
}


def _partition(records: list[bytes]) -> int:
    return wire.decode_header(records[0]).partition


async def at_work(settings: Settings) -> Logs:
    """A log with eight commits in every partition of the events, and a registry that they were decided with."""
    logs: Logs = {}
    for log, number in [("registry", 0), *(("events", number) for number in range(settings.partitions))]:
        records = await read_all(settings, log, number)
        for seq in range(2, LENGTH + 1):
            records.append(wire.encode(commit(seq, chain.digest(records[-1]), log=log, partition=number)))
        logs[log, number] = records
    await append_all(settings, {place: records[1:] for place, records in logs.items()})
    return logs


@pytest.fixture
async def original(settings: Settings, opened: LogIdentity) -> Logs:
    return await at_work(settings)


@pytest.fixture(scope="module")
def findings(fresh: Fresh) -> Iterator[dict[str, Finding]]:
    """What verify finds in a copy of a log of which each partition was damaged in another way."""
    with fresh(len(DAMAGES)) as original, fresh(len(DAMAGES)) as copy, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        found = runner.run(_damage_and_verify(original, copy))
        assert [one.broken for one in found if one.log == "registry"] == [None]
        yield dict(zip(DAMAGES, found, strict=False))


async def _damage_and_verify(original: Settings, copy: Settings) -> list[Finding]:
    await apply_and_open(original)
    logs = await at_work(original)
    await apply(copy)
    for number, (damage, _) in enumerate(DAMAGES.values()):
        logs["events", number] = damage(logs["events", number])
    await append_all(copy, logs)
    return await verify(copy)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_its_offset_and_nothing_else_is(findings: dict[str, Finding], name: str) -> None:
    found, expected = findings[name], DAMAGES[name][1]
    assert found.offset == expected, found.broken
    assert (found.broken is None) == (expected is None)


def test_a_commit_that_stands_there_twice_is_counted_as_void(findings: dict[str, Finding]) -> None:
    found = findings["twice there, and so void"]
    assert (found.commits, found.voids) == (LENGTH, 2)


async def test_a_good_log_is_good(settings: Settings, original: Logs) -> None:
    steps: list[tuple[int, int]] = []
    findings = await verify(settings, progress=lambda done, total: steps.append((done, total)))
    assert [(one.log, one.partition) for one in findings] == [*(("events", number) for number in range(4)), ("registry", 0)]
    assert all((one.commits, one.events, one.voids, one.seq, one.broken) == (LENGTH, LENGTH, 0, LENGTH, None) for one in findings)
    assert steps[-1] == (5 * LENGTH, 5 * LENGTH)


@pytest.fixture
async def copy(settings: Settings) -> Settings:
    """Another prefix with the topics of a log, empty. It begins as that of `settings`, which is removed with all that begins so."""
    other = settings.model_copy(update={"prefix": f"{settings.prefix}-copy"})
    await apply(other)
    return other


async def test_a_registry_cut_at_its_end_is_missed_by_the_events(copy: Settings, original: Logs) -> None:
    await append_all(copy, {(log, number): records[:2] if log == "registry" else records for (log, number), records in original.items()})
    broken = [one for one in await verify(copy) if one.broken is not None]
    assert [(one.log, one.partition, one.offset) for one in broken] == [("registry", 0, 2)]


async def test_a_beginning_that_retention_took_is_named(settings: Settings, original: Logs) -> None:
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.delete_records({TopicPartition(settings.topic("events"), 2): RecordsToDelete(before_offset=3)})
    (found,) = await verify(settings, "events", 2)
    assert found.offset == 0
    assert "first records are gone" in str(found.broken)


async def test_a_registry_made_anew_is_named(settings: Settings, original: Logs) -> None:
    await make_anew(settings, "registry")
    broken = [one for one in await verify(settings) if one.broken is not None]
    assert [(one.log, one.offset) for one in broken] == [("registry", 0)]


def test_the_command_line_exits_7_and_names_partition_and_offset(copy: Settings, original: Logs, tmp_path: Path) -> None:
    damaged = {place: [*records[:4], *records[5:]] if place == ("events", 2) else records for place, records in original.items()}
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(append_all(copy, damaged))
    good = jobledger(copy, tmp_path, "ledger", "verify", "--log", "registry", "-o", "json")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["broken"] == 0
    broken = jobledger(copy, tmp_path, "ledger", "verify", "-o", "json")
    assert broken.returncode == 7
    assert f"{copy.topic('events')}[2] is broken at offset 4" in broken.stderr
    report = json.loads(broken.stdout)
    assert (report["commits"], report["broken"]) == (4 * LENGTH + 4, 1)
    assert [one["offset"] for one in report["partitions"]] == [None, None, 4, None, None]
    table = jobledger(copy, tmp_path, "ledger", "verify")
    assert table.returncode == 7
    assert "commits are missing" in table.stdout


def test_tail_and_show_print_events_with_their_addresses(settings: Settings, original: Logs, tmp_path: Path) -> None:
    tail = jobledger(settings, tmp_path, "ledger", "tail", "-n", "5")
    assert tail.returncode == 0, tail.stderr
    lines = [json.loads(line) for line in tail.stdout.splitlines()]
    assert [(line["partition"], line["seq"]) for line in lines] == [(3, 7), (0, 8), (1, 8), (2, 8), (3, 8)]
    shown = jobledger(settings, tmp_path, "ledger", "show", "2", "4")
    assert json.loads(shown.stdout) == {
        "log": "events",
        "partition": 2,
        "seq": 5,
        "index": 0,
        "offset": 4,
        "at": "1970-01-01T00:00:00.005000Z",
        "event": {"type": "execution.completed.v1", "execution_id": "e5-2", "attempt": 1, "run_ms": 15, "result": {"n": 5}},
    }
    assert jobledger(settings, tmp_path, "ledger", "show", "2", "5", "--seq").stdout == shown.stdout
    assert jobledger(settings, tmp_path, "ledger", "show", "2", "99").returncode == 3
    assert jobledger(settings, tmp_path, "ledger", "show", "7", "0").returncode == 2

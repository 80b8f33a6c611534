"""`jobledger ledger verify` on damaged copies of a log that a real broker holds: each damage is named with partition and offset."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
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
from tests.services.log.test_opening import make_anew
from tests.services.log.writing import append_all, read_all
from tests.unit.log.chains import chain_of, commit, rewritten

Damage = Callable[[list[bytes]], list[bytes]]
LENGTH = 8
DAMAGED = ("events", 2)


@pytest.fixture
async def original(settings: Settings, opened: LogIdentity) -> dict[tuple[str, int], list[bytes]]:
    """A log at work: eight commits in every partition of the events, and a registry that they were decided with."""
    logs: dict[tuple[str, int], list[bytes]] = {}
    for log, number in [("registry", 0), *(("events", number) for number in range(settings.partitions))]:
        records = await read_all(settings, log, number)
        for seq in range(2, LENGTH + 1):
            records.append(wire.encode(commit(seq, chain.digest(records[-1]), log=log, partition=number)))
        logs[log, number] = records
    await append_all(settings, {place: records[1:] for place, records in logs.items()})
    return logs


@pytest.fixture
async def copy(settings: Settings) -> Settings:
    """Another prefix with the topics of a log, empty. `settings` removes what begins with its own, so this one begins with it."""
    other = settings.model_copy(update={"prefix": f"{settings.prefix}-copy"})
    await apply(other)
    return other


async def verify_copy(copy: Settings, original: dict[tuple[str, int], list[bytes]], damage: Damage) -> Finding:
    """Copy all of the log but damage one partition of it; what verify says of that one. The others are good."""
    await append_all(copy, {place: damage(records) if place == DAMAGED else records for place, records in original.items()})
    findings: dict[tuple[str, int], Finding] = {(one.log, one.partition): one for one in await verify(copy)}
    assert [place for place, one in findings.items() if one.broken is not None and place != DAMAGED] == []
    return findings[DAMAGED]


def flipped(record: bytes, field: bytes) -> bytes:
    """One bit of the first byte behind `field`."""
    place = record.index(field) + len(field)
    return record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :]


async def test_a_good_log_is_good(settings: Settings, original: dict[tuple[str, int], list[bytes]]) -> None:
    steps: list[tuple[int, int]] = []
    findings = await verify(settings, progress=lambda done, total: steps.append((done, total)))
    assert [(one.log, one.partition) for one in findings] == [*(("events", number) for number in range(4)), ("registry", 0)]
    assert all((one.commits, one.events, one.voids, one.seq, one.broken) == (LENGTH, LENGTH, 0, LENGTH, None) for one in findings)
    assert steps[-1] == (5 * LENGTH, 5 * LENGTH)


FIELDS = [b'{"v":', b'"log":"', b'"partition":', b'"seq":', b'"prev":"', b'"at":', b'"position":[', b'"registry":[', b'"events":[{"']
INSIDE = [b'"type":"execution.', b'"execution_id":"', b'"attempt":', b'"run_ms":', b'"result":{"', b'"n":']


@pytest.mark.parametrize("field", FIELDS + INSIDE, ids=lambda field: field.decode())
async def test_one_flipped_bit_is_named(copy: Settings, original: dict[tuple[str, int], list[bytes]], field: bytes) -> None:
    found = await verify_copy(copy, original, lambda good: [*good[:4], flipped(good[4], field), *good[5:]])
    assert found.offset in ({4, 5} if field == b'"seq":' else {4}), found.broken  # a smaller number makes it void: the next one misses it


@pytest.mark.parametrize(
    ("damage", "offset"),
    [
        (lambda good: [*good[:4], *good[5:]], 4),
        (lambda good: good[1:], 0),
        (lambda good: [*good[:4], good[5], good[4], *good[6:]], 4),
        (lambda good: [*good[:4], good[4][:-30], *good[5:]], 4),
        (lambda good: [*good[:-1], good[-1][:-30]], LENGTH - 1),
        (lambda good: [*good[:4], b"", *good[5:]], 4),
        (lambda good: [*good[:4], chain_of(5, partition=2, log_id="f" * 32)[4], *good[4:]], 4),
        (lambda good: [*good[:4], chain_of(5, partition=2, log_id="f" * 32)[4], *good[5:]], 4),
        (lambda good: [*good[:4], chain_of(5, partition=3)[4], *good[4:]], 4),
        (lambda good: [*good[:4], b'{"order":4711}', *good[4:]], 4),
        (lambda good: [*good[:4], rewritten(good[4], events=()), *good[5:]], 4),
        (lambda good: chain_of(LENGTH, partition=2, log_id="f" * 32), 0),
        (lambda good: [], 0),
    ],
    ids=[
        "dropped",
        "the first one dropped",
        "swapped",
        "cut short",
        "the last one cut short",
        "emptied",
        "a foreign commit put between",
        "a foreign commit in its place",
        "another partition's commit",
        "another program's record",
        "its events taken out",
        "another log's partition",
        "all of it gone",
    ],
)
async def test_damage_is_named(copy: Settings, original: dict[tuple[str, int], list[bytes]], damage: Damage, offset: int) -> None:
    found = await verify_copy(copy, original, damage)
    assert found.broken is not None
    assert found.offset == offset, found.broken


async def test_a_commit_that_stands_there_twice_is_void_and_no_damage(copy: Settings, original: dict[tuple[str, int], list[bytes]]) -> None:
    found = await verify_copy(copy, original, lambda good: [*good[:5], good[4], *good[5:], good[0]])
    assert (found.broken, found.commits, found.voids) == (None, LENGTH, 2)


async def test_a_registry_cut_at_its_end_is_missed_by_the_events(copy: Settings, original: dict[tuple[str, int], list[bytes]]) -> None:
    await append_all(copy, {(log, number): records[:2] if log == "registry" else records for (log, number), records in original.items()})
    broken = [one for one in await verify(copy) if one.broken is not None]
    assert [(one.log, one.partition, one.offset) for one in broken] == [("registry", 0, 2)]


async def test_a_beginning_that_retention_took_is_named(settings: Settings, original: dict[tuple[str, int], list[bytes]]) -> None:
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.delete_records({TopicPartition(settings.topic("events"), 2): RecordsToDelete(before_offset=3)})
    (found,) = await verify(settings, "events", 2)
    assert found.offset == 0
    assert "first records are gone" in str(found.broken)


async def test_a_registry_made_anew_is_named(settings: Settings, original: dict[tuple[str, int], list[bytes]]) -> None:
    await make_anew(settings, "registry")
    broken = [one for one in await verify(settings) if one.broken is not None]
    assert [(one.log, one.offset) for one in broken] == [("registry", 0)]


def ledger(settings: Settings, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line as a user has it."""
    config = folder / "jobledger.yaml"
    config.write_text(f"prefix: {settings.prefix}\npartitions: {settings.partitions}\nkafka:\n  bootstrap: {settings.kafka.bootstrap}\n")
    command = [sys.executable, "-m", "ledger.cli.log", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={"JOBLEDGER_CONFIG": str(config), "PATH": ""})


def test_the_command_line_exits_7_and_names_partition_and_offset(
    copy: Settings, original: dict[tuple[str, int], list[bytes]], tmp_path: Path
) -> None:
    damaged = {place: [*records[:4], *records[5:]] if place == DAMAGED else records for place, records in original.items()}
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(append_all(copy, damaged))
    good = ledger(copy, tmp_path, "verify", "--log", "registry", "-o", "json")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["broken"] == 0
    broken = ledger(copy, tmp_path, "verify", "-o", "json")
    assert broken.returncode == 7
    assert f"{copy.topic('events')}[2] is broken at offset 4" in broken.stderr
    report = json.loads(broken.stdout)
    assert (report["commits"], report["broken"]) == (4 * LENGTH + 4, 1)
    assert [one["offset"] for one in report["partitions"]] == [None, None, 4, None, None]
    table = ledger(copy, tmp_path, "verify")
    assert table.returncode == 7
    assert "broken at offset 4" in table.stdout


def test_tail_and_show_print_events_with_their_addresses(
    settings: Settings, original: dict[tuple[str, int], list[bytes]], tmp_path: Path
) -> None:
    tail = ledger(settings, tmp_path, "tail", "-n", "5")
    assert tail.returncode == 0, tail.stderr
    lines = [json.loads(line) for line in tail.stdout.splitlines()]
    assert [(line["partition"], line["seq"]) for line in lines] == [(3, 7), (0, 8), (1, 8), (2, 8), (3, 8)]
    shown = ledger(settings, tmp_path, "show", "2", "4")
    assert json.loads(shown.stdout) == {
        "log": "events",
        "partition": 2,
        "seq": 5,
        "index": 0,
        "offset": 4,
        "at": "1970-01-01T00:00:00.005000Z",
        "event": {"type": "execution.completed.v1", "execution_id": "e5-2", "attempt": 1, "run_ms": 15, "result": {"n": 5}},
    }
    assert ledger(settings, tmp_path, "show", "2", "5", "--seq").stdout == shown.stdout
    assert ledger(settings, tmp_path, "show", "2", "99").returncode == 3
    assert ledger(settings, tmp_path, "show", "7", "0").returncode == 2

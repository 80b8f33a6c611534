"""`jobledger ledger import`: the very same commits in other topics, and a log that goes on from them."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.core import wire
from ledger.core.archive import REGISTRY, Place
from ledger.core.ids import Position
from ledger.core.refusal import Conflict, Misconfigured, Unavailable
from ledger.kafka.archive_file import ArchiveFile
from ledger.kafka.archive_source import grown, the_same
from ledger.kafka.connect import admin_client
from ledger.kafka.importing import Source, import_log
from ledger.kafka.log_reader import Bounds, LogReader
from ledger.kafka.opening import LogIdentity, check_identity, open_log, read_opening
from ledger.kafka.topics import apply
from ledger.kafka.verify import verify
from tests.services.conftest import run
from tests.services.log.command import command, jobledger
from tests.services.log.test_verify import Logs, at_work
from tests.services.log.writing import append, read_all
from tests.synthetic_log import SyntheticLog, completed_lives, varied_lives
from tests.unit.log.archives import archive_of
from tests.unit.log.chains import LOG_ID, chain_of


@pytest.fixture
def original(settings: Settings, opened: LogIdentity) -> Logs:
    return run(at_work(settings))


@pytest.fixture
def other(settings: Settings) -> Settings:
    """Another prefix, without topics. What is made there goes with that of `settings`."""
    return settings.model_copy(update={"prefix": f"{settings.prefix}-copy"})


def source_of(identity: LogIdentity, logs: Logs, stop_after: int | None = None) -> Source:
    """`stop_after`: it dies after so many commits of the events."""

    def events() -> Iterator[tuple[Place, bytes]]:
        given = 0
        for place, records in logs.items():
            for record in records if place != REGISTRY else ():
                if given == stop_after:
                    raise KeyboardInterrupt
                given += 1
                yield place, record

    positions = {place: wire.decode_header(records[-1]).position for place, records in logs.items()}
    return Source(identity, sum(map(len, logs.values())), events, lambda: iter(logs[REGISTRY]), positions)


async def topic_names(settings: Settings) -> list[str]:
    async with admin_client(settings.kafka.bootstrap) as admin:
        names: list[str] = await admin.list_topics()
        return names


async def bounds(settings: Settings, name: str, partition: int = 0) -> Bounds:
    async with LogReader(settings, name, partition) as reader:
        return await reader.bounds()


def test_an_export_is_imported_byte_for_byte_and_verified(
    settings: Settings, other: Settings, original: Logs, opened: LogIdentity, tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup.jsonl")
    assert jobledger(settings, tmp_path, "ledger", "export", backup).returncode == 0
    done = jobledger(other, tmp_path, "ledger", "import", backup, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"log_id": opened.log_id, "partitions": 4, "epoch": 1, "commits": 40, "appended": 40}
    assert 0 < done.stderr.index("projections rebuild") < done.stderr.index("ledger verify")  # tables of the lost log are ahead of it
    for place, records in original.items():
        assert run(read_all(other, *place)) == records
    assert all(one.broken is None for one in run(verify(other)))
    ends = [run(bounds(other, name, 0)).end for name in ("commands", "registry-commands")]
    assert ends == [7, 7]  # the last commit names command 6
    assert run(import_log(other, the_same(ArchiveFile(Path(backup))))).appended == 0


@pytest.mark.parametrize("stop_after", [0, 5, 8, 31])
async def test_one_that_was_killed_goes_on(
    settings: Settings, other: Settings, original: Logs, opened: LogIdentity, stop_after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        await import_log(other, source_of(opened, original, stop_after))
    with pytest.raises((Misconfigured, Conflict)):
        await check_identity(other)  # nothing starts on a half log
    done = await import_log(other, source_of(opened, original))
    assert done.commits == 40
    for place, records in original.items():
        assert await read_all(other, *place) == records


async def opened_before(other: Settings, original: Logs) -> None:
    await open_log(other)


async def gone_on(other: Settings, original: Logs) -> None:
    for place, records in original.items():
        await append(other, *place, [*records, records[-1]])


async def commanded(other: Settings, original: Logs) -> None:
    await append(other, "commands", 2, [b'{"type":"nothing"}'])


async def offered(other: Settings, original: Logs) -> None:
    await append(other, "work.default", 0, [b"[]"])


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (opened_before, "this is another log, or it has gone on"),
        (gone_on, "more than there are to import"),
        (commanded, "holds commands already"),
        (offered, "a log was at work here"),
    ],
)
async def test_topics_that_are_in_use_are_refused_with_words(
    other: Settings, original: Logs, opened: LogIdentity, before: Callable[[Settings, Logs], object], why: str
) -> None:
    await apply(other)
    await before(other, original)  # type: ignore[misc]  # each is a coroutine
    with pytest.raises(Conflict, match=why):
        await import_log(other, source_of(opened, original))


async def test_a_log_that_decided_nothing_needs_no_commands(other: Settings, original: Logs, opened: LogIdentity) -> None:
    source = source_of(opened, original)
    source.positions.update(dict.fromkeys(source.positions, Position(-1, 0)))
    await import_log(other, source)
    assert (await bounds(other, "commands", 1)).end == 0


def test_a_damaged_file_is_refused_before_anything_is_made(settings: Settings, tmp_path: Path) -> None:
    lines = archive_of({REGISTRY: chain_of(3, log="registry"), **{("events", n): chain_of(5, partition=n) for n in range(4)}})
    (tmp_path / "backup.jsonl").write_bytes(b"".join([*lines[:7], *lines[8:]]))
    refused = jobledger(settings, tmp_path, "ledger", "import", str(tmp_path / "backup.jsonl"))
    assert refused.returncode == 4
    assert f"byte {sum(map(len, lines[:7]))}: the chain of events[0] is broken: expected seq 4, found 5" in refused.stderr
    assert not [name for name in run(topic_names(settings)) if name.startswith(settings.prefix)]


@pytest.mark.parametrize("stop_after", [None, 9])
async def test_more_partitions_than_the_export_has(
    settings: Settings, other: Settings, original: Logs, tmp_path: Path, stop_after: int | None
) -> None:
    """Each event of the history is there once, under a higher epoch; killed in the middle, it goes on to the same bytes."""
    known, lives = SyntheticLog("registry", 0, original[REGISTRY][0]), dict[tuple[str, int], list[bytes]]()
    for number in range(4):
        log = SyntheticLog("events", number, original["events", number][0])
        log.fill(varied_lives(20, number, number), per_commit=5)
        lives["events", number] = log.records
    lives = {REGISTRY: known.records, **lives}
    opened = read_opening(REGISTRY, known.records[0])
    backup = tmp_path / "backup.jsonl"
    backup.write_bytes(b"".join(archive_of(lives, log_id=opened.log_id)))
    wider = other.model_copy(update={"partitions": 7})
    source = grown(ArchiveFile(backup), 7)
    if stop_after is not None:
        with pytest.raises(KeyboardInterrupt):
            await import_log(wider, replace(source, events=lambda: dying(source.events(), stop_after)))
    done = await import_log(wider, source)
    assert (done.partitions, done.epoch, done.log_id != opened.log_id) == (7, 2, True)
    findings = await verify(wider)
    assert all(one.broken is None for one in findings)
    assert sum(one.events for one in findings) - 8 == sum(len(wire.decode_commit(one).events) for log in lives.values() for one in log) - 5


def dying(events: Iterator[tuple[Place, bytes]], after: int) -> Iterator[tuple[Place, bytes]]:
    yield from islice(events, after)
    raise KeyboardInterrupt


@pytest.mark.slow
def test_kill_9_again_and_again(settings: Settings, tmp_path: Path) -> None:
    """Killed as soon as something new is there: each attempt goes on, and in the end it is the same log."""
    registry = SyntheticLog("registry", 0)
    logs: dict[tuple[str, int], list[bytes]] = {REGISTRY: registry.records}
    registry.open(LOG_ID, settings.partitions)
    for number in range(settings.partitions):
        log = logs["events", number] = (events := SyntheticLog("events", number)).records
        events.open(LOG_ID, settings.partitions)
        events.fill(completed_lives(10_000, number), per_commit=5)
        assert len(log) > 6000
    backup = tmp_path / "backup.jsonl"
    backup.write_bytes(b"".join(archive_of(logs)))
    words, environment = command(settings, tmp_path, "ledger", "import", str(backup))
    kills = [killed_when_there_is_more(settings, words, environment) for _ in range(5)]
    assert kills.count(-signal.SIGKILL) > 2
    assert jobledger(settings, tmp_path, "ledger", "import", str(backup)).returncode == 0
    for place, records in logs.items():
        assert run(read_all(settings, *place)) == records
    assert all(one.broken is None for one in run(verify(settings)))


def killed_when_there_is_more(settings: Settings, words: list[str], environment: dict[str, str]) -> int:
    """Its exit code."""
    before = run(records_there(settings))
    process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if run(records_there(settings)) > before:
            process.kill()
            process.wait()
    return process.returncode


async def records_there(settings: Settings) -> int:
    try:
        return sum([(await bounds(settings, "events", number)).end for number in range(settings.partitions)])
    except (Unavailable, Misconfigured):  # the topics are not there yet
        return 0

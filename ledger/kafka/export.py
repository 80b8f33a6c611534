"""Reads both logs for an export, from the first commits to the present ends, a batch at a time: nothing grows with the log."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from ledger.config import Settings
from ledger.core import archive
from ledger.core.archive import Place
from ledger.core.chain import Head
from ledger.core.cloudevents import Outgoing
from ledger.kafka.log_reader import AcceptedCommit, LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from ledger.kafka.verify import Progress

AT_ONCE: Final = 100  # commits in memory


def _quiet(done: int, total: int) -> None:
    pass


async def commits(
    settings: Settings, identity: LogIdentity, progress: Progress = _quiet
) -> AsyncGenerator[tuple[Place, list[AcceptedCommit]], None]:
    """What every reader accepts, partition by partition, the registry first. Its end is looked for last, so that it is never behind what
    the events name. Raises `ChainBroken`, `Conflict`, `Unavailable`."""
    in_order = list(archive.places(identity.partitions))
    ends = {place: await _end(settings, place) for place in reversed(in_order)}
    total, done = sum(ends.values()), 0
    for place in in_order:
        async with LogReader(settings, *place) as reader, aclosing(reader.commits(Head(*place), ends[place], most=AT_ONCE)) as walk:
            async for walked in walk:
                done += len(walked.commits) + len(walked.voids)
                progress(done, total)
                yield place, walked.commits


async def lines(settings: Settings, progress: Progress = _quiet) -> AsyncGenerator[bytes, None]:
    """The export as JSON lines, some at a time."""
    identity = await check_identity(settings)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    yield archive.encode(archive.Log(archive.FORMAT, identity.log_id, identity.partitions, identity.epoch, now))
    ended: dict[Place, AcceptedCommit] = {}
    count = 0
    async with aclosing(commits(settings, identity, progress)) as found:
        async for place, accepted in found:
            yield b"".join(archive.encode_commit(place, one.offset, one.appended_ms, one.record) for one in accepted)
            count += len(accepted)
            if accepted:
                ended[place] = accepted[-1]
    heads = tuple(archive.Ended(*place, one.header.seq, one.digest) for place, one in ended.items())
    yield archive.encode(archive.End(count, heads))


async def cloudevents(settings: Settings, progress: Progress = _quiet) -> AsyncGenerator[bytes, None]:
    """The export as CloudEvents, one a line, some at a time."""
    identity = await check_identity(settings)
    outgoing = {place: Outgoing(identity.log_id, *place) for place in archive.places(identity.partitions)}
    async with aclosing(commits(settings, identity, progress)) as found:
        async for place, accepted in found:
            yield b"".join(line for one in accepted for line in outgoing[place].of(one.commit(), one.appended_ms))


async def _end(settings: Settings, place: Place) -> int:
    async with LogReader(settings, *place) as reader:
        return (await reader.bounds()).end

"""Reads both logs for an export, from the first commits to one moment of the present, a batch at a time: nothing grows with the log."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
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
OVER: Final = 0.002  # seconds after which a broker's millisecond is over


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an export made at work ends: no commit is in it without what it came of, in whichever partition that stands.

    Ends are looked at one after the other, and work goes on meanwhile. So an export holds all that was `seen`, and of what came behind, up
    to a second look, all that was appended until `moment`: the last append time that was seen, a millisecond that is over by then.
    Who acts upon a commit heard first that it stands, so what comes of it has no earlier time, as far as the brokers' clocks agree.
    """

    seen: Mapping[Place, int]  # offsets
    moment: int  # in milliseconds, by the brokers' clocks

    def of(self, place: Place, commits: Sequence[AcceptedCommit], registry: int) -> list[AcceptedCommit]:
        """Those of a partition that are in the export. `registry`: the last of its commits that is; whatever the clocks say, the events
        name none beyond."""
        return list(takewhile(lambda one: one.offset < self.seen[place] or self._is_in(place, one, registry), commits))

    def _is_in(self, place: Place, one: AcceptedCommit, registry: int) -> bool:
        named = one.header.registry
        return one.appended_ms <= self.moment and (place == archive.REGISTRY or named is None or named.seq <= registry)


def _quiet(done: int, total: int) -> None:
    pass


async def commits(
    settings: Settings, identity: LogIdentity, progress: Progress = _quiet
) -> AsyncGenerator[tuple[Place, list[AcceptedCommit]], None]:
    """What every reader accepts, up to one moment, partition by partition, the registry first. Its end is looked for last, so that it is
    never behind what the events name. Raises `ChainBroken`, `Conflict`, `Unavailable`."""
    in_order = list(archive.places(identity.partitions))
    cut = await _cut(settings, in_order[::-1])
    ends = {place: await _end(settings, place) for place in in_order[::-1]}
    total, done, registry = sum(ends.values()), 0, 0
    for place in in_order:
        async with LogReader(settings, *place) as reader, aclosing(reader.commits(Head(*place), ends[place], most=AT_ONCE)) as walk:
            async for walked in walk:
                held = cut.of(place, walked.commits, registry)
                if held and place == archive.REGISTRY:
                    registry = held[-1].header.seq
                done += len(walked.commits) + len(walked.voids)
                progress(done, total)
                yield place, held
                if len(held) < len(walked.commits):
                    break


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


async def _cut(settings: Settings, places: Sequence[Place]) -> Cut:
    seen, moment = dict[Place, int](), 0
    for place in places:
        async with LogReader(settings, *place) as reader:
            seen[place] = (await reader.bounds()).end
            last = await reader.at(seen[place] - 1)
            moment = max(moment, 0 if last is None else last.timestamp)
    await asyncio.sleep(OVER)
    return Cut(seen, moment)


async def _end(settings: Settings, place: Place) -> int:
    async with LogReader(settings, *place) as reader:
        return (await reader.bounds()).end

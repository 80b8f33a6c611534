"""The logs up to a moment of the past, folded by the same pure folds that write the tables. Reads; nothing is written anywhere."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Final

from ledger.client.moments import micros_of
from ledger.config import Settings
from ledger.core.chain import Head
from ledger.core.ids import Micros
from ledger.core.moment import Moment, name_of
from ledger.core.refusal import Refused
from ledger.core.wire import Commit
from ledger.kafka import history
from ledger.kafka.log_reader import AcceptedCommit, LogReader, walk
from projections.folds import fold_of
from projections.history import head_before
from projections.patches import Changes, Place, Source

LOOKED_FOR: Final = 64  # live executions whose names are looked for in a record; with more of them each is decoded
REGISTRY: Final[Source] = ("registry", 0)
Progress = Callable[[int, int], None]  # records read, and how many there are at most


def quietly(done: int, total: int) -> None:
    """Nobody is told."""


async def moment_of(settings: Settings, field: str, when: datetime | str, now: int) -> Moment:
    """An aware instant, an ISO text with an offset, or the name of an event. Raises `Invalid`, and `Refused` of what is not there (yet)."""
    name = name_of(when) if isinstance(when, str) else None
    if name is None:
        at = micros_of(field, when)
        if at > now:
            raise Refused("future", f"{field} {when} is still to come: `jobledger jobs preview` shows what is expected then")
        return Moment(at)
    if name.log == "events" and name.partition >= settings.partitions:
        raise Refused("unknown_event", f"{field} {name}: events has the partitions 0 to {settings.partitions - 1}")
    async with LogReader(settings, name.log, name.partition) as reader:
        found = await history.by_seq(reader, name.seq)
    if found is None or (name.index is not None and name.index >= len(found.commit().events)):
        raise Refused("unknown_event", f"{field} {name}: there is no such event; `jobledger executions show ID --events` names some")
    return Moment(Micros(found.header.at), name)


async def accepted_until(
    settings: Settings, source: Source, moment: Moment, *, start: int = 0, progress: Progress = quietly
) -> AsyncGenerator[AcceptedCommit, None]:
    """The accepted commits up to a moment, in order. At `start` there has to be one. Raises `ChainBroken`, `Conflict`, `Unavailable`."""
    head: Head | None = Head(*source) if start == 0 else None
    async with LogReader(settings, *source) as reader:
        end = (await reader.bounds()).end
        if start >= end:
            return
        async with aclosing(reader.batches(start, end)) as batches:
            async for batch in batches:
                head = head or head_before(batch.records[0], *source)
                walked = walk(head, batch.records)
                head = walked.head
                for accepted in walked.commits:
                    if not moment.covers(accepted.header):
                        return
                    yield accepted
                if walked.broken is not None:
                    raise walked.broken
                progress(batch.next_offset - start, end - start)


async def commits_until(
    settings: Settings,
    source: Source,
    moment: Moment,
    wants: Callable[[bytes], bool] | None = None,
    *,
    start: int = 0,
    progress: Progress = quietly,
) -> AsyncGenerator[tuple[Commit, Place], None]:
    """The same, decoded; of the last one see `Moment.covered`. `wants` looks at a record before it is decoded."""
    async with aclosing(accepted_until(settings, source, moment, start=start, progress=progress)) as commits:
        async for accepted in commits:
            if wants is None or wants(accepted.record):
                header = accepted.header
                yield accepted.commit(), Place(header.partition, header.seq, accepted.offset, header.at)


async def registry_at(settings: Settings, partitions: int, moment: Moment, progress: Progress = quietly) -> Changes:
    """The rows of jobs, versions and pauses as they stood."""
    changes, fold = Changes(), fold_of("registry", partitions)
    async with aclosing(commits_until(settings, REGISTRY, moment, progress=progress)) as commits:
        async for commit, place in commits:
            for index, event in enumerate(moment.covered(commit, commit.events)):
                fold(changes, event, place, index)
    return changes

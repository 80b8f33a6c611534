"""How a job's schedule came and went, read from the log itself: which version was in force when, what was paused, and by whom.

The tables say where to read; what they do not keep is here: takeovers of versions, pauses that ended, skips by hand. Records that do not
name the job are walked for their chain and not decoded.
"""

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from ledger.config import Settings
from ledger.core import definition, pause, tick, wire
from ledger.core.ids import Micros
from ledger.core.pause import Paused
from ledger.core.stretches import Moved, Rezoned, TakenOver, moves_of
from ledger.kafka.log_reader import LogReader
from projections.history import commits_naming

_REZONED: Final = b'"schedule.rezoned'
_PAUSES: Final = b'"pause.'
_LOOKED_BACK: Final = 20  # commits
OfSchedule = tick.Adopted | tick.Dropped | tick.SkipOrdered | tick.AutoPaused | tick.AutoResumed


@dataclass(frozen=True, slots=True)
class Held:
    """A pause that stands (`until` is None) or stood. Of a job that paused itself the scope is `itself`."""

    scope: str
    name: str
    since: int
    until: int | None
    note: str | None = None
    actor: str | None = None


@dataclass(slots=True)
class HomePast:
    """From the home partition."""

    takeovers: list[TakenOver] = field(default_factory=list)
    ordered: dict[int, tick.SkipOrdered] = field(default_factory=dict)  # ticks left out by hand
    held: list[Held] = field(default_factory=list)
    rezoned: list[Rezoned] = field(default_factory=list)


@dataclass(slots=True)
class RegistryPast:
    moves: list[Moved] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)


async def read_home(settings: Settings, job_id: str, partition: int, start: int, until: int) -> HomePast:
    """What the home partition says of a job in the commits at offsets [start, until); at `start` there has to be an accepted one.
    Raises `ChainBroken`, `Conflict`, `Unavailable`."""
    past = HomePast()
    async for commit, _ in commits_naming(settings, "events", partition, start, until, (wire.quoted(job_id), _REZONED)):
        for index, event in enumerate(commit.events):
            if isinstance(event, tick.Rezoned):
                past.rezoned.append(Rezoned(commit.seq, event.tzdata))
            elif isinstance(event, OfSchedule) and event.job_id == job_id:
                _note(past, event, commit, index)
    return past


def _note(past: HomePast, event: OfSchedule, commit: wire.Commit, index: int) -> None:
    match event:
        case tick.Adopted():
            place = (commit.at, commit.seq, index, event.since, event.job_version, commit.registry, event.tzdata, event.fired)
            past.takeovers.append(TakenOver(*place))
        case tick.Dropped():
            past.takeovers.append(TakenOver(commit.at, commit.seq, index, commit.at, None, commit.registry))
        case tick.SkipOrdered():
            past.ordered[event.tick_at] = event
        case tick.AutoPaused():
            past.held.append(Held("itself", event.job_id, commit.at, None, event.note))
        case tick.AutoResumed():
            _end(past.held, "itself", event.job_id, event.since)


async def read_registry(settings: Settings, job_id: str, names: list[Paused]) -> RegistryPast:
    """What the registry says of a job, and of pauses of `names`, up to its present end. Raises as `read_home` does."""
    past, wanted = RegistryPast(), set(names)
    async for commit, _ in commits_naming(settings, "registry", 0, 0, None, (wire.quoted(job_id), _PAUSES)):
        for event in commit.events:
            match event:
                case pause.Began() if Paused(event.scope, event.name) in wanted:
                    past.held.append(Held(event.scope, event.name, commit.at, None, event.note, event.actor))
                case pause.Ended() if Paused(event.scope, event.name) in wanted:
                    _end(past.held, event.scope, event.name, commit.at)
                case definition.Versioned() | definition.Retired() | definition.ManifestApplied():
                    past.moves += [moved for named, moved in moves_of(event, commit.seq, commit.at) if named == job_id]
                case _:
                    pass
    return past


async def silence(settings: Settings, partition: int, offset: int, due_at: int) -> tuple[int, int] | None:
    """From which commit to which the partition said nothing around `due_at`, looking back from the commit at `offset`; None if it spoke so
    often since that this is not near."""
    before: int | None = None
    start = max(0, offset - _LOOKED_BACK)
    async with LogReader(settings, "events", partition) as reader, aclosing(reader.batches(start, offset + 1)) as batches:
        async for batch in batches:
            for record in batch.records:
                at = wire.decode_header(record.value).at
                if at > due_at:
                    return None if before is None else (before, at)
                before = at
    return None


def _end(held: list[Held], scope: str, name: str, until: int) -> None:
    for nth, one in enumerate(held):
        if (one.scope, one.name, one.until) == (scope, name, None):
            held[nth] = Held(scope, name, one.since, Micros(until), one.note, one.actor)

"""The tables anew from the first commit, beside those in use, which stay as they are and are kept up to date until the new ones are whole,
were compared with the log, and take their place. Killed at any moment, it goes on where it was.

Executions that ended are copied once and never touched again; those under way are held back in memory, so that hardly a row is written
twice. Where too many are under way, they are written too, and changed later as the consumer changes rows.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ledger.config import Settings
from ledger.core.refusal import Conflict, Refused
from ledger.kafka.opening import LogIdentity, check_identity
from projections import schema
from projections.behind import Behind
from projections.building import Building, copied
from projections.builtin import TABLES
from projections.connecting import connected
from projections.differences import Difference
from projections.patches import Changes, Source
from projections.places import tails_from
from projections.projection import NEXT, Projection
from projections.retention import keep_ms, kept
from projections.sweeping import USUAL, Sizes, Sweep, end_of
from projections.tail import Stretch, Tail
from projections.verify import Verified, verify

CLOSE_ENOUGH: Final = 20  # records of a partition that the consumer may catch up with after the swap
MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """`begin`: also where there is nothing to go on with. `check`: compare with the log before the swap. `keep`: the tables in use so
    far."""

    begin: bool = True
    check: bool = True
    swap: bool = True
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    phase: str  # folding, indexing, catching up, verifying, built, swapped
    records: int  # of the log, read
    of: int
    events: int  # folded by this run
    seconds: float
    left: float | None  # seconds
    resumed: bool = False


Report = Callable[[Progress], None]
EVERYTHING: Final = Wanted()


class Differs(Conflict):
    """The new tables are not what the log says: they were not taken in."""

    def __init__(self, differences: list[Difference], count: int) -> None:
        named = "; ".join(map(str, differences))
        super().__init__(
            f"the new tables differ from the log in {count} places, so the old ones stay in use: {named}; "
            "`jobledger projections drop` removes them, and please report this"
        )


async def rebuild(
    settings: Settings,
    report: Report = lambda progress: None,
    sizes: Sizes = USUAL,
    projection: Projection = TABLES,
    wanted: Wanted = EVERYTHING,
) -> Progress:
    """Fold the log again and put the result in the tables' place. Raises `Conflict`, `Differs`, `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    schema.check(settings)
    with connected(settings) as connection, Behind("rebuild-sql", connection) as behind:
        keep = keep_ms(settings) if projection is TABLES else {}
        building = Building(connection, settings.database.table_schema, projection, keep)
        return await _Rebuild(settings, identity, projection, building, behind, report, sizes, wanted).run()


def check_version(projection: Projection, version: int | None) -> None:
    """Raises `Refused`: a program folds one version."""
    if version not in (None, projection.version):
        raise Refused(
            "other_version",
            f"this program builds version {projection.version} of {projection.name!r}: "
            f"version {version} is built by the program that has it",
        )


class _Rebuild:
    def __init__(
        self,
        settings: Settings,
        identity: LogIdentity,
        projection: Projection,
        building: Building,
        behind: Behind,
        report: Report,
        sizes: Sizes,
        wanted: Wanted,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._projection = projection
        self._building = building
        self._behind = behind
        self._report = report
        self._sizes = sizes
        self._wanted = wanted
        self._sweep = Sweep(settings, sizes, self._tell_phase)
        self._phase = "folding"
        self._resumed = False
        self._tails: list[Tail] = []
        self._ends: dict[Source, int] = {}
        self._since_checkpoint = 0

    async def run(self) -> Progress:
        await self._open()
        await self._look_for_ends()
        for tail in self._tails:
            await self._fold(tail)
        await self._seal()
        self._tell("indexing")
        await self._behind.do(self._building.add_indexes)
        await self._catch_up()
        if self._wanted.check:
            await self._check()
            await self._catch_up()
        if not self._wanted.swap:
            return self._tell("built")
        await self._behind.do(lambda: schema.check(self._settings))  # a newer program may have upgraded the live tables meanwhile
        await self._behind.do(lambda: self._building.swap(keep=self._wanted.keep))
        return self._tell("swapped")

    async def _open(self) -> None:
        resumed = await self._behind.do(lambda: self._building.open(self._identity, begin=self._wanted.begin))
        self._tails = await tails_from(self._settings, self._identity, self._projection, [one.opened for one in resumed])
        for tail, one in zip(self._tails, resumed, strict=True):
            tail.hold(one.held)
            self._sweep.skip(tail.next_offset)
        self._resumed = any(one.opened.position.seq for one in resumed)

    async def _look_for_ends(self) -> None:
        ends = await asyncio.gather(*(end_of(self._settings, tail.source) for tail in self._tails))
        self._ends = {tail.source: end for tail, end in zip(self._tails, ends, strict=True)}
        self._sweep.of = sum(ends)

    async def _fold(self, tail: Tail) -> None:
        """A partition up to its end, with what is under way held back as long as it is not too much."""
        async with aclosing(self._sweep.over(tail, self._ends[tail.source])) as batches:
            async for _ in batches:
                if tail.events >= self._sizes.events_a_write:
                    await self._put(tail)
        await self._put(tail, at_end=True)

    async def _put(self, tail: Tail, *, at_end: bool = False) -> None:
        events, stretch = tail.events, tail.take()
        if stretch is None:
            return
        if self._building.keyed:
            await self._write(stretch.changes, stretch)
            return
        ended, held = self._projection.split(stretch.changes)
        tail.hold(held)
        if self._building.horizons:
            ended = kept(ended, self._building.horizons)
        self._since_checkpoint += events
        if at_end or self._since_checkpoint >= max(self._sizes.events_a_checkpoint, 8 * len(held)):
            await self._write(ended, stretch, copied(held, self._projection))
        else:
            await self._write(ended)
        if sum(len(one.changes) for one in self._tails) > self._sizes.most_held:
            await self._seal()

    async def _seal(self) -> None:
        """At the end of all partitions, or where too much is under way: from here on rows are written while they may still change."""
        if not self._building.keyed:
            stretches = [stretch for tail in self._tails if (stretch := tail.take(always=True)) is not None]
            await self._behind.do(lambda: self._building.seal(stretches))

    async def _write(self, changes: Changes, checkpoint: Stretch | None = None, held: Changes | None = None) -> None:
        if checkpoint is not None:
            self._since_checkpoint = 0
        await self._behind.start(lambda: self._building.write(changes, checkpoint, held))

    async def _catch_up(self) -> None:
        """Fold what was appended meanwhile, until that is little."""
        self._phase = "catching up"
        while True:
            before = self._ends
            await self._look_for_ends()
            for tail in self._tails:
                async with aclosing(self._sweep.over(tail, self._ends[tail.source])) as batches:
                    async for _ in batches:
                        if (stretch := tail.take()) is not None:
                            await self._write(stretch.changes, stretch)
            await self._behind.done()
            if all(self._ends[source] - end <= CLOSE_ENOUGH for source, end in before.items()):
                return

    async def _check(self) -> None:
        """Raises `Differs`."""
        verified, named = Verified(), list[Difference]()

        def tell(verified: Verified) -> None:
            self._report(
                Progress("verifying", verified.records, verified.of, verified.events, self._sweep.seconds, verified.left, self._resumed)
            )

        async with aclosing(verify(self._settings, verified, tell, self._projection, NEXT, self._sizes)) as differences:
            async for one in differences:
                named.append(one)
                del named[MOST_NAMED:]
        if named:
            raise Differs(named, verified.differences)

    def _tell_phase(self) -> None:
        self._tell(self._phase)

    def _tell(self, phase: str) -> Progress:
        sweep = self._sweep
        progress = Progress(phase, sweep.records, sweep.of, sweep.events, sweep.seconds, sweep.left, self._resumed)
        self._report(progress)
        return progress

"""Partitions of a log from some commit to an end, folded piece by piece: what rebuild and verify have in common."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from ledger.config import Settings
from ledger.kafka.log_reader import LogReader
from projections.patches import Source
from projections.tail import Tail


@dataclass(frozen=True, slots=True)
class Sizes:
    """`most_held`: rows of what is under way in memory, about 1 KB each. `events_a_checkpoint`: what a kill may cost a rebuild.
    `records_at_once`: folded before anything else gets a turn."""

    events_a_write: int = 30_000
    records_at_once: int = 60
    most_held: int = 400_000
    events_a_checkpoint: int = 200_000


USUAL: Final = Sizes()


@dataclass(slots=True)
class Sweep:
    """How far it is: of all the partitions together. `report` is called after each batch."""

    settings: Settings
    sizes: Sizes
    report: Callable[[], None]
    records: int = 0
    of: int = 0
    events: int = 0
    began: float = field(default_factory=time.monotonic)
    _before: int = 0  # records that were read by somebody else before

    def skip(self, records: int) -> None:
        """They are there already: a rebuild goes on."""
        self.records += records
        self._before += records

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float | None:
        """Seconds, as fast as it went so far; None while nothing was read."""
        read = self.records - self._before
        return None if read <= 0 else self.seconds * max(0, self.of - self.records) / read

    async def over(self, tail: Tail, end: int) -> AsyncGenerator[None, None]:
        """Feed the tail up to an offset, and come back after each batch. Raises `ChainBroken`."""
        if tail.next_offset >= end:
            return
        async with (
            LogReader(self.settings, *tail.source) as reader,
            aclosing(reader.batches(tail.next_offset, end, most=self.sizes.records_at_once)) as batches,
        ):
            async for batch in batches:
                before = tail.events
                tail.feed(batch.records)
                if tail.broken is not None:
                    raise tail.broken
                self.records += len(batch.records)
                self.events += tail.events - before
                self.report()
                yield


async def end_of(settings: Settings, source: Source) -> int:
    async with LogReader(settings, *source) as reader:
        return (await reader.bounds()).end

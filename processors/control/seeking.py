"""Where the delivery of an actor's commands goes on: asked for when it went astray, or when the inbox was full.

Faust's delivery is a hint: the place comes from the writer, who has it from the log. Source: architecture.md, sections 5.1 and 5.2.
"""

import time
from typing import Protocol

import structlog

from processors.control import log_access
from processors.control.edges import Edges

log = structlog.get_logger(__name__)
PAUSE = 0.3  # seconds between two requests to be read from the expected offset
HALF_FULL = 25_000  # an inbox that holds more has no room for what would come


class Reader(Protocol):
    """The part of the writer that knows what it has read."""

    next_offset: int

    def step_over(self, offset: int) -> None: ...


class Seeking:
    """`topic`: the one of the commands, as the settings name it; partition `number` of it is read by `reader`."""

    def __init__(self, edges: Edges, topic: str, number: int, reader: Reader) -> None:
        self._edges = edges
        self._name = topic
        self._topic = edges.settings.topic(topic)
        self._number = number
        self._reader = reader
        self._wanted = False
        self._sought_at = float("-inf")
        self._gap: tuple[int, int] | None = None  # what was expected, what came instead

    def want(self, *, at_once: bool = False) -> None:
        """Read on from where the reader is. `at_once`: however long ago that was asked for."""
        self._wanted = True
        if at_once:
            self._sought_at = float("-inf")

    def came_too_far(self, delivered: int) -> None:
        """Records are missing before this one, or there are offsets without records."""
        self._gap = (self._reader.next_offset, delivered)
        self.want()

    def came_well(self) -> None:
        self._gap = None

    def due_in(self) -> float | None:
        """Seconds until it may be asked for; None if it is not wanted."""
        return self._sought_at + PAUSE - time.monotonic() if self._wanted else None

    async def seek_if_due(self, decided: int, inbox: int) -> None:
        """`decided`: the offset up to which commands are; `inbox`: how many are held and are not. Raises `Conflict`."""
        due = self.due_in()
        if due is None or due > 0 or inbox > HALF_FULL:
            return
        self._wanted, self._sought_at = False, time.monotonic()
        if self._gap is not None and self._gap[0] == self._reader.next_offset:
            await self._step_over_nothing(self._gap[1])
        settings = self._edges.settings
        offset = await log_access.readable_from(settings, self._topic, self._number, self._reader.next_offset, decided)
        self._reader.step_over(offset)
        await self._edges.seek(self._topic, self._number, offset)

    async def _step_over_nothing(self, delivered: int) -> None:
        """The same gap again: transaction markers take offsets that hold no record. Read before believing it."""
        expected = self._reader.next_offset
        first = await log_access.first_record_from(self._edges.settings, self._name, self._number, expected)
        if first is not None and first > expected:
            log.warning("offsets without records", action="actor.stepped_over", partition=self._number, until=first, delivered=delivered)
            self._reader.step_over(first)

"""A moment of the past: an instant, or an event. What stood in the logs then is what had been appended up to it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.core.chain import Header
from ledger.core.due import EVER
from ledger.core.ids import Micros
from ledger.core.wire import Event

_PLACE: Final = re.compile(r"(registry|[0-9]{1,5})-([0-9]{1,15})(?:-([0-9]{1,5}))?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class EventName:
    """Its log, partition, commit and index there, as histories show them; without an index the whole commit is meant."""

    log: str
    partition: int
    seq: int
    index: int | None = None

    def __str__(self) -> str:
        return f"{'registry' if self.log == 'registry' else self.partition}-{self.seq}" + ("" if self.index is None else f"-{self.index}")


def name_of(text: str) -> EventName | None:
    """`3-120-2` is event 2 of commit 120 in partition 3 of events, `registry-12` commit 12 of the registry; None of anything else, and of
    `2026-10-25`, which is a date."""
    found = _PLACE.fullmatch(text)
    if found is None or _DATE.fullmatch(text):
        return None
    log, seq, index = found.groups()
    is_registry = log == "registry"
    return EventName(
        "registry" if is_registry else "events", 0 if is_registry else int(log), int(seq), None if index is None else int(index)
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """Inclusive. With a `name` that partition is meant exactly up to it, every other one up to its time."""

    at: Micros
    name: EventName | None = None

    def is_before(self, other: "Moment") -> bool:
        """Of two events of one partition their places decide, as commits may have one time; an event without an index is a whole commit."""
        one, two = self.name, other.name
        if one is None or two is None or (one.log, one.partition) != (two.log, two.partition):
            return self.at < other.at
        return one.seq < two.seq or (one.seq == two.seq and one.index is not None and (two.index is None or one.index < two.index))

    def covers(self, header: Header) -> bool:
        """The commit had been appended by then, at least in part."""
        if self._is_in(header):
            return self.name is not None and header.seq <= self.name.seq
        return header.at <= self.at

    def covered(self, header: Header, events: Sequence[Event]) -> Sequence[Event]:
        """The events of a commit that had."""
        name = self.name
        if name is None or name.index is None or not self._is_in(header) or header.seq < name.seq:
            return events
        return events[: name.index + 1]

    def _is_in(self, header: Header) -> bool:
        return self.name is not None and (self.name.log, self.name.partition) == (header.log, header.partition)


PRESENT: Final = Moment(Micros(EVER))  # all that is there

"""Dead letters that somebody acts on: what could not be read is sent again, as it is or corrected, or is not wanted. Each once.

A letter is named by where its bytes stood: `events/2/17/0` is the first item of the record at offset 17 of partition 2 of the commands.
It is acted on in that partition; what came to the registry, in partition 0. Source: architecture.md, section 5.10; docs/decisions/0017.
"""

import re
from typing import Final, Literal

from msgspec import Struct

from ledger.core.ids import Position

LogOf = Literal["events", "registry"]
LARGEST_PLACE: Final = 2**63 - 1
_NAME: Final = re.compile(r"(events|registry)/([0-9]{1,6})/([0-9]{1,19})/([0-9]{1,7})", re.ASCII)

# Events


class Redriven(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="letter.redriven.v1"):
    """Its commands, those with ids by name, were appended once more to where it came from."""

    letter: str
    command_ids: tuple[str, ...] = ()
    actor: str | None = None
    reason: str | None = None


class Discarded(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="letter.discarded.v1"):
    """Nobody wants it. Its bytes stay in the topic until they are old."""

    letter: str
    actor: str | None = None
    reason: str | None = None


Event = Redriven | Discarded


# State

Fate = Literal["redriven", "discarded"]


def fate_of(event: Event) -> Fate:
    return "redriven" if isinstance(event, Redriven) else "discarded"


# Names


class Source(Struct, frozen=True):
    """Where the bytes of a letter stood."""

    log: LogOf
    partition: int
    position: Position

    @property
    def name(self) -> str:
        return f"{self.log}/{self.partition}/{self.position.offset}/{self.position.nth}"

    @property
    def home(self) -> int:
        """The partition of `events` where it is acted on."""
        return self.partition if self.log == "events" else 0


def source_of(name: str) -> Source | None:
    """None for what names no letter."""
    found = _NAME.fullmatch(name)
    if found is None or int(found[3]) > LARGEST_PLACE:
        return None
    return Source("events" if found[1] == "events" else "registry", int(found[2]), Position(int(found[3]), int(found[4])))


def command_of(act: Literal["redrive", "discard"], letter: str) -> str:
    """The id of the command that acts on a letter: the same act again is the same command."""
    return f"{act}:{letter.replace('/', '.')}"

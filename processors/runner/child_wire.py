"""What a runner and a process of its handlers say to each other: JSON in frames over a socket, bounded, and no pickle."""

import struct
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from ledger.core.bodies import NOTHING
from ledger.core.offers import Offer
from ledger.core.request import Submit
from processors.runner.attempt import Outcome, Stopping

HEAD: Final = struct.Struct(">I")  # the length of what follows
LARGEST: Final = 2 * 1024 * 1024  # bytes of a frame: data or a result of 256 KB, as JSON that may escape it
EXIT_ORPHANED: Final = 76  # of a process that does not reach its runner any more

Spent = Literal["out_of_memory", "threads_left", "served_enough"]


class Run(Struct, frozen=True, tag_field="is", tag="run"):
    """Perform this. `seconds` are left of its time."""

    offer: Offer
    timeout_ms: int
    seconds: float


class Stop(Struct, frozen=True, tag_field="is", tag="stop"):
    """What runs shall end soon; it is killed if it does not."""

    token: int
    why: Stopping


Fault = Literal["refused", "unavailable", "misconfigured", "cancelled", "failed"]


class Answered(Struct, frozen=True, omit_defaults=True, tag_field="is", tag="answered"):
    """What became of a submit of this number."""

    number: int
    execution_id: str | None = None
    was_known: bool = False
    fault: Fault | None = None
    reason: str = ""
    detail: str = ""


class Ready(Struct, frozen=True, tag_field="is", tag="ready"):
    """The handlers are loaded."""


class Told(Struct, frozen=True, omit_defaults=True, tag_field="is", tag="told"):
    """Progress."""

    percent: int
    note: str | None = None


class Submits(Struct, frozen=True, tag_field="is", tag="submits"):
    """The code submits this, and is to be answered. No number comes twice. `timeout`: None is without end, for which JSON has no number."""

    number: int
    command: Submit
    timeout: float | None


class End(Struct, frozen=True, omit_defaults=True, tag_field="is", tag="end"):
    """What became of the attempt. `spent`: the process is of no further use."""

    outcome: Outcome
    result: Raw = NOTHING
    error_type: str | None = None
    error_message: str | None = None
    retry_after_ms: int | None = None
    spent: Spent | None = None


ToChild = Run | Stop | Answered
FromChild = Ready | Told | Submits | End

to_child: Final = msgspec.json.Decoder(ToChild)
from_child: Final = msgspec.json.Decoder(FromChild)


def frame(message: ToChild | FromChild) -> bytes:
    text = msgspec.json.encode(message)
    if len(text) > LARGEST:
        raise ValueError(f"a message of {len(text)} bytes; at most {LARGEST} go through")
    return HEAD.pack(len(text)) + text

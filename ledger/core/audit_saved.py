"""What an audit keeps to go on from: where it stands in each partition, what is live there, and the figures so far."""

from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec import Struct, structs

from ledger.core.bodies import NOTHING
from ledger.core.chain import Head
from ledger.core.execution import Live, Requested
from ledger.core.ids import ExecutionId, Micros

SAVED_VERSION: Final = 4  # of what is kept: with another one the audit begins anew
REMEMBERED: Final = 200_000  # of a partition's executions and commands that ended: an audit that goes on knows so many, a whole one all


class Sent(NamedTuple):
    """A command that was forwarded, to which partition and when."""

    command_id: str
    partition: int
    at: int


class SavedSchedule(Struct, frozen=True):
    """A schedule in force, and how many of its ticks have an outcome."""

    job_version: int
    since: int
    decided_until: int
    outcomes: int
    fired: int
    tzdata: str | None = None


class SavedPartition(Struct, frozen=True):
    """`offset`: of the commit that was audited last. `accepted`: the names of commands, and when they were appended."""

    head: Head
    offset: int
    epoch: int
    live: dict[ExecutionId, Live]
    ended: list[int]
    accepted: list[tuple[int, Micros]]
    schedules: dict[str, SavedSchedule]


class SavedRows(Struct, frozen=True):
    """Of a partition of a log: the commit that the rows of the tables were compared up to (`offset`: its own), and those rows, by table,
    that a later event may change, as the log left them there."""

    head: Head
    offset: int
    tables: dict[str, list[list[str | int | None]]]


class SavedTables(Struct, frozen=True):
    """What was compared: tables of this version in this schema."""

    schema: str
    version: int
    partitions: list[SavedRows]


class SavedAudit(Struct, frozen=True):
    """`chain`: what was counted in the partitions of events."""

    v: int
    log_id: str
    at: int
    figures: dict[str, int]
    chain: dict[str, int]
    forwarded: list[Sent]
    answered: list[tuple[int, int]]
    partitions: list[SavedPartition]
    tables: SavedTables | None = None


def name_of(text: str) -> int:
    """Eight bytes for a name, the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def bare(request: Requested) -> Requested:
    """Without the bodies of users, which no check looks at."""
    return structs.replace(request, data=NOTHING, labels=None, options=None)

"""A commit in the making: what a batch of commands decides to, and what has to be done once it is in the log."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from msgspec import Struct, structs

from ledger.core import wire
from ledger.core.chain import COMMIT_VERSION, Head, Header
from ledger.core.execution import State
from ledger.core.ids import Address, ExecutionId, Micros, Position, address
from ledger.core.orders import Order
from ledger.core.outcome import Answer, DeadLettered
from ledger.core.refusal import Undecodable
from ledger.core.wire import Event, Item

COMMIT_OVERHEAD = 1024  # bytes of a commit besides its events, at most
Added = Literal["added", "full", "needs_facts"]
Lengths = tuple[int, int, int, int, int, int, int, int]


class Delivered(Struct, frozen=True, gc=False):
    """A command as it came: its place, the broker's append time of its record, and the command or why it cannot be read."""

    position: Position
    appended: Micros
    item: Item


@dataclass(frozen=True, slots=True)
class DeadLetter:
    position: Position
    reason: str
    detail: str
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Forward:
    """To be appended to `partition` of the commands before this draft is: the same command, under the same id."""

    partition: int
    command: wire.Command


@dataclass(frozen=True, slots=True)
class Resend:
    """A record to be appended to a partition of `topic` before this draft is: what a dead letter was to say."""

    topic: str
    partition: int
    record: bytes


@dataclass(slots=True)
class Effects:
    """Before the append: forwards, resends, dead letters. After it, and from the folded state: answers and returned offers."""

    forwards: list[Forward] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answers: list[tuple[str, Answer | Order]] = field(default_factory=list)
    followers: list[tuple[ExecutionId, str]] = field(default_factory=list)  # (execution, channel)
    returned: list[tuple[ExecutionId, str]] = field(default_factory=list)  # (execution, reason)
    limited: list[tuple[ExecutionId, str, int]] = field(default_factory=list)  # returned too: (execution, limit, milliseconds to wait)
    resends: list[Resend] = field(default_factory=list)
    relayed: list[ExecutionId] = field(default_factory=list)  # started here, for workers that do not know it yet

    def lengths(self) -> Lengths:
        forwards, letters, answers = len(self.forwards), len(self.dead_letters), len(self.answers)
        followers, returned, limited = len(self.followers), len(self.returned), len(self.limited)
        return forwards, letters, answers, followers, returned, limited, len(self.resends), len(self.relayed)

    def cut(self, lengths: Lengths) -> None:
        """Take back what came since `lengths` was read."""
        del self.forwards[lengths[0] :], self.dead_letters[lengths[1] :], self.answers[lengths[2] :]
        del self.followers[lengths[3] :], self.returned[lengths[4] :], self.limited[lengths[5] :]
        del self.resends[lengths[6] :], self.relayed[lengths[7] :]


class NeedsFacts(Exception):
    """The registry as known here does not allow this command; it may at its present end."""


C = TypeVar("C")


class Draft(ABC, Generic[C]):
    """Decides on top of a fold without changing it. `at` is never less than the commit before."""

    def __init__(self, head: Head, at: Micros) -> None:
        self.head = head
        self.at = Micros(max(at, head.at))
        self.seq = head.seq + 1
        self.position = head.position
        self.events: list[Event] = []
        self.foreseen: list[State | None] = []  # what `preview` returned for each
        self.encoded: list[bytes] = []
        self.size = COMMIT_OVERHEAD
        self.taken: list[Delivered] = []
        self.effects = Effects()

    def expect(self, coming: Iterable[Delivered]) -> None:
        """These come next: what is cheaper to reckon for many at once is reckoned now."""

    def add(self, delivered: Delivered) -> Added:
        """Decide a command and take its events in, all or none. "full": it belongs to the next commit."""
        before = self.effects.lengths() if self.may_overflow else None
        try:
            events: Sequence[Event] = self._dead_letter(delivered) if isinstance(delivered.item, Undecodable) else self.decide(delivered)
        except NeedsFacts:
            return "needs_facts"
        if not self.include(events):
            if before is not None:
                self.effects.cut(before)
            return "full"
        self.position = delivered.position
        self.taken.append(delivered)
        return "added"

    @property
    def may_overflow(self) -> bool:
        """The next command might not fit: it decides to at most 100 events of 256 KB together."""
        return self.size > wire.LARGEST_COMMIT // 4 or len(self.events) > wire.MOST_EVENTS - wire.MOST_EVENTS_OF_A_COMMAND

    def include(self, events: Sequence[Event]) -> bool:
        """Take in events if there is room for all of them."""
        if not events:
            return True
        encoded = wire.encode_each(events)
        size = self.size + len(encoded)
        for one in encoded:
            size += len(one)
        first = len(self.events)
        if first and (size > wire.LARGEST_COMMIT or first + len(events) > wire.MOST_EVENTS):
            return False
        for nth, event in enumerate(events, first):
            self.foreseen.append(self.preview(event, address(self.seq, nth)))
        self.events += events
        self.encoded += encoded
        self.size = size
        return True

    def _dead_letter(self, delivered: Delivered) -> list[Event]:
        error = delivered.item
        if not isinstance(error, Undecodable):
            raise TypeError(f"{error!r} can be read")
        self.effects.dead_letters.append(DeadLetter(delivered.position, error.reason, error.detail[:500], error.raw))
        return [DeadLettered(delivered.position, error.reason)]

    def answer(self, channel: str | None, answer: Answer) -> None:
        """Tell `channel`, after the append."""
        if channel is not None:
            here = structs.replace(answer, log=self.head.log, partition=self.head.partition, address=Address(self.seq, len(self.events)))
            self.effects.answers.append((channel, here))

    @property
    def is_worth_a_commit(self) -> bool:
        """Something happened, or the position moved: a quiet batch must not be decided again for ever."""
        return bool(self.events) or self.position != self.head.position

    def header(self) -> Header:
        return Header(
            COMMIT_VERSION, self.head.log, self.head.partition, self.seq, self.head.digest, self.at, self.position, self.registry_position()
        )

    def record(self) -> bytes:
        """The bytes of the commit."""
        return wire.encode_commit(self.header(), self.encoded)

    @abstractmethod
    def decide(self, delivered: Delivered) -> Sequence[Event]:
        """The events of one readable command; raises `NeedsFacts`. A refusal is an event."""

    @abstractmethod
    def preview(self, event: Event, address: Address) -> State | None:
        """Let later decisions of this draft see an event. Returns the state of its execution after it, if it is of one."""

    @abstractmethod
    def registry_position(self) -> Address | None:
        """The place of the registry that the commit names."""

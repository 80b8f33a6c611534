"""What every fold of a log shares: it accepts commits by the chain's rule and gives their events, in order, to `evolve`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from typing import Protocol, TypeVar

from ledger.core import chain, execution, outcome, wire
from ledger.core.chain import Accepted, Broken, Head, Header, Verdict, Void
from ledger.core.execution import State
from ledger.core.ids import Address, Micros, address
from ledger.core.refusal import ChainBroken, Conflict, Undecodable

K = TypeVar("K")
V = TypeVar("V")


class Described(Protocol):
    """The identity of a log that a fold expects."""

    @property
    def log_id(self) -> str: ...

    @property
    def partitions(self) -> int: ...


def keep_newest(entries: dict[K, V], most: int) -> None:
    """Forget the oldest. All of them at once: who looks for the first steps over those that went before it."""
    for one in list(islice(entries, len(entries) - most)) if len(entries) > most else ():
        del entries[one]


class LogFold(ABC):
    """The state of one partition of a log. Fed with its records in order; equal records give equal states, for every reader."""

    def __init__(self, log: str, partition: int) -> None:
        self.head = Head(log, partition)
        self.log_id: str | None = None
        self.partitions = 0
        self.epoch = 1
        self.accepted = 0
        self.events = 0  # in commits that were accepted, since this fold began or was put back from a snapshot
        self.voids = 0

    def feed(self, record: bytes | None, offset: int) -> Verdict:
        """Fold the record at `offset`. A void changes nothing but the place to read on. Raises `ChainBroken`."""
        try:
            verdict = self._verdict(record)
            commit = wire.decode_commit(record) if isinstance(verdict, Accepted) else None
        except Undecodable as error:
            raise ChainBroken(self.head.log, self.head.partition, offset, str(error)) from error
        match verdict:
            case Accepted() if commit is not None:
                self.accept(commit, commit.events, chain.digest(record or b""), offset)
            case Void():
                self.voids += 1
                self.head = chain.past_void(self.head, offset)
            case Broken(detail):
                raise ChainBroken(self.head.log, self.head.partition, offset, detail)
            case _:
                raise AssertionError("an accepted commit was decoded")
        return verdict

    def _verdict(self, record: bytes | None) -> Verdict:
        return chain.judge(self.head, wire.decode_header(record))

    def accept(
        self, header: Header, events: Sequence[wire.Event], record_digest: str, offset: int, foreseen: Iterable[State | None] = repeat(None)
    ) -> None:
        """Fold a commit that is known to be the next one. `foreseen`: what its draft found already, an event each."""
        at, seq = Micros(header.at), header.seq
        for nth, (event, after) in enumerate(zip(events, foreseen, strict=False)):
            if after is not None:
                self.follow(event, after, at)  # type: ignore[arg-type]  # only events of executions have a state after them
            elif type(event) is outcome.Opened:
                self._open(event)
            else:
                self.evolve(event, address(seq, nth), at)
        self.head = chain.after(self.head, header, record_digest, offset)
        self.accepted += 1
        self.events += len(events)
        self.settle(at)

    def _open(self, event: outcome.Opened) -> None:
        self.log_id, self.partitions, self.epoch = event.log_id, event.partitions, event.epoch

    def expect(self, identity: Described) -> None:
        """Raises `Conflict` unless this partition belongs to the log it is taken for."""
        found, wanted = (self.log_id, self.partitions), (identity.log_id, identity.partitions)
        if found != wanted:
            where = f"{self.head.log}[{self.head.partition}]"
            raise Conflict(
                f"{where} belongs to log {found[0]} of {found[1]} partitions, expected {wanted[0]} of {wanted[1]}: "
                "check kafka.bootstrap and prefix; a recreated topic cannot be continued"
            )

    @abstractmethod
    def evolve(self, event: wire.Event, address: Address, at: Micros) -> None:
        """Fold one event."""

    def follow(self, event: execution.Event, after: State, at: Micros) -> None:
        """Fold an event of an execution whose state after it was found by the draft that its commit was made from."""
        raise TypeError(f"{self.head.log} has no executions, and so no {type(event).__name__}")

    @abstractmethod
    def settle(self, at: Micros) -> None:
        """After a commit: forget what is out of reach."""

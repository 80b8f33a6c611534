"""The language of these tests: given(events).when(command).then(events)."""

from dataclasses import dataclass
from typing import Self

from ledger.core import executing, execution
from ledger.core.execution import Event, Report, Requested, State
from ledger.core.ids import Address, ExecutionId, Micros, Token, WorkerId, token_of

X = ExecutionId("0123456789abcdef0123456789abcdef-3")
ADA, BOB = WorkerId("ada"), WorkerId("bob")
NOON = Micros(1_800_000_000_000_000)
SECOND = 1_000_000

REQUESTED = Requested(X, "send", "send", 1, "on_demand", "default", NOON)


def token(nth: int) -> Token:
    """The token of the grant that the nth given event (from 0) made: each stands in a commit of its own."""
    return token_of(1, Address(nth + 1, 0))


def fold(events: tuple[Event, ...]) -> State | None:
    state: State | None = None
    for nth, event in enumerate(events):
        state = execution.evolve(state, event, 1, Address(nth + 1, 0), NOON)
    return state


@dataclass(frozen=True)
class Given:
    past: tuple[Event, ...]

    def when(self, command: execution.Command, at: int = NOON) -> "When":
        return When(self.past, command, Micros(at))


@dataclass(frozen=True)
class When:
    past: tuple[Event, ...]
    command: execution.Command
    at: Micros

    def decided(self) -> list[Event]:
        return executing.decide(self.command, fold(self.past), self.at)

    def then(self, *expected: Event) -> Self:
        assert self.decided() == list(expected)
        return self

    def and_repeated_changes_nothing(self) -> None:
        after = (*self.past, *self.decided())
        assert executing.decide(self.command, fold(after), self.at) == []


def given(*past: Event) -> Given:
    return Given(past)


def report(nth: int, worker: WorkerId = ADA, **more: object) -> Report:
    return Report(X, token(nth), worker, **more)  # type: ignore[arg-type]  # the fields of a report, by name

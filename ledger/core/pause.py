"""Pauses of jobs, queues, tenants and exclusivity keys, decided in the registry. What is submitted or due meanwhile is held or skipped.

Read in this order: events, state, `evolve`, commands, `decide`. Source: scheduling.md, sections 6 and 7; interfaces.md, section 2.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Literal, NamedTuple, assert_never

from msgspec import Struct

from ledger.core.ids import Address, Micros

PauseScope = Literal["job", "queue", "tenant", "key"]
REMEMBERED: Final = 10_000  # pauses that ended: of more, who was away knows the last ones


class Paused(NamedTuple):
    """What a pause is of."""

    scope: PauseScope
    name: str


# Events


class Began(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="pause.began.v1"):
    """From now on ticks of this job (queue, tenant, exclusivity key) are skipped and executions held."""

    scope: PauseScope
    name: str
    note: str | None = None
    actor: str | None = None
    reason: str | None = None


class Ended(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="pause.ended.v1"):
    """What was held goes on. Of a job it is said even where no pause stands here: its home partition may have paused it by itself."""

    scope: PauseScope
    name: str
    actor: str | None = None
    reason: str | None = None


Event = Began | Ended


# State


class Span(Struct, frozen=True, gc=False):
    """A pause that stands (`until` is None) or stood, from its acceptance to that of its end."""

    since: Micros
    until: Micros | None = None
    note: str | None = None
    actor: str | None = None


@dataclass(slots=True)
class Pauses:
    """Which stand, and which ended: a partition that was away has to know of those too, and late ticks may be made up after years."""

    standing: dict[Paused, Span] = field(default_factory=dict)
    former: dict[Paused, list[Span]] = field(default_factory=dict)
    ended: deque[Paused] = field(default_factory=deque)
    resumed: dict[str, tuple[Address, Ended, Micros]] = field(default_factory=dict)  # job id -> where and when it was resumed last

    @property
    def are_none(self) -> bool:
        return not self.standing and not self.former

    def spans(self, names: Iterable[Paused], after: int) -> list[Span]:
        """The pauses of any of these that reach beyond an instant, in no order; they may overlap."""
        found: list[Span] = []
        for name in names:
            found += takewhile(lambda span: span.until is not None and span.until > after, reversed(self.former.get(name, ())))
            if (span := self.standing.get(name)) is not None:
                found.append(span)
        return found

    def copy(self) -> "Pauses":
        """One that may be folded further without changing this one."""
        former = {name: list(spans) for name, spans in self.former.items()}
        return Pauses(dict(self.standing), former, deque(self.ended), dict(self.resumed))


def names_of(job_id: str, queue: str, tenant: str | None, exclusive_key: str | None) -> list[Paused]:
    """What a pause may be of that concerns an execution or a tick with these."""
    names = [Paused("job", job_id), Paused("queue", queue)]
    if tenant is not None:
        names.append(Paused("tenant", tenant))
    if exclusive_key is not None:
        names.append(Paused("key", exclusive_key))
    return names


def evolve(state: Pauses, event: Event, address: Address, at: Micros) -> None:
    """Fold one event into `state`, in place."""
    name = Paused(event.scope, event.name)
    match event:
        case Began():
            state.standing[name] = Span(at, None, event.note, event.actor)
        case Ended():
            if event.scope == "job":
                state.resumed[event.name] = (address, event, at)
            if (span := state.standing.pop(name, None)) is not None:
                state.former.setdefault(name, []).append(Span(span.since, at, span.note, span.actor))
                state.ended.append(name)
        case _:
            assert_never(event)
    if len(state.ended) > REMEMBERED:
        _forget(state, state.ended.popleft())


def _forget(state: Pauses, name: Paused) -> None:
    spans = state.former[name]
    del spans[0]
    if not spans:
        del state.former[name]


# Commands


class Pause(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="pause.begin.v1"):
    """Hold a job, a queue, a tenant or an exclusivity key. Where it is held already nothing changes, the note neither."""

    command_id: str
    scope: PauseScope
    name: str
    note: str | None = None
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


class Resume(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="pause.end.v1"):
    """Let it go on; of a job also what it paused itself by `pause_on_failure`."""

    command_id: str
    scope: PauseScope
    name: str
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


Command = Pause | Resume


def decide(command: Command, state: Pauses) -> list[Event]:
    """The events that `command` leads to; none where it is so already. That a job exists is for the caller to see to."""
    standing = Paused(command.scope, command.name) in state.standing
    match command:
        case Pause(_, scope, name, note, actor, reason):
            return [] if standing else [Began(scope, name, note, actor, reason)]
        case Resume(_, scope, name, actor, reason):
            return [Ended(scope, name, actor, reason)] if standing or scope == "job" else []
        case _:
            assert_never(command)

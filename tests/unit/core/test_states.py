"""The state machine of an execution as two tables: what each command leads to in each situation, and which state an event makes of which.

A table that leaves out a pair fails, and so does a new state, command, outcome or event that no table knows. What the events say in
full is in `test_execution.py`.
"""

from collections.abc import Callable
from typing import get_args, get_type_hints

import pytest
from msgspec import structs

from ledger.core import executing, execution
from ledger.core.execution import (
    Active,
    AttemptFailed,
    AttemptLost,
    BecomeDue,
    Blocked,
    Buffered,
    Cancel,
    Cancelled,
    CancelRequested,
    Command,
    Completed,
    Delayed,
    Due,
    Ended,
    Event,
    Expire,
    Failed,
    GiveUp,
    HandedBack,
    Lose,
    Lost,
    Missed,
    Progressed,
    Release,
    Report,
    ReportRefused,
    Requested,
    Skipped,
    Snoozed,
    Started,
    State,
    Waiting,
)
from ledger.core.ids import Address, ExecutionId, Micros, Token
from tests.unit.core.spec import ADA, BOB, NOON, REQUESTED, SECOND, X, fold, token

SOON = Micros(NOON + SECOND)
OTHER = ExecutionId("fedcba9876543210fedcba9876543210-3")
OLD = Token(7)

# Situations: what happened before. The start deadline of all is in a second, and so is the time of what is delayed.

HASTY = structs.replace(REQUESTED, start_deadline=SOON)
STARTED = Started(X, 1, token(0), ADA)
ASKED = CancelRequested(X, "cancel_other", OTHER)
SITUATIONS: dict[str, tuple[Event, ...]] = {
    "unknown": (),
    "waiting": (HASTY,),
    "lost_once": (HASTY, STARTED, AttemptLost(X, 1, ADA)),
    "returned": (HASTY, STARTED, HandedBack(X, 1, ADA)),
    "delayed": (structs.replace(HASTY, run_at=SOON),),
    "retrying": (HASTY, STARTED, AttemptFailed(X, 1, "failed", "Error", "", SOON)),
    "snoozing": (HASTY, STARTED, Snoozed(X, 1, SOON)),
    "buffered": (structs.replace(HASTY, blocked_by=OTHER),),
    "active": (HASTY, STARTED),
    "asked": (HASTY, STARTED, ASKED),  # to stop
    "done": (HASTY, STARTED, Completed(X, 1)),
    "fenced": (HASTY, STARTED, Cancelled(X, "terminate_other", 1)),
    "lost": (HASTY, STARTED, Lost(X, 1, ADA)),
    "never": (HASTY, Missed(X, "start_deadline")),  # it ended without an attempt
}


def says(**more: object) -> Callable[[Token], Command]:
    return lambda granted: structs.replace(Report(X, granted, ADA), **more)


def just(command: Command) -> Callable[[Token], Command]:
    return lambda _: command


# Commands, of the token that is granted at the time, and their time of decision.

RETRIED = {"retry_after_ms": 5000}
COMMANDS: dict[str, tuple[Callable[[Token], Command], Micros]] = {
    "start": (says(), NOON),
    "start by another": (says(worker=BOB), NOON),
    "start, old token": (says(token=OLD), NOON),
    "progress": (says(progress=40), NOON),
    "completed": (says(outcome="completed"), NOON),
    "completed by another": (says(outcome="completed", worker=BOB), NOON),
    "completed, old token": (says(outcome="completed", token=OLD), NOON),
    "failed": (says(outcome="failed"), NOON),
    "failed, retried": (says(outcome="failed", **RETRIED), NOON),
    "timed_out": (says(outcome="timed_out"), NOON),
    "timed_out, retried": (says(outcome="timed_out", **RETRIED), NOON),
    "handed_back": (says(outcome="handed_back"), NOON),
    "snoozed": (says(outcome="snoozed", **RETRIED), NOON),
    "skipped": (says(outcome="skipped"), NOON),
    "skipped by another": (says(outcome="skipped", worker=BOB), NOON),
    "cancelled": (says(outcome="cancelled"), NOON),
    "due, too early": (just(BecomeDue(X)), NOON),
    "due": (just(BecomeDue(X)), SOON),
    "expire, too early": (just(Expire(X)), NOON),
    "expire": (just(Expire(X)), SOON),
    "lose": (just(Lose(X, ADA, 3)), NOON),
    "lose, the last": (just(Lose(X, ADA, 1)), NOON),
    "lose, another's": (just(Lose(X, BOB, 1)), NOON),
    "cancel": (just(Cancel(X, "asked")), NOON),
    "cancel_other": (just(Cancel(X, "cancel_other", OTHER)), NOON),
    "terminate_other": (just(Cancel(X, "terminate_other", OTHER)), NOON),
    "release": (just(Release(X)), NOON),
    "give up": (lambda granted: GiveUp(X, granted, 60.0), NOON),
    "give up, old token": (just(GiveUp(X, OLD, 60.0)), NOON),
}

# What they lead to. A word that is not an event's name is the reason of a refusal.

QUIET = "nothing"
WAITS = "waiting lost_once returned"
HELD_UP = "delayed retrying snoozing"
ENDED_UNHEARD = "fenced lost never"
NO_ATTEMPT = f"{HELD_UP} buffered {ENDED_UNHEARD}"
NOT_RUNNING = f"unknown {WAITS} {HELD_UP} buffered done {ENDED_UNHEARD}"
ALL = " ".join(SITUATIONS)
STRANGER = {"unknown_execution": "unknown"}
LED_TO: dict[str, dict[str, str]] = {
    "start": {"Started": WAITS, QUIET: "active asked done", "stale_token": NO_ATTEMPT, **STRANGER},
    "start by another": {"Started": WAITS, "not_the_worker": "active asked done", "stale_token": NO_ATTEMPT, **STRANGER},
    "start, old token": {"stale_token": f"{WAITS} active asked done {NO_ATTEMPT}", **STRANGER},
    "progress": {"Started Progressed": WAITS, "Progressed": "active asked", QUIET: "done", "stale_token": NO_ATTEMPT, **STRANGER},
    "completed": {"Started Completed": WAITS, "Completed": "active asked", QUIET: "done", "stale_token": NO_ATTEMPT, **STRANGER},
    "completed by another": {
        "Started Completed": WAITS,
        "not_the_worker": "active asked done",
        "stale_token": NO_ATTEMPT,
        **STRANGER,
    },
    "completed, old token": {"stale_token": f"{WAITS} active asked done {NO_ATTEMPT}", **STRANGER},
    "failed": {
        "Started Failed": WAITS,
        "Failed": "active asked",
        QUIET: f"{HELD_UP} done",
        "stale_token": f"buffered {ENDED_UNHEARD}",
        **STRANGER,
    },
    "failed, retried": {
        "Started AttemptFailed": WAITS,
        "AttemptFailed": "active",
        "Cancelled": "asked",
        QUIET: f"{HELD_UP} done",
        "stale_token": f"buffered {ENDED_UNHEARD}",
        **STRANGER,
    },
    "handed_back": {QUIET: f"{WAITS} done", "HandedBack": "active", "Cancelled": "asked", "stale_token": NO_ATTEMPT, **STRANGER},
    "snoozed": {
        "Started Snoozed": WAITS,
        "Snoozed": "active",
        "Cancelled": "asked",
        QUIET: f"{HELD_UP} done",
        "stale_token": f"buffered {ENDED_UNHEARD}",
        **STRANGER,
    },
    "skipped": {"Skipped": f"{WAITS} active asked", QUIET: "done", "stale_token": NO_ATTEMPT, **STRANGER},
    "skipped by another": {"Skipped": WAITS, "not_the_worker": "active asked done", "stale_token": NO_ATTEMPT, **STRANGER},
    "cancelled": {"Started Cancelled": WAITS, "Cancelled": "active asked", QUIET: "done", "stale_token": NO_ATTEMPT, **STRANGER},
    "due, too early": {QUIET: ALL},
    "due": {"Due": HELD_UP, QUIET: f"unknown {WAITS} buffered active asked done {ENDED_UNHEARD}"},
    "expire, too early": {QUIET: ALL},
    "expire": {
        "Missed": "waiting delayed buffered",
        QUIET: f"unknown lost_once returned retrying snoozing active asked done {ENDED_UNHEARD}",
    },
    "lose": {"AttemptLost": "active", "Cancelled": "asked", QUIET: NOT_RUNNING},
    "lose, the last": {"Lost": "active", "Cancelled": "asked", QUIET: NOT_RUNNING},
    "lose, another's": {QUIET: ALL},
    "cancel": {"CancelRequested": "active asked", "Cancelled": f"{WAITS} {HELD_UP} buffered", QUIET: f"unknown done {ENDED_UNHEARD}"},
    "cancel_other": {
        "CancelRequested": "active",
        "Cancelled": f"{WAITS} {HELD_UP} buffered",
        QUIET: f"unknown asked done {ENDED_UNHEARD}",
    },
    "terminate_other": {"Cancelled": f"{WAITS} {HELD_UP} buffered active asked", QUIET: f"unknown done {ENDED_UNHEARD}"},
    "release": {"Due": "buffered", QUIET: f"unknown {WAITS} {HELD_UP} active asked done {ENDED_UNHEARD}"},
    "give up": {"Skipped": WAITS, QUIET: f"unknown {HELD_UP} buffered active asked done {ENDED_UNHEARD}"},
    "give up, old token": {QUIET: ALL},
}
LED_TO["timed_out"] = LED_TO["failed"]
LED_TO["timed_out, retried"] = LED_TO["failed, retried"]
CELLS = [
    pytest.param(command, situation, cell, id=f"{situation}-{command}")
    for command, cells in LED_TO.items()
    for cell, situations in cells.items()
    for situation in situations.split()
]


def names(events: list[Event]) -> str:
    return " ".join(event.reason if isinstance(event, ReportRefused) else type(event).__name__ for event in events) or QUIET


@pytest.mark.parametrize(("command", "situation", "cell"), CELLS)
def test_a_command_in_a_situation_is_allowed_refused_or_quiet_and_repeated_it_adds_nothing(command: str, situation: str, cell: str) -> None:
    make, at = COMMANDS[command]
    past = SITUATIONS[situation]
    state = fold(past)
    wish = make(getattr(state, "token", None) or token(0))
    decided = executing.decide(wish, state, at)
    assert names(decided) == cell
    after = fold((*past, *decided))
    again = executing.decide(wish, after, at)
    if any(isinstance(event, ReportRefused) for event in decided):
        assert (after, again) == (state, decided), "a refusal changes nothing, and is said each time"
    else:
        assert again == []


def test_the_table_knows_every_command_in_every_situation_once() -> None:
    assert LED_TO.keys() == COMMANDS.keys()
    for command, cells in LED_TO.items():
        assert sorted(" ".join(cells.values()).split()) == sorted(SITUATIONS), command


def test_the_table_knows_every_state_command_outcome_and_reason() -> None:
    assert {type(fold(past)) for past in SITUATIONS.values()} == {type(None), *get_args(State)}
    said = [make(token(0)) for make, _ in COMMANDS.values()]
    assert {type(one) for one in said} == set(get_args(Command))
    assert {one.outcome for one in said if isinstance(one, Report)} == {None, *get_args(get_args(get_type_hints(Report)["outcome"])[0])}
    assert {one.reason for one in said if isinstance(one, Cancel)} == set(get_args(execution.CancelReason)) - {"by_handler"}


# What an event makes of a state. It cannot follow a state that its row does not name.

EVENTS: dict[str, Event] = {
    "requested": HASTY,
    "requested for later": structs.replace(HASTY, run_at=SOON),
    "requested behind another": structs.replace(HASTY, blocked_by=OTHER),
    "due": Due(X),
    "started": Started(X, 1, token(0), ADA),
    "progressed": Progressed(X, 1, 40),
    "completed": Completed(X, 1),
    "attempt failed": AttemptFailed(X, 1, "failed", "Error", "", SOON),
    "failed": Failed(X, 1, "failed", "Error", ""),
    "handed back": HandedBack(X, 1, ADA),
    "snoozed": Snoozed(X, 1, SOON),
    "attempt lost": AttemptLost(X, 1, ADA),
    "lost": Lost(X, 1, ADA),
    "missed": Missed(X, "start_deadline"),
    "skipped": Skipped(X, "version_too_old", ADA),
    "blocked": Blocked(X, OTHER),
    "cancel requested": ASKED,
    "cancelled": Cancelled(X, "asked", 1),
    "terminated": Cancelled(X, "terminate_other", 1),
    "report refused": ReportRefused(X, OLD, BOB, "stale_token"),
}
SHAPES: dict[str, tuple[Event, ...]] = {
    "unknown": (),
    **{name: SITUATIONS[name] for name in ("waiting", "delayed", "buffered", "active")},
    "ended": SITUATIONS["done"],
}
UNREQUESTED, LIVE = "unknown", "waiting delayed buffered active"
MAKES: dict[str, dict[type[State] | None, str]] = {
    "requested": {Waiting: UNREQUESTED},
    "requested for later": {Delayed: UNREQUESTED},
    "requested behind another": {Buffered: UNREQUESTED},
    "due": {Waiting: "delayed buffered"},
    "started": {Active: "waiting"},
    "progressed": {Active: "active"},
    "completed": {Ended: "active"},
    "attempt failed": {Delayed: "active"},
    "failed": {Ended: "active"},
    "handed back": {Waiting: "active"},
    "snoozed": {Delayed: "active"},
    "attempt lost": {Waiting: "active"},
    "lost": {Ended: "active"},
    "missed": {Ended: "waiting delayed buffered"},
    "skipped": {Ended: LIVE},
    "blocked": {Buffered: "waiting delayed"},
    "cancel requested": {Active: "active"},
    "cancelled": {Ended: LIVE},
    "terminated": {Ended: LIVE},
    "report refused": {None: "unknown", Waiting: "waiting", Delayed: "delayed", Buffered: "buffered", Active: "active", Ended: "ended"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_makes_one_state_of_another_or_cannot_follow_it(name: str, shape: str) -> None:
    made = [after for after, before in MAKES[name].items() if shape in before.split()]
    state = fold(SHAPES[shape])
    if made:
        after = execution.evolve(state, EVENTS[name], 1, Address(9, 0), NOON)
        assert (None if after is None else type(after)) == made[0]
    else:
        with pytest.raises(AssertionError, match="not written by `decide`"):
            execution.evolve(state, EVENTS[name], 1, Address(9, 0), NOON)


def test_the_tables_know_every_event_and_every_state() -> None:
    assert MAKES.keys() == EVENTS.keys()
    assert {type(event) for event in EVENTS.values()} == set(get_args(Event))
    assert {type(fold(past)) for past in SHAPES.values()} == {type(None), *get_args(State)}


def test_nothing_follows_an_end_but_the_refusal_of_a_report() -> None:
    assert {name for name, cells in MAKES.items() if "ended" in " ".join(cells.values()).split()} == {"report refused"}
    for command, cells in LED_TO.items():
        for cell, situations in cells.items():
            if {"done", "fenced", "lost", "never"} & set(situations.split()):
                assert cell in (QUIET, "stale_token", "not_the_worker"), command


def test_every_event_is_decided_by_a_command_but_the_request_itself() -> None:
    """And the place in a line, which is decided from all executions under a key: `test_exclusivity.py`."""
    decided = {name for cells in LED_TO.values() for cell in cells for name in cell.split()}
    assert {event.__name__ for event in get_args(Event)} - decided == {Requested.__name__, ReportRefused.__name__, Blocked.__name__}

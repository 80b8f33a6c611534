"""Unique submits: given what was asked for under a unique key, when it is asked for again, then it is ignored, refused, or replaces."""

from typing import get_args

import pytest
from msgspec import Raw

from ledger.core import execution, request, wire
from ledger.core.causes import Cause, Story
from ledger.core.definition import Register
from ledger.core.execution import MOST_REPLACED, Due, Ended, Requested, Skipped
from ledger.core.ids import ExecutionId, Micros
from ledger.core.options import Options
from ledger.core.outcome import Accepted, Answer, Rejected
from ledger.core.uniqueness import OnConflict, Unique, UniqueState
from ledger.submitting.naming import keyed_command_id
from tests.unit.control.home import HOUR, NOON, SECOND, Home, fired


def world() -> Home:
    home = Home()
    home.ask(Register(home.name(), "sync", "sync", "on_demand", "default", 1, "h", exclusive_scope="key", exclusive_field="account"))
    return home


def unique(home: Home, on_conflict: OnConflict = "ignore", *states: UniqueState, key: str = "k", **more: object) -> request.Submit:
    wanted = Unique(key, states or ("delayed", "waiting", "active"), on_conflict)
    return request.Submit(home.name(), str(more.pop("job_id", "beat")), unique=wanted, answer="me", **more)  # type: ignore[arg-type]  # by name


def first(home: Home, **more: object) -> ExecutionId:
    [one] = fired(home.send(unique(home, **more)))  # type: ignore[arg-type]  # by name
    return one


def known_as(home: Home, events: list[wire.Event]) -> ExecutionId | None:
    """Which execution the submit was answered with instead of one of its own."""
    [accepted] = events
    assert isinstance(accepted, Accepted) and accepted.outcome == "unchanged"
    [told] = home.answers
    assert isinstance(told, Answer) and told.execution_id == accepted.execution_id
    return accepted.execution_id


def test_what_is_there_already_answers_for_it() -> None:
    home = world()
    one = first(home)
    again = unique(home)
    assert known_as(home, home.send(again)) == one
    home.report(one)
    assert home.send(again) == []  # a repeat of the ignored one, though the way is free now
    assert isinstance(told := home.answers[0], Answer) and told.execution_id == one
    assert fired(home.send(unique(home))) != [one]


def test_others_are_not_in_the_way() -> None:
    home = world()
    one = first(home)
    others = [unique(home, key="other"), unique(home, tenant="acme"), request.Submit(home.name(), "beat")]
    others += [unique(home, job_id="sync", exclusive_key=key) for key in ("a", "b")]
    assert len({one, *fired(home.send(*others))}) == 6


def test_of_two_at_once_the_second_is_ignored() -> None:
    home = world()
    events = home.send(unique(home), unique(home))
    [one] = fired(events)
    assert [event.execution_id for event in events if isinstance(event, Accepted)] == [one]


def test_it_is_refused_with_the_name_of_the_other() -> None:
    home = world()
    one = first(home)
    [refused] = home.send(unique(home, "reject"))
    assert isinstance(refused, Rejected) and refused.reason == "not_unique" and one in refused.detail


def test_it_takes_the_place_of_what_has_not_begun() -> None:
    home = world()
    one = first(home, delay_ms=5000)
    replacing = unique(home, "replace")
    gone, requested = home.send(replacing)
    assert isinstance(gone, Skipped) and (gone.execution_id, gone.reason) == (one, "replaced")
    assert isinstance(requested, Requested) and requested.unique_key == "k"
    assert home.send(replacing) == []
    home.act(NOON + 6 * SECOND)
    assert isinstance(home.partition.executions[one], Ended)


def test_one_that_replaces_by_its_unique_key_and_by_keep_last_is_answered_when_it_is_in_the_log() -> None:
    home = world()
    home.start(first(home, key="another", job_id="sync", exclusive_key="a"))
    home.send(*(unique(home, "ignore", "completed", job_id="sync", exclusive_key="a") for _ in range(200)))
    last = unique(home, "replace", "waiting", job_id="sync", exclusive_key="a", options=Options(busy="keep_last"))
    others = [request.Submit(home.name(), "beat") for _ in range(wire.MOST_EVENTS - wire.MOST_EVENTS_OF_A_COMMAND)]
    home.writer.deliver(home.commands, Micros(home.now), [*others, last])
    draft = home.draft()
    assert home.writer.fill(draft)
    [(_, told)] = draft.effects.answers
    assert isinstance(told, Answer) and told.execution_id in fired(draft.events), "what is told stands in this commit"
    assert sum(isinstance(event, Skipped) for event in draft.events) == 2 * MOST_REPLACED


def test_what_has_begun_is_not_replaced() -> None:
    home = world()
    one = first(home)
    home.start(one)
    [refused] = home.send(unique(home, "replace"))
    assert isinstance(refused, Rejected) and "cannot be replaced" in refused.detail
    assert len(fired(home.send(unique(home, "replace", "waiting", "delayed")))) == 1  # beside it, as the states say


def test_under_an_exclusivity_key_the_replaced_holder_makes_way_in_the_order_of_the_line() -> None:
    home = world()
    data = Raw(b'{"account":7}')
    one = first(home, job_id="sync", data=data)
    [second] = fired(home.send(request.Submit(home.name(), "sync", data)))
    gone, due, requested = events = home.send(unique(home, "replace", job_id="sync", data=data))
    assert isinstance(gone, Skipped) and gone.execution_id == one
    assert due == Due(second)
    assert isinstance(requested, Requested) and (requested.exclusive_key, requested.blocked_by) == ("key:sync:7", second)
    assert Story().cause(events, 0) == Cause("control", "execution", requested.execution_id)  # and not the next in line


@pytest.mark.parametrize("state", sorted(set(get_args(UniqueState)) - {"delayed", "waiting", "active", "missed", "skipped", "lost"}))
def test_how_it_ended_may_stand_in_the_way_for_the_deduplication_window(state: UniqueState) -> None:
    home = world()
    one = first(home)
    home.report(one, state)
    for _ in range(2):  # also after a restart, and from a snapshot
        assert known_as(home, home.send(unique(home, "ignore", state))) == one
        home.restart(from_snapshot=True)
    home.now += HOUR + SECOND
    home.send(request.Submit(home.name(), "beat"))
    assert len(fired(home.send(unique(home, "ignore", state)))) == 1


def test_what_ended_otherwise_is_not_in_the_way() -> None:
    home = world()
    one = first(home)
    home.report(one, "failed")
    assert len(fired(home.send(unique(home, "ignore", "completed")))) == 1


def test_nothing_is_remembered_for_ever() -> None:
    home = world()
    for _ in range(3):
        home.report(first(home))
    home.now += HOUR + SECOND
    home.send(request.Submit(home.name(), "beat"))
    home.send(request.Submit(home.name(), "beat"))
    assert home.partition.uniques.by_key == {} and not home.partition.uniques.ended


def test_a_key_that_is_no_name_is_refused() -> None:
    home = world()
    [refused] = home.send(unique(home, key="no name"))
    assert isinstance(refused, Rejected) and "unique.key" in refused.detail


def test_data_without_the_field_of_the_exclusivity_key_is_refused() -> None:
    home = world()
    for data in (b"{}", b'{"account":[]}', b'{"account":true}', b'{"account":""}'):
        [refused] = home.send(request.Submit(home.name(), "sync", Raw(data)))
        assert isinstance(refused, Rejected) and refused.reason == "invalid_data"
    [requested] = home.send(request.Submit(home.name(), "sync", Raw(b'{"account":"x"}'), exclusive_key="given"))
    assert isinstance(requested, execution.Requested) and requested.exclusive_key == "key:sync:given"


def test_who_comes_again_after_it_was_forgotten_ends_twice_and_is_forgotten_once() -> None:
    home = world()
    home.partition.remembered = 3
    command = unique(home)
    for _ in range(2):
        (one,) = fired(home.send(command))
        home.report(one)
        for _ in range(4):  # more than are remembered
            home.report(fired(home.send(request.Submit(home.name(), "beat")))[0])
    for _ in range(2):
        home.now += 2 * HOUR
        home.report(fired(home.send(request.Submit(home.name(), "beat")))[0])
    home.restart(from_snapshot=True)
    assert home.partition.uniques.by_key == {} and not home.partition.uniques.ended


@pytest.mark.parametrize("on_conflict", ["ignore", "reject"])
def test_what_became_of_a_key_is_known_for_the_window(on_conflict: OnConflict) -> None:
    home = world()
    one = first(home)
    keyed = request.Submit(
        keyed_command_id("beat", None, None, "k"), "beat", idempotency_key="k", unique=Unique("k", on_conflict=on_conflict)
    )
    assert len(home.send(keyed)) == 1
    home.report(one)
    home.now += HOUR
    assert home.send(keyed) == []
    home.now += SECOND
    home.act()
    home.send(request.Submit(home.name(), "beat"))
    assert len(fired(home.send(keyed))) == 1


def test_a_key_that_was_refused_may_ask_again_after_the_window() -> None:
    home = world()
    keyed = request.Submit(keyed_command_id("later", None, None, "k"), "later", idempotency_key="k")
    [refused] = home.send(keyed)
    assert isinstance(refused, Rejected) and refused.reason == "unknown_job"
    home.ask(Register(home.name(), "later", "later", "on_demand", "default", 1, "h"))
    assert home.send(keyed) == []
    home.now += HOUR + SECOND
    home.send(request.Submit(home.name(), "beat"))
    assert len(fired(home.send(keyed))) == 1


def test_what_became_of_a_key_last_is_known_for_the_window_and_over_a_restart() -> None:
    """Refused first, then known as another's: the second time counts."""
    home = world()
    keyed = request.Submit(keyed_command_id("later", None, None, "k"), "later", idempotency_key="k", unique=Unique("u"))
    home.send(keyed)
    home.now += HOUR + SECOND
    home.ask(Register(home.name(), "later", "later", "on_demand", "default", 1, "h"))
    home.send(request.Submit(home.name(), "later", unique=Unique("u")))
    assert len(home.send(keyed)) == 1  # the one that is there
    home.now += HOUR - SECOND
    home.restart(from_snapshot=True)
    assert home.send(keyed) == []
    home.now += 2 * SECOND
    home.send(request.Submit(home.name(), "beat"))
    assert home.partition.of_keys == {} and len(home.send(keyed)) == 1

"""Pauses in a home partition: ticks are skipped for good, what is submitted or run by hand is held until the resume."""

from collections.abc import Callable

import pytest

from ledger.core import request, tick, wire
from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId
from ledger.core.pause import Pause, PauseScope, Resume
from processors.control.dispatch import Dispatch
from processors.control.held import Held
from tests.unit.control.home import DAY, HOUR, NOON, SECOND, WORKER, Home, fired, told

KEY = "tenant:beat:acme"
SCOPES: list[tuple[PauseScope, str]] = [("job", "beat:1"), ("queue", "default"), ("tenant", "acme"), ("key", KEY)]


def beating(**spec: object) -> Home:
    home = Home()
    home.schedule(tenant="acme", **{"overlap": "allow_all", **spec})
    home.act()
    return home


def pause(home: Home, scope: PauseScope, name: str) -> None:
    home.ask(Pause(home.name(), scope, name, "because"))


def resume(home: Home, scope: PauseScope, name: str) -> None:
    home.ask(Resume(home.name(), scope, name, "ada", "better now"))


class Runner:
    """What would be offered to it."""

    def __init__(self, home: Home) -> None:
        self.dispatch = Dispatch(home.partition, 100, held=Held(home.partition, home.facts.registry.pauses))

    def take(self) -> list[ExecutionId]:
        return [execution_id for some in self.dispatch.take(0.0).values() for execution_id in some]


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_ticks_within_a_pause_are_skipped_and_never_made_up(scope: PauseScope, name: str) -> None:
    home = beating()
    assert told(home.act(NOON + 2 * SECOND)) == [1, 2]
    home.now += SECOND // 2
    pause(home, scope, name)
    events = home.act(NOON + 5 * SECOND)
    home.now += SECOND // 2
    resume(home, scope, name)
    events += home.act(NOON + 7 * SECOND)
    assert told(events) == [("paused", 3, 5, 3), 6, 7]


def test_a_long_pause_leaves_a_range_a_minute() -> None:
    home = beating()
    pause(home, "tenant", "acme")
    home.act(NOON)
    ranges = [told(home.act(NOON + nth * SECOND)) for nth in range(1, 121)]
    assert [some for some in ranges if some] == [[("paused", 1, 60, 60)], [("paused", 61, 120, 60)]]


def test_a_pause_that_came_and_went_while_control_was_away_skips_what_fell_into_it() -> None:
    home = beating()
    home.now = NOON + 20 * SECOND + 1
    pause(home, "queue", "default")
    home.now = NOON + 30 * SECOND + 1
    resume(home, "queue", "default")
    home.restart()
    assert told(home.act(NOON + 35 * SECOND)) == [("coalesced", 1, 19, 19), 20, ("paused", 21, 30, 10), *range(31, 36)]


def test_a_pause_of_long_ago_skips_what_fell_into_it_where_late_ticks_are_made_up_for_long() -> None:
    home = beating(every_ms=3_600_000, coalesce="all", catchup_window_ms=30 * 86_400_000)
    home.now = NOON + HOUR // 2
    pause(home, "job", "beat:1")
    home.now += 2 * HOUR
    resume(home, "job", "beat:1")
    home.now = NOON + 9 * DAY
    pause(home, "queue", "another")
    resume(home, "queue", "another")
    home.restart()
    assert told(home.act())[:2] == [("paused", 3600, 7200, 2), 10_800]


def test_a_pause_is_acknowledged_even_where_nothing_is_decided() -> None:
    home = Home()
    home.act()
    pause(home, "tenant", "nobody")
    assert home.act() == []
    assert home.partition.head.registry == home.facts.registry.at


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_what_waits_is_held_and_goes_on_in_its_order(scope: PauseScope, name: str) -> None:
    exclusive = scope == "key"
    home = beating(exclusive_scope="tenant" if exclusive else "none")
    waiting = fired(home.act(NOON + 3 * SECOND))[: 1 if exclusive else None]
    runner = Runner(home)
    pause(home, scope, name)
    home.act()
    assert runner.take() == []
    resume(home, scope, name)
    home.act()
    assert runner.take() == waiting


def test_a_run_now_is_accepted_and_held_unless_it_ignores_the_pause() -> None:
    home = beating(exclusive_scope="none")
    pause(home, "job", "beat:1")
    home.act()
    held, urgent = (request.RunNow(home.name(), "beat:1", ignore_pause=ignore) for ignore in (False, True))
    (waits,), (goes,) = home.send(held), home.send(urgent)
    assert isinstance(waits, Requested) and isinstance(goes, Requested)
    runner = Runner(home)
    assert runner.take() == [goes.execution_id]
    resume(home, "job", "beat:1")
    home.act()
    assert runner.take() == [waits.execution_id]


def test_what_is_held_twice_goes_when_the_last_pause_has_ended() -> None:
    home = beating()
    waiting = fired(home.act(NOON + SECOND))
    pause(home, "job", "beat:1")
    pause(home, "tenant", "acme")
    home.act()
    runner = Runner(home)
    assert runner.take() == []
    resume(home, "job", "beat:1")
    assert runner.take() == []
    resume(home, "tenant", "acme")
    assert runner.take() == waiting


# A job that pauses itself


def failing(home: Home, count: int) -> list[object]:
    """So many ticks whose executions fail; what else happens."""
    other: list[object] = []
    for _ in range(count):
        (execution_id,) = fired(home.act(home.now + SECOND))
        other += [event for event in home.report(execution_id, "failed") if isinstance(event, tick.AutoPaused)]
    return other


def test_after_so_many_failures_in_a_row_a_job_pauses_itself_with_a_note() -> None:
    home = beating(pause_on_failure=2)
    assert failing(home, 1) == []
    (execution_id,) = fired(home.act(home.now + SECOND))
    home.report(execution_id)
    assert failing(home, 1) == [], "one that completed resets the count"
    (paused,) = failing(home, 1)
    assert isinstance(paused, tick.AutoPaused) and (paused.failures, paused.job_id) == (2, "beat:1")
    assert told(home.act(home.now + DAY))[0] == ("paused", 5, 86_404, 86_400)


@pytest.mark.parametrize("ends", [lambda home, one: home.report(one, "timed_out"), lambda home, one: home.lose(WORKER, 1)])
def test_what_timed_out_or_was_lost_counts_too(ends: Callable[[Home, ExecutionId], list[wire.Event]]) -> None:
    home = beating(pause_on_failure=1, exclusive_scope="none")
    (execution_id,) = fired(home.act(NOON + SECOND))
    home.start(execution_id)
    assert tick.AutoPaused in map(type, ends(home, execution_id))


def test_only_what_failed_counts() -> None:
    home = beating(pause_on_failure=1)
    (execution_id,) = fired(home.act(home.now + SECOND))
    assert not [event for event in home.report(execution_id, "cancelled") if isinstance(event, tick.AutoPaused)]


def test_a_resume_lifts_it_whatever_was_resumed_before() -> None:
    home = beating(pause_on_failure=1, exclusive_scope="none")
    resume(home, "job", "beat:1")
    home.act()
    assert len(failing(home, 1)) == 1
    home.restart(from_snapshot=True)
    home.now += 2 * SECOND + 1
    resume(home, "job", "beat:1")
    events = home.act(home.now + 2 * SECOND)
    assert told(events) == [("paused", 2, 3, 2), 4, 5]
    (lifted,) = (event for event in events if isinstance(event, tick.AutoResumed))
    assert (lifted.actor, lifted.reason) == ("ada", "better now")
    home.restart()
    assert not home.partition.stopped and home.act() == []
    assert len(failing(home, 1)) == 1, "the count begins anew"


def test_what_a_job_that_paused_itself_has_waiting_is_held() -> None:
    home = beating(pause_on_failure=1, exclusive_scope="none")
    first, second = fired(home.act(NOON + 2 * SECOND))
    home.report(first, "failed")
    runner = Runner(home)
    assert runner.take() == []
    resume(home, "job", "beat:1")
    home.act()
    assert runner.take() == [second]

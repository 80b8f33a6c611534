"""What `why` says: of ticks that fired, did not or were late; of an execution that waits or has ended."""

import inspect
import re
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest

from ledger.cli.output import say
from ledger.cli.why import lines_of, tick_row
from ledger.client.redis_reads import Standing
from ledger.client.why_execution import NOT_MENDED, Around, explain_execution
from ledger.client.why_job import WhyJob, WhyTick
from ledger.client.why_reading import is_wanting
from ledger.client.why_words import UNEXPLAINED, Known, Spent, long, pause_said, said, words
from ledger.client.why_workers import takers, unserved
from ledger.config import Settings
from ledger.context import UnrecoverableError
from ledger.core import execution, tick, why
from ledger.core.execution import Cancelled, Requested
from ledger.core.ids import ExecutionId, Micros
from ledger.core.limits import Limit, Rate
from ledger.core.tick import SkipOrdered
from ledger.core.why import Explained, Outcome
from ledger.core.workers import About
from processors.runner.settle import FINAL
from projections.paging import micros_of
from projections.rows import Attempt, Execution, PastEvent
from projections.schedule_past import Held, HomePast, RegistryPast
from projections.schedule_rows import Tick
from tests.unit.client.client_rows import AT, EXECUTION, HERE, execution_row

NOW = micros_of(AT)
SECOND = 1_000_000
PAUSED = Held("queue", "default", NOW - SECOND, None, "stock-taking", "ada")


def tick_of(
    outcome: str, reason: str | None = None, *, blocked_by: str | None = None, execution: str | None = None, count: int = 1
) -> Tick:
    return Tick(
        "hourly", "sync", None, 1, AT, AT, count, None, AT + timedelta(seconds=90), None, outcome, reason, execution, blocked_by, HERE
    )


def said_of(is_: str, reason: str | None, row: Tick | None, known: Known, spent: tuple[Spent, ...] = (), late_us: int | None = None) -> str:
    outcome = Outcome(1, NOW, NOW, 1, "fired", None, NOW, NOW, None if row is None else row.execution_id)
    explained = Explained(1, NOW, NOW, 1, is_, reason, late_us, outcome)  # type: ignore[arg-type]  # a class by name
    return words(explained, row, known, spent)


def test_a_pause_is_said_with_who_and_why_and_one_that_had_ended_is_not() -> None:
    known = Known(held=[PAUSED, Held("tenant", "acme", NOW - 5 * SECOND, NOW - SECOND, "before", "bob")])
    text = said_of("skipped", "paused", tick_of("skipped", "paused"), known)
    assert "ada (queue default" in text and text.endswith("stock-taking")
    assert "bob" not in text


@pytest.mark.parametrize(("until", "wanting"), [(None, False), (NOW + SECOND, False), (NOW - SECOND, True)])
def test_a_skip_of_a_pause_needs_one_that_stood_at_its_tick(until: int | None, wanting: bool) -> None:
    """One that was over before does not explain it: what does stands before the place from which the log was read."""
    read = HomePast(held=[Held("itself", "hourly", NOW - 5 * SECOND, until, "1 failed in a row")])
    assert is_wanting(read, RegistryPast(), [tick_of("skipped", "paused")], None) is wanting


@pytest.mark.parametrize("pause", [PAUSED, Held("itself", "hourly", NOW - SECOND, None, "1 failed in a row")])
def test_ticks_under_a_standing_pause_are_not_decided_at_once(pause: Held) -> None:
    """Their skips are written once a minute: nobody has to look after control before that."""
    text = said_of("pending", "overdue", None, Known(held=[pause], now=NOW + 22 * SECOND))
    assert text.startswith("due while paused by ") and pause_said(pause) in text and "control" not in text
    late = said_of("pending", "overdue", None, Known(held=[pause], now=NOW + 71 * SECOND))
    assert pause_said(pause) in late and "is control at work" in late
    ended = replace(pause, until=NOW + 5 * SECOND)
    assert said_of("pending", "overdue", None, Known(held=[ended], now=NOW + 22 * SECOND)).startswith(
        "due, and not decided yet: is control"
    )


def test_who_left_a_tick_out_and_who_stood_in_its_way() -> None:
    order = SkipOrdered("hourly", Micros(NOW), 1, "c", "ada", "month end")
    assert said_of("skipped", "by_hand", tick_of("skipped", "by_hand"), Known(ordered={NOW: order})).endswith("by ada: month end")
    former = replace(EXECUTION, execution_id="e0-0", state="active", first_started_at=AT)
    text = said_of("skipped", "overlap", tick_of("skipped", "overlap", blocked_by="e0-0"), Known({"e0-0": former}))
    assert "e0-0 (active, ran 2026-01-02T03:04:05.678Z to now) had not ended" in text


@pytest.mark.parametrize(
    ("is_", "reasons"),
    [
        ("skipped", (*get_args(tick.SkipReason), *get_args(execution.SkipReason))),
        ("missed", (*get_args(tick.MissReason), "start_deadline")),
        ("pending", ("not_due", "overdue")),
        ("unexplained", tuple(UNEXPLAINED)),
        ("on_time", (None,)),
        ("late", (None,)),
    ],
)
def test_each_class_and_each_reason_is_said(is_: str, reasons: tuple[str | None, ...]) -> None:
    """None of them falls through to a word alone."""
    run = replace(EXECUTION, execution_id="e1-0", error_message="of version 1")
    of_execution = get_args(execution.SkipReason)
    for reason in reasons:
        row = tick_of(is_, reason, blocked_by="e0-0", execution="e1-0" if is_ in ("on_time", "late") or reason in of_execution else None)
        text = said_of(is_, reason, row, Known({"e1-0": run}), late_us=1000)
        assert len(text) > len(f"{is_}({reason}): ") or is_ == "pending", text
        assert is_ not in ("skipped", "missed") or text.startswith(f"{is_}({reason}): "), text


def test_every_reason_of_what_is_unexplained_has_words() -> None:
    said = re.findall(r'"unexplained", "([a-z_]+)"|why = "([a-z_]+)" if .* else "([a-z_]+)"', inspect.getsource(why))
    assert {name for found in said for name in found if name} == set(UNEXPLAINED)


def test_what_was_missed_says_when_it_was_decided_and_what_was_made_up_instead() -> None:
    known = Known(made_up={1: NOW + 60 * SECOND}, silences={NOW: (NOW - SECOND, NOW + 90 * SECOND)}, window_ms={1: 60_000})
    coalesced = said_of("missed", "coalesced", tick_of("missed", "coalesced"), known)
    assert "made up by the tick 2026-01-02T03:05:05.678Z alone" in coalesced and "control said nothing" in coalesced
    assert "older than the 60.0 s" in said_of("missed", "catchup_window", tick_of("missed", "catchup_window"), known)


def test_lateness_is_said_part_by_part() -> None:
    run = replace(execution_row("completed"), first_started_at=AT)
    spent = (Spent("lock", 30_000, "e0-0"), Spent("worker", 4_200, None, "nothing of queue default started"))
    text = said_of("late", None, tick_of("fired", execution="e1-0"), Known({"e1-0": run}), spent, 34_200_000)
    assert text.startswith("started 34.2 s after it was due: 30.0 s lock held by e0-0, 4.2 s no worker took it (nothing of queue default")
    assert text.endswith("execution e1-0; completed")


@pytest.mark.parametrize(
    ("us", "text"), [(12_000, "12 ms"), (34_200_000, "34.2 s"), (300_000_000, "5 min 0 s"), (7_380_000_000, "2 h 3 min")]
)
def test_durations_as_one_says_them(us: int, text: str) -> None:
    assert long(us) == text


def reasons(around: Around) -> list[str]:
    return [one.kind for one in explain_execution(around).reasons]


def test_all_that_an_execution_waits_for() -> None:
    later = NOW + 60 * SECOND
    held = [PAUSED, Held("tenant", "acme", NOW - 5, NOW - 1)]
    assert reasons(Around(EXECUTION, later, held=held)) == ["paused"]
    holder = replace(EXECUTION, execution_id="e0-0", state="active", first_started_at=AT)
    waits = replace(EXECUTION, waiting_reason="exclusive", blocked_by="e9-0", exclusive_key="tenant:greet:acme")
    [reason] = explain_execution(Around(waits, later, line=[holder, replace(waits, execution_id="e5-0"), waits], held=held)).reasons
    assert (reason.kind, reason.execution_id) == ("lock", "e0-0")
    assert reason.text.startswith("its exclusivity tenant:greet:acme is held by e0-0 (active") and reason.text.endswith("number 2 in line")
    assert reasons(Around(replace(EXECUTION, blocked_by="e0-0"), later, blocker=holder, held=held)) == ["overlap"]
    assert reasons(Around(EXECUTION, later)) == ["no_worker"]
    assert reasons(Around(EXECUTION, later, busy=2, started=5)) == ["busy"]
    asked = PastEvent(
        HERE, NOW, Requested(ExecutionId("e1-0"), "greet", "greet", 1, "on_demand", "default", Micros(NOW), ignore_pause=True)
    )
    assert reasons(Around(EXECUTION, later, held=held, events=[asked])) == ["no_worker"]


def test_a_limit_that_is_reached_is_named_with_who_holds_it() -> None:
    places = Standing(Limit("queue", "mail", 4), 4, ("e1-0", "e2-0"))
    [reason] = explain_execution(Around(EXECUTION, NOW, limits=[places])).reasons
    assert (reason.kind, reason.execution_id) == ("limit", "e1-0")
    assert reason.text == "limit queue mail: 4 at once: held by e1-0, e2-0 and 2 more"
    rate = Standing(Limit("job", "greet", None, Rate(10, 60_000)), next_us=4_200_000)
    assert (
        explain_execution(Around(EXECUTION, NOW, limits=[rate])).reasons[0].text == "limit job greet: 10 in 1m: the next may start in 4.2 s"
    )
    assert reasons(Around(EXECUTION, NOW, limits=[places, rate], held=[PAUSED])) == ["paused"]


def worker(queue: str = "default", **jobs: int) -> About:
    return About(queue, jobs=jobs)


def test_that_no_worker_can_run_it_is_named_with_what_to_do() -> None:
    """However much of its queue runs or started meanwhile."""
    newer = replace(EXECUTION, job_version=2)
    too_new = unserved(newer, [worker(greet=1), worker(other=7), worker("mail", greet=2)], 600.0)
    [reason] = explain_execution(Around(newer, NOW + 540 * SECOND, busy=1, started=117, unserved=too_new)).reasons
    assert reason.kind == "no_worker_for_version"
    assert reason.text == (
        "offered for 9 min 0 s, and no worker of queue default has a handler for version 2 of greet (newest: 1): "
        "deploy one; after 10 min 0 s it is skipped(no_worker_for_version)"
    )
    places = Standing(Limit("queue", "default", 4), 4, ("e1-0",))
    assert reasons(Around(newer, NOW, limits=[places], unserved=too_new)) == ["no_worker_for_version", "limit"]
    assert reasons(Around(newer, NOW, held=[PAUSED], unserved=too_new)) == ["paused"]
    unknown, nobody = unserved(EXECUTION, [worker(other=7)], 600.0), unserved(EXECUTION, [worker("mail", greet=1)], 600.0)
    assert unknown is not None and (unknown.kind, unknown.remedy) == ("no_handler", "deploy one")
    assert nobody is not None and nobody.text == "no worker of queue default is heard of"
    assert unserved(newer, [worker(greet=1), worker(greet=2)], 600.0) is None
    edited = replace(newer, kind="scheduled")  # numbered by its content, as far as can be told: for any handler
    assert unserved(edited, [worker(greet=1)], 600.0) is None


async def test_without_redis_nothing_is_said_of_workers() -> None:
    nowhere = Settings.model_validate({"redis": {"url": "redis://127.0.0.1:1/0"}})
    assert await takers(nowhere) is None and unserved(EXECUTION, None, 600.0) is None


def test_a_tick_that_waits_for_a_version_nobody_has_says_so() -> None:
    run = replace(EXECUTION, execution_id="e1-0")
    text = said_of("late", None, tick_of("fired", execution="e1-0"), Known({"e1-0": run}, unserved={"e1-0": "no worker has it"}), late_us=1)
    assert text.endswith("execution e1-0; waiting: no worker has it")


def test_what_is_not_before_its_time() -> None:
    assert reasons(Around(replace(EXECUTION, state="delayed", attempt=0, run_at=AT), NOW)) == ["not_before"]
    failed = replace(EXECUTION, state="delayed", attempt=1, error_type="OSError", error_message="gone")
    [reason] = explain_execution(Around(failed, NOW)).reasons
    assert (reason.kind, "OSError: gone; the next is not before" in reason.text) == ("retry", True)


def test_what_was_snoozed_did_not_fail() -> None:
    """What is left of a former attempt's error is not its own."""
    one = replace(EXECUTION, state="delayed", attempt=2, error_type="OSError", error_message="gone")
    snoozed = Attempt("e1-0", 2, 7, "w", "snoozed", AT, AT, 3, None, None, HERE)
    [reason] = explain_execution(Around(one, NOW, [snoozed])).reasons
    assert (reason.kind, reason.text) == ("snoozed", f"its code answered in attempt 2 that it is too early: not before {said(AT)}")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (("UnrecoverableError", "no such account"), "as its code said that no retry would mend it: UnrecoverableError no such account"),
        (("invalid_data", "customers: -1"), "as its handler does not take such data, which no retry mends: invalid_data customers: -1"),
        (("OSError", "gone"), "as its retries allow no other, or none after this error: OSError gone"),
    ],
)
def test_retries_are_not_blamed_for_what_no_retry_mends(error: tuple[str, str], why: str) -> None:
    row = replace(execution_row("failed", error=error), finished_at=AT, attempt=1)
    [reason] = explain_execution(Around(row, NOW)).reasons
    assert reason.text == f"attempt 1 was the last, at {said(AT)}, {why}"


def test_every_error_of_ours_that_is_not_retried_has_words() -> None:
    assert {*FINAL.values(), UnrecoverableError.__name__} == set(NOT_MENDED)


ENDED = {"finished_at": AT, "attempt": 2}


@pytest.mark.parametrize(
    ("row", "kind", "text"),
    [
        (replace(execution_row("completed"), **ENDED, run_ms=1500), "completed", "in attempt 2, after 1.5 s"),
        (replace(execution_row("failed", error=("OSError", "gone")), **ENDED), "failed", "OSError gone"),
        (replace(execution_row("lost"), **ENDED), "lost", "its worker was not heard of"),
        (replace(execution_row("skipped", reason="version_too_old"), **ENDED), "version_too_old", "skipped(version_too_old)"),
        (replace(execution_row("missed", reason="start_deadline"), **ENDED), "start_deadline", "it had not started by"),
    ],
)  # fmt: skip
def test_why_it_ended_so(row: Execution, kind: str, text: str) -> None:
    first = Attempt(row.execution_id, 1, 7, "w", "timed_out", AT, AT, 3, "TimeoutError", "slow", HERE)
    ended, attempt = explain_execution(Around(row, NOW, [first])).reasons
    assert ended.kind == kind and text in ended.text
    assert attempt.text.endswith("TimeoutError: slow")


def test_of_one_that_was_missed_it_is_told_what_the_time_went_into() -> None:
    """It may have been held, and not wanted a worker."""
    row = replace(execution_row("missed", reason="start_deadline"), finished_at=AT, attempt=0)
    _, reason = explain_execution(Around(row, NOW, spent=[Spent("paused", 9_800, "ada"), Spent("worker", 200)])).reasons
    assert (reason.kind, reason.text) == ("not_started", "10.0 s went by since it was due: 9.8 s paused by ada, 200 ms no worker took it")


def test_who_cancelled_it() -> None:
    row = replace(execution_row("cancelled", reason="asked"), finished_at=AT, attempt=0)
    event = Cancelled(ExecutionId("e1-0"), "asked", actor="ada")
    [reason] = explain_execution(Around(row, NOW, events=[PastEvent(HERE, NOW, event)])).reasons
    assert "it was asked to (ada)" in reason.text


def test_ticks_on_time_in_a_row_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def on_time(minute: int) -> WhyTick:
        at = AT + timedelta(minutes=minute)
        return WhyTick(at, at, 1, 1, "on_time", None, "started", 12)

    paused = replace(on_time(3), class_="skipped", reason="paused", why="by ada: \x1b[2J", count=4, last_tick_at=AT + timedelta(minutes=6))
    found = WhyJob("hourly", AT, AT, 7, {"on_time": 3, "skipped": 4}, (on_time(0), on_time(1), on_time(2), paused))
    head, quiet, loud = lines_of(found)
    assert head.endswith("7 expected ticks: 3 on_time, 4 skipped")
    assert quiet.endswith("on_time  3 ticks, started within 12 ms of due")
    say(loud)
    assert "(4 ticks)  skipped  by ada: \\x1b[2J" in capsys.readouterr().out, "what users wrote does not steer the terminal"
    assert tick_row(paused)["class"] == "skipped"


def test_a_range_begins_where_it_was_asked_to() -> None:
    """What is before it, exclusively, is a microsecond older."""
    [head] = lines_of(WhyJob("hourly", AT - timedelta(microseconds=1), AT + timedelta(hours=1), 0, {}, ()))
    assert head.startswith(f"hourly, {said(AT)} to {said(AT + timedelta(hours=1))}: 0 expected ticks")

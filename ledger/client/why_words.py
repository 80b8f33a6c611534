"""What `why` says of a tick, in words for people. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, assert_never

from ledger.client.moments import datetime_of
from ledger.core.tick import ON_TIME, PAUSED_SPAN, SkipOrdered
from ledger.core.why import Explained, Into, Part
from projections.paging import micros_of
from projections.rows import Execution
from projections.schedule_past import Held
from projections.schedule_rows import Tick

UNEXPLAINED: Final = {
    "no_outcome": "the schedule in force expected it and it has no outcome, though ticks after it have, or its version has ended",
    "no_execution": "it fired, and the tables have no such execution: run `jobledger projections verify`",
    "no_such_tick": "it has an outcome, and the schedule that was in force does not expect it",
    "wrong_count": "its outcome stands for another number of ticks than the schedule expects there",
    "decided_twice": "another outcome stands for it too",
    "expected_by_no_version": "it has an outcome, and no schedule was in force that could expect it",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """A part of the lateness. `by`: the execution, or the pause, that it was spent on; `detail`: what else is known."""

    into: Into
    ms: int
    by: str | None = None
    detail: str | None = None


@dataclass(slots=True)
class Known:
    """What was found out about the ticks of a range, by whoever reads."""

    executions: Mapping[str, Execution] = field(default_factory=dict)  # of the ticks, and those in their way
    held: Sequence[Held] = ()
    ordered: Mapping[int, SkipOrdered] = field(default_factory=dict)
    made_up: Mapping[int, int] = field(default_factory=dict)  # commit -> the tick that it made up
    silences: dict[int, tuple[int, int]] = field(default_factory=dict)  # tick -> when its partition said nothing
    zones: str | None = None  # that other zone data were reckoned with
    window_ms: Mapping[int, int] = field(default_factory=dict)  # of a version: how late its ticks are made up
    not_kept: Collection[str] = ()  # executions whose rows are gone by now
    now: int = 0
    unserved: Mapping[str, str] = field(default_factory=dict)  # executions that wait -> why no worker can run them


def said(moment: datetime | int | None) -> str:
    if moment is None:
        return "-"
    at = datetime_of(moment) if isinstance(moment, int) else moment
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def long(us: int) -> str:
    """A duration as one says it."""
    seconds = us / 1_000_000
    if seconds < 1:
        return f"{us // 1000} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def held_during(held: Iterable[Held], first: int, last: int) -> list[Held]:
    return [one for one in held if one.since <= last and (one.until is None or one.until > first)]


def pause_said(one: Held) -> str:
    note = f": {one.note}" if one.note else ""
    if one.scope == "itself":
        return f"the job itself, after failures, since {said(one.since)}{note}"
    return f"{one.actor or 'somebody without a name'} ({one.scope} {one.name}, since {said(one.since)}){note}"


def blocker_said(execution_id: str | None, known: Known) -> str:
    if execution_id is None:
        return "one that is not recorded"
    run = known.executions.get(execution_id)
    if run is None:
        return execution_id
    until = said(run.finished_at) if run.finished_at is not None else "now"
    ran = f"ran {said(run.first_started_at)} to {until}" if run.first_started_at is not None else f"requested {said(run.requested_at)}"
    return f"{execution_id} ({run.state}, {ran})"


def words(one: Explained, row: Tick | None, known: Known, spent: Sequence[Spent]) -> str:
    match one.is_:
        case "on_time" | "late":
            return _fired(one, known, spent)
        case "skipped":
            return _skipped(one, row, known)
        case "missed":
            return _missed(one, row, known)
        case "pending":
            return "not due yet" if one.reason == "not_due" else _overdue(one, known)
        case "unexplained":
            zones = f"; {known.zones}" if known.zones else ""
            return UNEXPLAINED.get(one.reason or "", one.reason or "") + zones
        case _ as never:
            assert_never(never)


def _overdue(one: Explained, known: Known) -> str:
    """Control writes the skips of a standing pause together, so it is suspected only after that time."""
    pauses = [held for held in held_during(known.held, one.first, one.last) if held.until is None]
    by = f" while paused by {'; '.join(map(pause_said, pauses))}" if pauses else ""
    if pauses and known.now <= one.first + PAUSED_SPAN + ON_TIME:
        return f"due{by}: skips of a pause are written once a minute"
    return f"due{by}, and not decided yet: is control at work, are the tables up to date?"


def _fired(one: Explained, known: Known, spent: Sequence[Spent]) -> str:
    execution_id = one.outcome.execution_id if one.outcome is not None else None
    if execution_id in known.not_kept:
        return f"decided {long(one.late_us or 0)} after it was due; execution {execution_id} ended, and its row is not kept any more"
    run = known.executions.get(execution_id or "")
    state = "" if run is None else f"; {run.state}" + (f" ({run.reason})" if run.reason else "")
    state += f": {known.unserved[run.execution_id]}" if run is not None and run.execution_id in known.unserved else ""
    started = run is not None and run.first_started_at is not None
    how = f"{'started' if started else 'has not started'} {long(one.late_us or 0)} after it was due"
    parts = ": " + ", ".join(map(spent_said, spent)) if one.is_ == "late" and spent else ""
    return f"{how}{parts}; execution {execution_id}{state}"


def spent_said(one: Spent) -> str:
    what = {
        "control": "control had not decided it",
        "overlap": "it waited for a former execution",
        "paused": "paused by",
        "lock": "lock held by",
        "worker": "no worker took it",
    }[one.into]
    by = f" {one.by}" if one.by else ""
    return f"{long(one.ms * 1000)} {what}{by}" + (f" ({one.detail})" if one.detail else "")


def _skipped(one: Explained, row: Tick | None, known: Known) -> str:
    run = known.executions.get(row.execution_id or "") if row is not None else None
    if run is not None:
        detail = f": {run.error_message}" if run.error_message else ""
        return f"skipped({one.reason}){detail}; execution {run.execution_id}"
    match one.reason:
        case "paused":
            pauses = held_during(known.held, one.first, one.last)
            return "skipped(paused): by " + ("; ".join(map(pause_said, pauses)) or "a pause that the log up to here does not show")
        case "by_hand":
            by = "; ".join(_order_said(order) for at, order in known.ordered.items() if one.first <= at <= one.last)
            return f"skipped(by_hand): by {by or 'an order that the log up to here does not show'}"
        case "overlap":
            return f"skipped(overlap): {blocker_said(row.blocked_by if row else None, known)} had not ended"
        case "buffer_full":
            return f"skipped(buffer_full): as many as may wait behind {blocker_said(row.blocked_by if row else None, known)}"
        case "busy":
            return f"skipped(busy): its exclusivity was held by {blocker_said(row.blocked_by if row else None, known)}"
        case _:
            return f"skipped({one.reason})"


def _order_said(order: SkipOrdered) -> str:
    return (order.actor or "somebody without a name") + (f": {order.reason}" if order.reason else "")


def _missed(one: Explained, row: Tick | None, known: Known) -> str:
    if row is None or one.reason == "start_deadline":
        run = "" if row is None or row.execution_id is None else f"; execution {row.execution_id}"
        return f"missed({one.reason}): it had not started in time{run}"
    decided = f"decided {said(row.decided_at)}, {long(micros_of(row.decided_at) - one.last)} after the last of them"
    silent = known.silences.get(one.first)
    quiet = f"; control said nothing in this partition from {said(silent[0])} to {said(silent[1])}" if silent else ""
    if one.reason == "coalesced":
        made_up = known.made_up.get(row.address.seq)
        instead = f"made up by the tick {said(made_up)} alone" if made_up is not None else "another of the late ticks was made up"
        return f"missed(coalesced): {instead}; {decided}{quiet}"
    window = known.window_ms.get(one.job_version or 0)
    older = f", older than the {long(window * 1000)} within which they are made up" if window is not None else ""
    return f"missed({one.reason}): {decided}{older}{quiet}"


def parts_said(parts: Sequence[Part], by: Mapping[Into, tuple[str | None, str | None]]) -> tuple[Spent, ...]:
    return tuple(Spent(one.into, one.us // 1000, *by.get(one.into, (None, None))) for one in parts)

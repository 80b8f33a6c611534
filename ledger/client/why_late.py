"""What the lateness of a tick went into: control, a former execution, a pause, a lock, or no worker that took it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.client.moments import datetime_of
from ledger.client.why_words import Spent, held_during, parts_said, pause_said, said
from ledger.config import Settings
from ledger.core import execution
from ledger.core.due import EVER
from ledger.core.why import Interval, Into, Part, parts
from projections.history import read_history
from projections.paging import micros_of
from projections.reads import Reads
from projections.rows import Execution
from projections.schedule_past import Held, silence


@dataclass(frozen=True, slots=True)
class Began:
    """The way of an execution to its first start, or to now. `behind`: the execution that went first, by overlap or exclusivity."""

    decided_at: int
    eligible_at: int
    started_at: int
    behind: str | None = None
    decided_offset: int = 0


async def beginning(settings: Settings, run: Execution, now: int) -> Began:
    """From the log, as a row shows its last attempt only."""
    began = await read_history(settings, run)
    decided = began[0].at if began else micros_of(run.requested_at)
    eligible, behind = decided, run.blocked_by
    for past in began:
        match past.event:
            case execution.Requested(blocked_by=blocked_by, run_at=run_at):
                behind, eligible = blocked_by, max(decided, run_at or 0)
            case execution.Blocked(by=by):
                behind = by
            case execution.Due():
                eligible = past.at
            case execution.Started():
                return Began(decided, eligible, past.at, behind, run.requested_offset)
            case _:
                pass
    ended = run.finished_at is not None
    reached = micros_of(run.finished_at) if run.finished_at is not None else now
    still = behind is not None and run.blocked_by is not None
    return Began(decided, reached if still and not ended else eligible, reached, behind, run.requested_offset)


async def lateness(settings: Settings, reads: Reads, run: Execution, due_at: int, held: Sequence[Held], now: int) -> tuple[Spent, ...]:
    """They add up to the time from due to started."""
    began = await beginning(settings, run, now)
    stalls = held_during(held, began.eligible_at, began.started_at)
    paused = [Interval(one.since, EVER if one.until is None else one.until) for one in stalls]
    lockers = await _lockers(reads, run, began)
    locked = [Interval(micros_of(one.first_started_at), _end_of(one)) for one in lockers if one.first_started_at is not None]
    found = parts(due_at, began.decided_at, began.eligible_at, began.started_at, paused, locked)
    by: dict[Into, tuple[str | None, str | None]] = {
        "overlap": (began.behind, None),
        "paused": ("; ".join(map(pause_said, stalls)) or None, None),
        "lock": (", ".join(one.execution_id for one in lockers[:5]) or None, run.exclusive_key),
    }
    for part in found:
        if part.into == "control" and part.us > 1_000_000:
            quiet = await silence(settings, run.address.partition, began.decided_offset, due_at)
            by["control"] = (None, None if quiet is None else f"it said nothing from {said(quiet[0])} to {said(quiet[1])}")
        if part.into == "worker":
            others = await reads.started_in(run.queue, datetime_of(began.eligible_at), datetime_of(began.started_at))
            meanwhile = f"{others} others of queue {run.queue} started meanwhile" if others else f"nothing of queue {run.queue} started"
            by["worker"] = (None, meanwhile if part.us > 1_000_000 else None)
    if run.exclusive_key is not None:  # what it waited for in line was its key
        by["lock"] = (began.behind or by["lock"][0], run.exclusive_key)
        found = [Part("lock", part.us) if part.into == "overlap" else part for part in found]
    return parts_said(found, by)


async def _lockers(reads: Reads, run: Execution, began: Began) -> list[Execution]:
    if run.exclusive_key is None or began.eligible_at >= began.started_at:
        return []
    found = await reads.holders(run.exclusive_key, datetime_of(began.eligible_at), datetime_of(began.started_at))
    return [one for one in found if one.execution_id != run.execution_id]


def _end_of(run: Execution) -> int:
    return EVER if run.finished_at is None else micros_of(run.finished_at)

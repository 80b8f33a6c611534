"""A tick prepared before its time: the decision is made in the quiet before, and taken at the time if nothing changed by then.

A thousand jobs may be due at one instant, and each waits for the decisions of those before it; but what a tick comes to nearly always
follows from its schedule alone. Nothing of a plan is stored: one that is lost, or does not hold, costs the ordinary decision.
"""

from typing import NamedTuple

from msgspec import structs

from ledger.core.definition import Job
from ledger.core.execution import Requested
from ledger.core.partition_view import PartitionView
from ledger.core.tick import ON_TIME, InForce
from ledger.core.ticking import bars_of, outcomes_of


class Planned(NamedTuple):
    """What a tick comes to if it is decided from `due_at` on and before `until`, with `job` and `state` as they were, and nothing in its
    way. Its request lacks the time of decision alone."""

    job: Job
    state: InForce
    requested: Requested
    tick_at: int
    due_at: int
    until: int


def plan(then: PartitionView, job_id: str) -> Planned | None:
    """`then`: what is known now, at the time the job is due. None where its tick does not simply fire."""
    job, state = then.registry.jobs.get(job_id), then.schedule_of(job_id)
    if job is None or state is None:
        return None
    match outcomes_of(then, job_id):
        case [Requested(tick_at=int(tick_at), due_at=int(due_at)) as requested], True if _is_free(then, requested):
            late = due_at + ON_TIME
            following = requested.next_tick_at
            until = late if following is None else min(late, following + due_at - tick_at)
            return Planned(job, state, requested, tick_at, due_at, until)
        case _:
            return None


def as_planned(view: PartitionView, planned: Planned) -> Requested | None:
    """The outcome of the tick, or None if something came between."""
    job, state, requested, tick_at, due_at, until = planned
    if (
        due_at <= view.at < until
        and view.schedule_of(job.job_id) is state
        and view.registry.jobs.get(job.job_id) is job
        and not bars_of(view, job, state, view.at - (due_at - tick_at))
        and _is_free(view, requested)
    ):
        return structs.replace(requested, requested_at=view.at)
    return None


def _is_free(view: PartitionView, requested: Requested) -> bool:
    """No execution of its job or of its exclusivity key is there."""
    if requested.job_id in view.partition.runs or requested.job_id in view.runs:
        return False
    key = requested.exclusive_key
    return key is None or (view.holder(key) is None and next(view.in_line(key), None) is None)

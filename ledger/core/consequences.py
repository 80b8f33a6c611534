"""What follows at once when an execution ends: the next in line is due, or its job pauses itself.

Source: scheduling.md, sections 1 and 6.
"""

from collections.abc import Sequence
from typing import Final

from ledger.core import execution, tick
from ledger.core.engines import version_of
from ledger.core.exclusivity import next_in_line
from ledger.core.execution import Buffered, Cancelled, Completed, Ended, Failed, Lost, Missed, Requested, Skipped
from ledger.core.ids import BEFORE_ALL, ExecutionId
from ledger.core.partition_view import PartitionView
from ledger.core.wire import Event

ENDS: Final = frozenset({Completed, Failed, Lost, Missed, Skipped, Cancelled})


def followed(view: PartitionView, events: Sequence[Event]) -> Sequence[Event]:
    """The events of one decision about one execution, and what they lead to in its job."""
    partition = view.partition
    if (
        not events
        or type(events[-1]) not in ENDS
        or not (partition.schedules or partition.buffered or view.runs or view.queued or view.gave_way)
    ):
        return events
    end = events[-1]
    state = view.state_of(end.execution_id) if isinstance(end, execution.Event) else None
    if not isinstance(end, execution.Event) or state is None or isinstance(state, Ended):
        return events
    request = state.request
    following: list[Event] = next_in_line(view, request, end.execution_id)
    if request.kind == "on_demand":
        return [*events, *following]
    if request.exclusive_key is None:
        following = released(view, request.job_id, end.execution_id)
    return [*events, *_paused_itself(view, end, request), *following]


def _paused_itself(view: PartitionView, end: execution.Event, request: Requested) -> list[Event]:
    """After so many failures in a row. Whoever asked for the execution: a run by hand that fails counts as well."""
    if not isinstance(end, Failed | Lost):
        return []
    state = view.schedule_of(request.job_id)
    if state is None or state.stopped is not None:
        return []
    found = version_of(view.registry, request.job_id, state.job_version)
    spec = found[1].schedule if found is not None else None
    failures = state.failures + 1
    if spec is None or spec.pause_on_failure is None or failures < spec.pause_on_failure:
        return []
    note = f"paused itself after {failures} executions in a row that did not complete; the last is {end.execution_id}"
    return [tick.AutoPaused(request.job_id, failures, note, end.execution_id, view.registry_position() or BEFORE_ALL)]


def released(view: PartitionView, job_id: str, ended: ExecutionId) -> list[Event]:
    """Of a job without exclusivity the oldest buffered execution becomes due when no other is left. `ended` has, in this decision."""
    first = None
    for execution_id, state in view.live(job_id):
        if execution_id == ended:
            continue
        if not isinstance(state, Buffered):
            return []
        first = first or execution_id
    return [] if first is None else [execution.Due(first)]

"""The relay: an exclusive execution ends, and in the same commit its worker starts the next in line of its key.

Else each of a line costs an offer, a claim and a question for its start: three ways through Kafka and Redis. The log decides as ever: the
start stands in it before the worker hears of it, and the worker takes the lock before its code begins. It is an offer that nobody refuses,
not another order of the work: only the next in line, only where the worker says that it has room and nobody waits for it there, and only
while nobody waits for an offer here. Source: architecture.md, section 6; docs/decisions/0026.
"""

from collections.abc import Sequence
from typing import Final

from ledger.core import tick
from ledger.core.execution import Active, Buffered, Due, Report, Requested, Started, State, Waiting
from ledger.core.ids import Address, Micros, token_of
from ledger.core.instants import deadline_after
from ledger.core.offers import data_of
from ledger.core.partition_view import PartitionView
from ledger.core.pause import names_of
from ledger.core.wire import Event

MOST_BYTES: Final = 4096  # of data: what is larger goes by Kafka, not by Redis


def relayed(view: PartitionView, report: Report, ended: State | None, events: Sequence[Event], appended: Micros) -> Sequence[Event]:
    """The events of one report of a worker that `takes_next`, and the start of the next in line if that may go to it. `ended`: the state
    before them. `appended`: when the report was; one that lay about for long says little about its worker."""
    due = events[-1] if events else None
    if not isinstance(due, Due) or not isinstance(ended, Active | Waiting) or view.at - appended > view.relays_within:
        return events
    state = view.state_of(due.execution_id)
    if not isinstance(state, Buffered) or not _follows(view, ended.request, state) or _is_paused(view, state.request, events):
        return events
    request = state.request
    timeout_ms = report.timeout_ms if request.options is None or request.options.timeout_ms is None else request.options.timeout_ms
    deadline = None if timeout_ms is None else deadline_after(view.at, timeout_ms)
    token = token_of(view.partition.epoch, Address(view.seq, len(view.events) + len(events) - 1))  # of the grant, which stands last
    view.effects.relayed.append(due.execution_id)
    return [*events, Started(due.execution_id, state.attempt, token, report.worker, 0, deadline, ended.request.execution_id)]


def _follows(view: PartitionView, ended: Requested, state: Buffered) -> bool:
    """It is more of the same for the worker, and takes nobody's turn."""
    request = state.request
    return (
        request.exclusive_key is not None
        and request.exclusive_key == ended.exclusive_key
        and (request.job_name, request.job_version, request.queue) == (ended.job_name, ended.job_version, ended.queue)
        and state.attempt == 1
        and (request.start_deadline is None or request.start_deadline > view.at)
        and len(memoryview(data_of(request, view.registry))) <= MOST_BYTES
        and view.partition.backlog.is_empty(request.queue)
    )


def _is_paused(view: PartitionView, request: Requested, events: Sequence[Event]) -> bool:
    if request.ignore_pause:
        return False
    standing = view.registry.pauses.standing
    if standing and any(name in standing for name in names_of(request.job_id, request.queue, request.tenant, request.exclusive_key)):
        return True
    schedule = view.schedule_of(request.job_id)
    return (schedule is not None and schedule.stopped is not None) or any(isinstance(event, tick.AutoPaused) for event in events)

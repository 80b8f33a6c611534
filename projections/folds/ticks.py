"""`schedule_ticks`: each expected tick and what became of it; a run of the same skip or miss is one row, as it is one event."""

from ledger.core.execution import Requested
from ledger.core.instants import MILLISECOND
from ledger.core.tick import Event, Missed, Skipped
from projections.patches import Place, Rows


def fold(rows: Rows, event: Event | Requested, place: Place, index: int) -> None:
    """Of executions: those that a tick asked for."""
    match event:
        case Requested(tick_at=int(tick_at)):
            due_at = event.due_at if event.due_at is not None else tick_at
            late = max(0, place.at - due_at) // MILLISECOND
            _put(rows, event, place, index, (tick_at, tick_at, 1, due_at), late, ("fired", None, event.execution_id, None))
        case Skipped(tick_at=tick_at):
            times = (tick_at, event.last_tick_at, event.count, None)
            _put(rows, event, place, index, times, None, ("skipped", event.reason, None, event.because_of))
        case Missed(tick_at=tick_at):
            times = (tick_at, event.last_tick_at, event.count, None)
            _put(rows, event, place, index, times, None, ("missed", event.reason, None, None))
        case _:
            pass  # of a schedule, not of a tick


def _put(
    rows: Rows,
    event: Requested | Skipped | Missed,
    place: Place,
    index: int,
    times: tuple[int, int, int, int | None],
    late: int | None,
    became: tuple[str, str | None, str | None, str | None],
) -> None:
    rows[event.job_id, times[0]] = [
        event.job_id,
        event.job_name,
        event.tenant,
        event.job_version,
        *times,
        place.at,
        late,
        *became,
        place.partition,
        place.seq,
        index,
        place.offset,
    ]

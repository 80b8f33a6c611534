"""`command_outcomes`: what became of acts, and of submits that were refused, or answered with an execution that was there already.

Any other submit is found by `command_id` in its execution.

The key is the event's place: the same refused command may come again, or in several partitions, and each refusal is in the log.
"""

from ledger.core.outcome import Accepted, Event, Rejected
from projections.patches import Place, Rows


def fold(rows: Rows, event: Event, place: Place, index: int, log: str) -> None:
    outcome: str
    detail: str | None
    match event:
        case Accepted():
            outcome, reason, detail = event.outcome, None, event.execution_id
        case Rejected():
            outcome, reason, detail = "rejected", event.reason, event.detail
        case _:
            return  # no outcome: a log that opens, a command that was sent on, bytes that could not be read
    rows[log, place.partition, place.seq, index] = [
        event.command_id,
        event.command_type,
        outcome,
        reason,
        detail,
        log,
        event.job_id,
        event.tenant,
        event.actor,
        place.at,
        place.partition,
        place.seq,
        index,
        place.offset,
    ]

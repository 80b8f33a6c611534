"""`job_versions`: the bodies, immutable."""

from ledger.core import wire
from ledger.core.definition import Event, Versioned
from projections.folds.body import body
from projections.patches import Place, Rows


def fold(rows: Rows, event: Event, place: Place, index: int) -> None:
    if not isinstance(event, Versioned):
        return
    rows[event.job_id, event.job_version] = [
        event.job_id,
        event.job_version,
        event.content_hash,
        body(event.data),
        None if event.options is None else wire.encode(event.options),
        None if event.schedule is None else wire.encode(event.schedule),
        event.actor,
        event.reason,
        place.at,
        place.partition,
        place.seq,
        index,
        place.offset,
    ]

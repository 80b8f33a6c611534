"""`bulk_acts`: acts that go on in steps, and how far each is. So far these are backfills."""

from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from msgspec import json

from ledger.core.backfill import Advanced, Begun, Event, Finished
from projections.forms import BULK_ACTS
from projections.memory import put, to_change
from projections.patches import Patch, Place, Rows

_column = BULK_ACTS.columns.index
_DONE, _REFUSED, _OUTCOME, _FINISHED = map(_column, ("done", "refused", "outcome", "finished_at"))
_ADDRESS: Final = _column("log_partition")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def fold(kept: Rows, changed: Rows, event: Event, place: Place, index: int) -> None:
    key = (event.backfill_id, place.partition)
    if isinstance(event, Begun):
        put(kept, changed, key, _begun(event, place, index))
        return
    row = to_change(kept, changed, key)
    if row is None:
        raise BULK_ACTS.contradiction(key)
    match event:
        case Advanced():
            row[_DONE], row[_REFUSED] = _number(row[_DONE]) + event.requested, _number(row[_REFUSED]) + event.left_out
        case Finished():
            row[_DONE], row[_REFUSED], row[_OUTCOME], row[_FINISHED] = event.requested, event.left_out, event.outcome, place.at
            del kept[key]
        case _:
            assert_never(event)
    row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)


def _begun(event: Begun, place: Place, index: int) -> Patch:
    about: dict[str, object] = {
        "job_id": event.job_id,
        "job_version": event.job_version,
        "from_exclusive": _text(event.from_exclusive),
        "to_inclusive": _text(event.to_inclusive),
        "only_unfired": event.only_unfired,
    }
    return [
        event.backfill_id,
        "backfill",
        json.encode(about),
        event.planned,
        0,  # done
        0,  # refused
        event.actor,
        event.reason,
        None,  # outcome
        place.at,
        None,  # finished_at
        place.partition,
        place.seq,
        index,
        place.offset,
    ]


def _text(instant: int) -> str:
    return (_EPOCH + timedelta(microseconds=instant)).isoformat()


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value

"""`bulk_acts`: acts that go on in steps, and how far each is: backfills, and many cancels or retries of one mind.

Of the latter each is a command of its own that names the bulk act: what was done and refused is counted from their outcomes, so a row says
what is so however its client ended.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from msgspec import json

from ledger.core import bulk
from ledger.core.backfill import Advanced, Begun, Event, Finished
from ledger.core.outcome import Accepted, Rejected
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


def fold_bulk(kept: Rows, changed: Rows, event: bulk.Event, place: Place, index: int) -> None:
    key = (event.bulk_id, place.partition)
    match event:
        case bulk.Begun():
            about = bytes(event.filter) or None
            put(kept, changed, key, _row(event.bulk_id, event.kind, about, event.planned, event.actor, event.reason, place, index))
        case bulk.Finished():
            row = to_change(kept, changed, key)
            if row is None:
                raise BULK_ACTS.contradiction(key)
            row[_OUTCOME], row[_FINISHED] = "done", place.at
            del kept[key]
            row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)
        case _:
            assert_never(event)


def count(kept: Rows, changed: Rows, event: Accepted | Rejected, place: Place, index: int) -> None:
    """One of many was decided. What was so already counts as done: nobody has to do it any more."""
    row = to_change(kept, changed, (event.bulk_id or "", place.partition))
    if row is None:
        return  # refused, because it was not begun here
    at = _DONE if isinstance(event, Accepted) else _REFUSED
    row[at] = _number(row[at]) + 1
    row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)


def _begun(event: Begun, place: Place, index: int) -> Patch:
    about: dict[str, object] = {
        "job_id": event.job_id,
        "job_version": event.job_version,
        "from_exclusive": _text(event.from_exclusive),
        "to_inclusive": _text(event.to_inclusive),
        "only_unfired": event.only_unfired,
    }
    return _row(event.backfill_id, "backfill", json.encode(about), event.planned, event.actor, event.reason, place, index)


def _row(
    bulk_id: str, kind: str, about: bytes | None, planned: int, actor: str | None, reason: str | None, place: Place, index: int
) -> Patch:
    return [
        bulk_id,
        kind,
        about,
        planned,
        0,  # done
        0,  # refused
        actor,
        reason,
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

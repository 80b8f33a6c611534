"""Instants as callers give them, as microseconds and back."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ledger.core.ids import Micros
from ledger.core.invalid import Invalid

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_TEXT: Final = 40


def micros_of(field: str, moment: object) -> Micros:
    """An aware datetime, or an ISO text with an offset. Raises `Invalid`."""
    if isinstance(moment, str) and len(moment) <= LONGEST_TEXT:
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise _invalid(field, moment, "is no instant") from None
    if not isinstance(moment, datetime):
        raise _invalid(field, moment, "is no instant")
    if moment.tzinfo is None:
        raise _invalid(field, moment.isoformat(), "has no time zone")
    return Micros((moment - EPOCH) // timedelta(microseconds=1))


def datetime_of(instant: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant)


def _invalid(field: str, value: object, why: str) -> Invalid:
    return Invalid("invalid_instant", field, value, why, "'2026-10-25T09:00:00Z'")

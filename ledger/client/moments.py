"""Instants as callers give them, as microseconds and back."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ledger.core.ids import Micros
from ledger.core.invalid import Invalid

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_TEXT: Final = 40
YEARS: Final = range(2, 9999)  # at either end of what a datetime can be, what is reckoned from an instant leaves room for a day or two


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
    if moment.year not in YEARS:
        raise _invalid(field, moment.isoformat(), f"is not in the years {YEARS.start} to {YEARS.stop - 1}")
    return Micros((moment - EPOCH) // timedelta(microseconds=1))


def datetime_of(instant: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant)


def _invalid(field: str, value: object, why: str) -> Invalid:
    return Invalid("invalid_instant", field, value, why, "'2026-10-25T09:00:00Z'")

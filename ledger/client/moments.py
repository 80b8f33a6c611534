"""Instants as callers give them, as microseconds and back."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ledger.core.ids import Micros
from ledger.core.invalid import Invalid
from ledger.core.tzif import BEGINNING

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_TEXT: Final = 40
FIRST: Final = BEGINNING * 1_000_000  # a day after the first date there is, so that what is reckoned back from it is one, too
LAST: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


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
    return within_calendar(field, moment.isoformat(), (moment - EPOCH) // timedelta(microseconds=1))


def within_calendar(field: str, written: object, instant: int) -> Micros:
    """An instant that has a date in UTC. Raises `Invalid`: with its offset, what is written may lie before the year 1 or after 9999."""
    if not FIRST <= instant <= LAST:
        raise _invalid(field, written, "is at the edge of the calendar")
    return Micros(instant)


def datetime_of(instant: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant)


def _invalid(field: str, value: object, why: str) -> Invalid:
    return Invalid("invalid_instant", field, value, why, "'2026-10-25T09:00:00Z'")

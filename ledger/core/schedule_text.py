"""From what people write about a schedule to a `ScheduleSpec`, and from its texts to instants. Every refusal is an `Invalid`."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Final, Literal, get_args

from ledger.core.cron import DAY, EPOCH_DAY, Dst
from ledger.core.cron_text import normalised
from ledger.core.durations import LONGEST_MS, format_duration, parse_duration_ms
from ledger.core.exclusion import date_of, is_expression
from ledger.core.invalid import Invalid
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tzif import BEGINNING, END
from ledger.core.zones import Zone, zone_of

MICROS: Final = 1_000_000
MOST_EXPRESSIONS: Final = 20  # each is asked for each firing, and so is each one that excludes; of dates there may be many
MOST_EXCLUDING: Final = 100
MOST_EXCLUDED: Final = 1000
MOST_STORED: Final = 100  # expressions that earlier releases took
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # the zero of local seconds, which have no zone


def spec_of(
    cron: str | Sequence[str] | None,
    every: str | timedelta | None,
    at: str | datetime | None,
    offset: str | timedelta | None,
    timezone: str,
    dst: Dst,
    start: str | date | None,
    end: str | date | None,
    exclude: Sequence[str | date],
) -> ScheduleSpec:
    given = [name for name, value in (("cron", cron), ("every", every), ("at", at)) if value is not None]
    if len(given) != 1:
        said = " and ".join(given) if given else "none"
        raise _invalid("schedule", said, "has to be exactly one of cron, every and at", "cron: '0 30 2 * * *', or every: '15m'")
    if dst not in get_args(Dst):
        near = get_close_matches(str(dst), get_args(Dst), 1)
        raise _invalid("dst", dst, f"is not one of {', '.join(get_args(Dst))}", repr(near[0] if near else "vixie"))
    every_ms = None if every is None else _every(every)
    zone = _zone(timezone)
    spec = ScheduleSpec(
        cron=None if cron is None else _crons(cron),
        every_ms=every_ms,
        offset_ms=0 if offset is None else _offset(offset, every_ms),
        timezone=timezone,
        dst=dst,
        at=None if at is None else _instant_text("at", at, zone, day=False),
        start=None if start is None else _instant_text("start", start, zone),
        end=None if end is None else _instant_text("end", end, zone),
        exclude=_excluded(exclude),
    )
    refuse_too_many(spec)
    return spec


def refuse_impossible(spec: ScheduleSpec) -> None:
    """A spec may come over the wire from anybody: what `spec_of` would never make is refused, not trusted."""
    if [spec.cron, spec.every_ms, spec.at].count(None) != 2 or spec.cron == ():
        raise _invalid("schedule", spec, "has to be exactly one of cron, every_ms and at", "cron: ['0 30 2 * * *']")
    if spec.every_ms is not None and not 1000 <= spec.every_ms <= LONGEST_MS:
        raise _invalid("every_ms", spec.every_ms, f"is not from 1000 to {LONGEST_MS}", "60000")
    if spec.offset_ms != 0 and not 0 <= spec.offset_ms < (spec.every_ms or 0):
        raise _invalid("offset_ms", spec.offset_ms, "is not from 0 to less than every_ms", "0")
    if len(spec.cron or ()) > MOST_STORED or len(spec.exclude) > MOST_EXCLUDED:
        raise _invalid("schedule", "more", f"has more than {MOST_STORED} expressions or {MOST_EXCLUDED} exclusions", "one expression")
    for field, text in (("at", spec.at), ("start", spec.start), ("end", spec.end)):
        if text is not None and _instant_text(field, text, zone_of(spec.timezone), day=field != "at") != text:
            raise _invalid(field, text, "is not in its normal form", "'2026-10-25T09:00:00Z'")


def refuse_too_many(spec: ScheduleSpec) -> None:
    """What is taken anew: a stored version may have more."""
    if len(expressions := spec.cron or ()) > MOST_EXPRESSIONS:
        raise _too_many_expressions(len(expressions))
    if (excluding := sum(map(is_expression, spec.exclude))) > MOST_EXCLUDING:
        raise _invalid(
            "exclude",
            f"{excluding} expressions",
            f"has more than {MOST_EXCLUDING} expressions; dates do not count",
            "one for what is alike: '* * 24-26 12 *'",
        )


def _too_many_expressions(number: int) -> Invalid:
    return _invalid("cron", f"{number} expressions", f"has to be 1 to {MOST_EXPRESSIONS} expressions", "['0 6 * * *', '0 18 * * *']")


def _zone(name: object) -> Zone:
    if not isinstance(name, str):
        raise _invalid("timezone", name, f"is of type {type(name).__name__}, which is not a zone", "'Europe/Berlin'")
    return zone_of(name)


def _crons(cron: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(cron, str) or not isinstance(cron, Sequence):
        return (normalised(cron),)
    if not 1 <= len(cron) <= MOST_EXPRESSIONS:
        raise _too_many_expressions(len(cron))
    return tuple(normalised(text, f"cron[{index}]") for index, text in enumerate(cron))


def _every(every: str | timedelta) -> int:
    ms = _duration("every", every)
    if ms < 1000:
        raise _invalid("every", every, "is shorter than one second", "'1s'")
    return ms


def _offset(offset: str | timedelta, every_ms: int | None) -> int:
    if every_ms is None:
        raise _invalid("offset", offset, "belongs to `every` alone", "every: '1h', offset: '5m'")
    if (ms := _duration("offset", offset)) >= every_ms:
        raise _invalid("offset", offset, f"is not less than `every` ({format_duration(every_ms)})", f"{format_duration(every_ms // 2)!r}")
    return ms


def _duration(field: str, value: str | timedelta) -> int:
    if isinstance(value, timedelta):
        if value % timedelta(milliseconds=1):
            raise _invalid(field, value, "is not a whole number of milliseconds", "timedelta(minutes=15)")
        return parse_duration_ms(value // timedelta(milliseconds=1), field=field)
    if not isinstance(value, str):
        raise _invalid(
            field, value, f"is of type {type(value).__name__}: say its unit, and quote it in YAML (15:00 is a number there)", "'15m'"
        )
    return parse_duration_ms(value, field=field)


def _excluded(exclude: Sequence[str | date]) -> tuple[str, ...]:
    if isinstance(exclude, str) or not isinstance(exclude, Sequence):
        raise _invalid("exclude", exclude, "is not a list", "['2026-12-25', '* 0-5 * * *']")
    if len(exclude) > MOST_EXCLUDED:
        raise _invalid(
            "exclude", f"{len(exclude)} entries", f"has more than {MOST_EXCLUDED} entries", "a cron expression: '* * 24-26 12 *'"
        )
    return tuple(_excluded_entry(f"exclude[{index}]", entry) for index, entry in enumerate(exclude))


def _excluded_entry(where: str, entry: str | date) -> str:
    if isinstance(entry, date) and not isinstance(entry, datetime):
        return entry.isoformat()
    if isinstance(entry, str) and re.match(r"\s*[0-9]{4}-", entry):
        return date_of(where, entry.strip()).isoformat()
    if not isinstance(entry, str):
        raise _invalid(where, entry, "is neither a local date nor a cron expression", "'2026-12-25' or '* 0-5 * * *'")
    return normalised(entry, where)


def _instant_text(field: str, value: object, zone: Zone, day: bool = True) -> str:
    """The normal form: `2026-10-25T02:30:00` is local, `...Z` is UTC, and where `day` allows it `2026-10-25` a local day."""
    if isinstance(value, datetime):
        moment: date = value
    elif isinstance(value, date) or (isinstance(value, str) and _DATE.fullmatch(value.strip())):
        if not day:
            raise _invalid(field, value, "has no time of day", "'2026-10-25T09:00:00'")
        moment = value if isinstance(value, date) else date_of(field, value.strip())
    else:
        moment = _datetime(field, value)
    text = moment.isoformat()
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        _refuse_the_edge(field, value, instant_of(text, zone, "first"))  # before it is written in UTC, where it may be no date
        text = moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    _refuse_the_edge(field, value, instant_of(text, zone, "first"))
    return text


def _refuse_the_edge(field: str, value: object, instant: int) -> None:
    if not BEGINNING * MICROS <= instant < END * MICROS:
        raise _invalid(field, value, "is at the edge of the calendar", "'2026-10-25T09:00:00'")


def _datetime(field: str, value: object) -> datetime:
    text = value.strip() if isinstance(value, str) else ""
    if _INSTANT.fullmatch(text) is None:
        why = f"is of type {type(value).__name__}: quote it" if not isinstance(value, str) else "is not of the form YYYY-MM-DDTHH:MM:SS[Z]"
        raise _invalid(field, value, why, "'2026-10-25T09:00:00' (in the time zone of the schedule) or '2026-10-25T09:00:00Z'")
    try:
        return datetime.fromisoformat(text)
    except ValueError as wrong:
        raise _invalid(field, value, f"is no date and time: {wrong}", "'2026-10-25T09:00:00'") from None


def instant_of(text: str, zone: Zone, twice: Literal["first", "last"]) -> int:
    """Microseconds UTC of a normal form. A local day begins with its first and ends with its last instant; a local time that the
    clock skips is the end of the gap; of one that comes twice the `first` or the `last`."""
    if len(text) == 10:
        local_day = date.fromisoformat(text).toordinal() - EPOCH_DAY
        if twice == "first":
            return zone.instant_of(local_day * DAY, "first") * MICROS
        last_second = (local_day + 1) * DAY - 1  # where the clock goes back over midnight, it comes after the next day has begun
        instant = zone.instant_of(last_second, "last")
        exists = zone.offsets.at(instant) + instant == last_second
        return (instant + exists) * MICROS - 1
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return (moment - _EPOCH) // timedelta(microseconds=1)
    second, fraction = divmod((moment - _NAIVE_EPOCH) // timedelta(microseconds=1), MICROS)
    instant = zone.instant_of(second, twice)
    exists = zone.offsets.at(instant) + instant == second
    return instant * MICROS + (fraction if exists else 0)


def _invalid(field: str, value: object, why: str, example: str) -> Invalid:
    return Invalid("invalid_schedule", field, value, why, example)

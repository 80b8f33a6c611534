"""What may be written but is probably not meant."""

from collections.abc import Iterator

from ledger.core.cron_text import MACROS
from ledger.core.durations import format_duration
from ledger.core.schedule_spec import ScheduleSpec

DAY_MS = 86_400_000
FULL_BUT_NOT_STAR = ("*/1", "1-31", "0-6", "0-7", "1-7", "SUN-SAT", "MON-SUN")


def warnings_of(spec: ScheduleSpec, *, zone_given: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_warnings(spec, zone_given)))


def _warnings(spec: ScheduleSpec, zone_given: bool) -> Iterator[str]:
    for text in spec.cron or ():
        yield from _of_expression(text, zone_given)
    if spec.every_ms is not None and spec.every_ms % DAY_MS == 0:
        yield (
            f"every {format_duration(spec.every_ms)} follows UTC, not the local clock: where the clock changes, it fires an hour "
            "earlier or later; for a local time of day say cron: '0 3 * * *' with a timezone"
        )
    if spec.dst != "vixie" and spec.cron is None:
        yield f"dst {spec.dst!r} has no effect: it is about cron expressions"


def _of_expression(text: str, zone_given: bool) -> Iterator[str]:
    fields = MACROS.get(text, text).split(" ")
    hours, month_days, weekdays = fields[-4], fields[-3], fields[-1]
    if len(fields) == 6 and any(map(_has_numbered_weekday, weekdays.split(","))):
        yield f"cron {text!r}: a weekday as a number counts from 0 = Sunday here, from 1 = Sunday in Quartz; a name (MON) says it"
    for name, day, other in (("day of month", month_days, weekdays), ("day of week", weekdays, month_days)):
        if day in FULL_BUT_NOT_STAR and other not in ("*", "?"):
            yield f"cron {text!r}: {name} {day!r} matches every day and either day field is enough, so it fires daily; say '*'"
    if not zone_given and not hours.startswith("*"):
        yield f"cron {text!r}: a fixed hour without a time zone is an hour of UTC; say timezone: Europe/Berlin, or UTC"
    for one in fields:
        start, _, step = one.partition("/")
        if start == "*" and step.isdigit() and int(step) in (24, 31, 60) and len(one) > 3:
            yield f"cron {text!r}: the step of {one!r} is as long as the field, so only its first value matches; `every` says intervals"


def _has_numbered_weekday(part: str) -> bool:
    """The number of a week (`FRI#2`) and of a step (`MON/2`) is none of a day."""
    days = part.partition("/")[0].partition("#")[0].removeprefix("L")
    return any(map(str.isdigit, days.split("-")))

"""croniter, the engine that most people come from: the same expressions, and what it makes of them. It is partner here, never judge."""

import importlib.resources
from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterError
from msgspec import structs

from ledger.cli.rehearsing.moved import FIRINGS, Moved, compare, firings_of
from ledger.client.moments import EPOCH, datetime_of
from ledger.core.schedule_spec import ScheduleSpec

YEARS: Final = 40  # that it may search for the next one


class Unread(Exception):
    """croniter refuses the expression, or finds nothing."""


def against_croniter(spec: ScheduleSpec, after: int) -> Moved | None:
    """Of the expressions alone: what a schedule leaves out, starts and ends with is not croniter's. Raises `Unread`."""
    plain = structs.replace(spec, start=None, end=None, exclude=())
    here = firings_of(plain, after)
    until = here[-1] if len(here) == FIRINGS else None
    zone = zone_by_package(spec.timezone)
    lines = [_firings(text, zone, after) for text in spec.cron or ()]
    there = _distinct(merge(*(line if until is None else takewhile(lambda one: one <= until, line) for line in lines)))
    return compare(here, list(islice(there, 2 * FIRINGS)), most_there=2 * FIRINGS)


def zone_by_package(name: str) -> ZoneInfo:
    """From the `tzdata` package, as everything here; `ZoneInfo(name)` would ask the operating system first."""
    with (importlib.resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _firings(text: str, zone: ZoneInfo, after: int) -> Iterator[int]:
    try:
        line = croniter(text, datetime_of(after).astimezone(zone), second_at_beginning=True, max_years_between_matches=YEARS)
        for _ in range(2 * FIRINGS):
            found = line.get_next(datetime)
            yield round((found - EPOCH).total_seconds()) * 1_000_000
    except (CroniterError, ValueError, TypeError, AttributeError) as error:  # its own, and what it stumbles over
        raise Unread(f"croniter refuses {text!r}: {error}") from error


def _distinct(firings: Iterator[int]) -> Iterator[int]:
    last = None
    for one in firings:
        if one != last:
            yield one
        last = one

"""What a schedule leaves out: local dates, and cron expressions tested against the wall clock of a firing."""

import re
from dataclasses import dataclass
from datetime import date
from typing import assert_never

from ledger.core.cron import DAY, EPOCH_DAY, Cron, month_length
from ledger.core.cron_text import parse_cron
from ledger.core.invalid import Invalid
from ledger.core.tzif import END
from ledger.core.zones import Zone

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Exclusion:
    days: frozenset[int]  # local days since 1970-01-01
    crons: tuple[Cron, ...]

    def excluded_until(self, instant: int, zone: Zone) -> int | None:
        """None if the second stands; else the last second of the run of excluded ones that starts with it, or an earlier one."""
        last, offset = zone.span(instant)
        local = instant + offset
        until = (local // DAY + 1) * DAY - 1 if local // DAY in self.days else -END
        for cron in self.crons:
            if cron.matches(local):
                until = max(until, _end_of_run(cron, local))
        return None if until < local else min(until - offset, last)


def exclusion_of(entries: tuple[str, ...]) -> Exclusion | None:
    """From the normal forms of a spec. A five-field expression covers its whole minutes."""
    if not entries:
        return None
    days: set[int] = set()
    crons: list[Cron] = []
    for index, entry in enumerate(entries):
        if is_expression(entry):
            crons.append(parse_cron(entry, f"exclude[{index}]", True))
        else:
            days.add(date_of(f"exclude[{index}]", entry).toordinal() - EPOCH_DAY)
    return Exclusion(frozenset(days), tuple(crons))


def is_expression(entry: str) -> bool:
    """Of a normal form: no local date."""
    return " " in entry or "@" in entry


def date_of(where: str, text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError as wrong:
        raise Invalid("invalid_schedule", where, text, f"is no date: {wrong}", "'2026-12-25'") from None
    raise Invalid("invalid_schedule", where, text, "is no date of the form YYYY-MM-DD", "'2026-12-25'")


def _end_of_run(cron: Cron, local: int) -> int:
    """The last local second up to which everything from `local` on matches, because the expression cannot tell it apart."""
    match cron.run:
        case "second":
            return local
        case "minute":
            return (local // 60 + 1) * 60 - 1
        case "hour":
            return (local // 3600 + 1) * 3600 - 1
        case "day":
            return (local // DAY + 1) * DAY - 1
        case "month":
            on = date.fromordinal(local // DAY + EPOCH_DAY)
            return (local // DAY + month_length(on.year, on.month) - on.day + 1) * DAY - 1
        case "ever":
            return END
        case _ as never:
            assert_never(never)

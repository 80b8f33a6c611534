"""What control does with a schedule beyond its engine: bounds of its policies, jitter, and which engine this is.

Source: scheduling.md, sections 5 and 6.
"""

from hashlib import sha256
from typing import Final

from ledger.core.durations import LONGEST_MS, format_duration
from ledger.core.ids import Micros
from ledger.core.invalid import Invalid
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.schedule_text import refuse_too_many
from ledger.core.tzif import tzdata_version

ENGINE: Final = 1  # what the text of a schedule means; a new number where a firing moves
SHORTEST_WINDOW_MS: Final = 10_000
LARGEST_LIMIT: Final = 2_000_000_000
MOST_FAILURES: Final = 1000
INTERVALS_LOOKED_AT: Final = 100  # to find the shortest, where jitter has to be less


def engine_versions() -> tuple[int, str]:
    """The engine of schedules and the zone data that this process reckons with."""
    return ENGINE, tzdata_version()


def check_schedule(schedule: Schedule, at: Micros) -> None:
    """Raises `Invalid` for what is too much or out of bounds, and for an instant that is past at its acceptance."""
    spec = schedule.spec
    refuse_too_many(spec)
    check_policies(spec)
    if spec.at is not None and schedule.next_us(at) is None:
        raise _invalid("at", spec.at, "is past, or left out by `start`, `end` or `exclude`", "an instant that is still to come")
    if spec.jitter_ms:
        _check_jitter(spec, schedule, at)


def check_policies(spec: ScheduleSpec) -> None:
    """Raises `Invalid`; needs no engine."""
    if not SHORTEST_WINDOW_MS <= spec.catchup_window_ms <= LONGEST_MS:
        raise _invalid("catchup.window", format_duration(max(spec.catchup_window_ms, 0)), "is not from 10 s to ten years", "'1h'")
    if spec.limit is not None and not 1 <= spec.limit <= LARGEST_LIMIT:
        raise _invalid("limit", spec.limit, f"is not from 1 to {LARGEST_LIMIT}", "10")
    if spec.pause_on_failure is not None and not 1 <= spec.pause_on_failure <= MOST_FAILURES:
        raise _invalid("pause_on_failure", spec.pause_on_failure, f"is not from 1 to {MOST_FAILURES}", "3")
    if not 0 <= spec.jitter_ms <= LONGEST_MS:
        raise _invalid("jitter", spec.jitter_ms, "is not from 0 to ten years", "'30s'")


def _check_jitter(spec: ScheduleSpec, schedule: Schedule, at: Micros) -> None:
    shortest = schedule.shortest_us(at, at + LONGEST_MS * 1000, INTERVALS_LOOKED_AT)
    if shortest is not None and spec.jitter_ms * 1000 >= shortest:
        why = f"is not less than the shortest interval ({format_duration(shortest // 1000)})"
        raise _invalid("jitter", format_duration(spec.jitter_ms), why, repr(format_duration(shortest // 2000)))


def delay_us(job_id: str, jitter_ms: int) -> int:
    """How long after its nominal instant a tick of this job is assigned: the same for all its ticks."""
    if jitter_ms == 0:
        return 0
    return int.from_bytes(sha256(job_id.encode()).digest()[:8], "big") % jitter_ms * 1000


def _invalid(field: str, value: object, why: str, example: str) -> Invalid:
    return Invalid("invalid_schedule", field, value, why, example)

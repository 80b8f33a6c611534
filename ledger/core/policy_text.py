"""From what people write about a schedule's policies (overlap, catch-up, limit, jitter, pause on failure) to its spec. Every refusal is
an `Invalid`. Source: scheduling.md, sections 5 and 6."""

from datetime import timedelta
from difflib import get_close_matches
from typing import Final, TypeVar, get_args

from msgspec import structs

from ledger.core.durations import parse_duration_ms
from ledger.core.invalid import Invalid
from ledger.core.policies import check_policies
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tick import Coalesce, Overlap

OVERLAPS: Final[tuple[Overlap, ...]] = get_args(Overlap)
COALESCES: Final[tuple[Coalesce, ...]] = get_args(Coalesce)

W = TypeVar("W", bound=str)


def with_policies(
    spec: ScheduleSpec,
    *,
    overlap: object = None,
    catchup_window: object = None,
    coalesce: object = None,
    limit: object = None,
    jitter: object = None,
    pause_on_failure: object = None,
) -> ScheduleSpec:
    """`spec` with what is said here; None leaves a field at its default. Durations are texts or timedeltas. That jitter is less than the
    shortest interval, and an `at` still to come, is for `check_schedule`: it needs the time."""
    said: dict[str, object] = {
        "overlap": None if overlap is None else overlap_of(overlap),
        "catchup_window_ms": None if catchup_window is None else _milliseconds("catchup.window", catchup_window, "'1h'"),
        "coalesce": None if coalesce is None else one_of("catchup.coalesce", coalesce, COALESCES),
        "limit": None if limit is None else _count("limit", limit, "10"),
        "jitter_ms": None if jitter is None else _milliseconds("jitter", jitter, "'30s'"),
        "pause_on_failure": None if pause_on_failure is None else _count("pause_on_failure", pause_on_failure, "3"),
    }
    made = structs.replace(spec, **{name: value for name, value in said.items() if value is not None})
    check_policies(made)
    return made


def overlap_of(value: object) -> Overlap:
    return one_of("overlap", value, OVERLAPS)


def one_of(field: str, value: object, words: tuple[W, ...]) -> W:
    """`value` as one of `words`. Raises `Invalid` with a near miss."""
    for word in words:
        if value == word:
            return word
    near = get_close_matches(str(value)[:64], words, 1)
    raise Invalid("invalid_schedule", field, value, f"is not one of {', '.join(words)}", repr(near[0] if near else words[0]))


def _milliseconds(field: str, value: object, example: str) -> int:
    if isinstance(value, timedelta):
        if value % timedelta(milliseconds=1):
            raise Invalid("invalid_schedule", field, value, "is not a whole number of milliseconds", example)
        return parse_duration_ms(value // timedelta(milliseconds=1), field=field)
    if not isinstance(value, str):
        raise Invalid("invalid_schedule", field, value, f"is of type {type(value).__name__}: say its unit, and quote it in YAML", example)
    return parse_duration_ms(value, field=field)


def _count(field: str, value: object, example: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("invalid_schedule", field, value, f"is of type {type(value).__name__}, not a whole number", example)
    return value

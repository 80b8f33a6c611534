"""Why a tick fired, was late, or did not fire: every expected tick of a range gets exactly one class.

Pure. What was expected comes from the engines of the schedules that were in force, never from what is recorded: so a tick without an
outcome shows. Ranges are reckoned, not enumerated. Source: scheduling.md, section 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, assert_never

from ledger.core.due import EVER, Ticks
from ledger.core.tick import ON_TIME

Class = Literal["on_time", "late", "skipped", "missed", "pending", "unexplained"]
CLASSES: Final[tuple[Class, ...]] = ("on_time", "late", "skipped", "missed", "pending", "unexplained")
BY_ZONE_DATA: Final = frozenset({"no_outcome", "no_such_tick", "wrong_count"})  # what is unexplained so may be for zone data alone


class Expected(NamedTuple):
    """A schedule that was in force: its ticks in (since, until] are expected; without `until` it is in force still."""

    job_version: int
    ticks: Ticks
    since: int
    until: int | None = None
    delay: int = 0  # the jitter of the job: a tick is due so much later
    by_others: bool = False  # control had other zone data than `ticks`


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is recorded of a tick, or of `count` of them in a row."""

    job_version: int
    first: int
    last: int
    count: int
    outcome: Literal["fired", "skipped", "missed"]
    reason: str | None
    decided_at: int
    due_at: int | None = None
    execution_id: str | None = None
    blocked_by: str | None = None


class Run(NamedTuple):
    """What became of the execution of a tick that fired, as far as it matters here."""

    state: str
    reason: str | None = None
    first_started_at: int | None = None
    finished_at: int | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One class for the expected ticks from `first` to `last`. `late_us`: from due to its first start (or its end without one, or now)."""

    job_version: int | None
    first: int
    last: int
    count: int
    is_: Class
    reason: str | None = None
    late_us: int | None = None
    outcome: Outcome | None = None


def explain(
    expected: Sequence[Expected],
    outcomes: Sequence[Outcome],
    runs: Mapping[str, Run],
    after: int,
    until: int,
    now: int,
    decided_until: int,
) -> list[Explained]:
    """The ticks in (after, until], in order. `expected` and `outcomes` are in the order of time; `runs` by execution id.
    `decided_until`: the newest tick of the job that has an outcome, also beyond the range."""
    found: list[Explained] = []
    left = list(outcomes)
    for one in expected:
        mine = [outcome for outcome in left if _belongs(outcome, one)]
        left = [outcome for outcome in left if not _belongs(outcome, one)]
        low, high = max(after, one.since), min(until, EVER if one.until is None else one.until)
        if low < high:
            told = list(_stretch(one, mine, runs, low, high, now, decided_until))
            by_others = one.by_others and any(each.reason in BY_ZONE_DATA for each in told)
            found += _as_decided(one, mine, runs, low, high, now, decided_until) if by_others else told
    found += [
        Explained(one.job_version, one.first, one.last, one.count, "unexplained", "expected_by_no_version", outcome=one)
        for one in left
        if one.last > after and one.first <= until
    ]
    return sorted(found, key=lambda one: (one.first, one.last))


def _belongs(outcome: Outcome, one: Expected) -> bool:
    return outcome.job_version == one.job_version and one.since < outcome.first and (one.until is None or outcome.last <= one.until)


def _stretch(
    one: Expected, outcomes: Sequence[Outcome], runs: Mapping[str, Run], low: int, high: int, now: int, decided_until: int
) -> Iterator[Explained]:
    cursor, recorded = low, one.since
    for outcome in outcomes:
        first, last = max(outcome.first, cursor + 1), min(outcome.last, high)
        if outcome.first <= recorded and outcome.last > low and outcome.first <= high:
            yield Explained(one.job_version, outcome.first, outcome.last, outcome.count, "unexplained", "decided_twice", outcome=outcome)
        elif first <= last:
            yield from _range(one, cursor, first - 1, "unexplained", "no_outcome")
            yield from _decided(one, outcome, runs, first, last, now)
            cursor = last
        recorded = max(recorded, outcome.last)
    if one.until is not None:
        yield from _range(one, cursor, high, "unexplained", "no_outcome")
        return
    known = min(high, max(cursor, decided_until))
    yield from _range(one, cursor, known, "unexplained", "no_outcome")
    yield from _pending(one, known, high, now)


def _as_decided(
    one: Expected, outcomes: Sequence[Outcome], runs: Mapping[str, Run], low: int, high: int, now: int, decided_until: int
) -> Iterator[Explained]:
    """Only who has those zone data could tell which ticks were expected: they are those that have an outcome."""
    recorded = one.since
    for outcome in outcomes:
        if outcome.last > low and outcome.first <= high:
            if outcome.first <= recorded:
                yield Explained(
                    one.job_version, outcome.first, outcome.last, outcome.count, "unexplained", "decided_twice", outcome=outcome
                )
            else:
                yield _classified(one, outcome, runs, outcome.first, outcome.last, outcome.count, now)
        recorded = max(recorded, outcome.last)
    if one.until is None:
        yield from _pending(one, min(high, max(low, recorded, decided_until)), high, now)


def _pending(one: Expected, known: int, until: int, now: int) -> Iterator[Explained]:
    overdue = max(known, min(until, now - one.delay))
    yield from _range(one, known, overdue, "pending", "overdue")
    yield from _range(one, overdue, until, "pending", "not_due")


def _range(one: Expected, after: int, until: int, is_: Class, reason: str) -> Iterator[Explained]:
    """The ticks in (after, until] together, if there are any."""
    if after >= until or (first := one.ticks.next_us(after)) is None or first > until:
        return
    last = one.ticks.latest_us(first - 1, until) or first
    yield Explained(one.job_version, first, last, one.ticks.count_us(first - 1, last), is_, reason)


def _decided(one: Expected, outcome: Outcome, runs: Mapping[str, Run], first: int, last: int, now: int) -> Iterator[Explained]:
    """The part from `first` to `last` of what is recorded together; that may be so little that no tick is in it."""
    count = one.ticks.count_us(first - 1, last)
    whole = one.ticks.count_us(outcome.first - 1, outcome.last)
    if whole != outcome.count:
        why = "no_such_tick" if whole == 0 else "wrong_count"
        yield Explained(one.job_version, first, last, count or outcome.count, "unexplained", why, outcome=outcome)
        return
    if count == 0:
        return
    first = one.ticks.next_us(first - 1) or first
    last = one.ticks.latest_us(first - 1, last) or last
    yield _classified(one, outcome, runs, first, last, count, now)


def _classified(one: Expected, outcome: Outcome, runs: Mapping[str, Run], first: int, last: int, count: int, now: int) -> Explained:
    match outcome.outcome:
        case "skipped" | "missed" as is_:
            return Explained(one.job_version, first, last, count, is_, outcome.reason, outcome=outcome)
        case "fired":
            return _fired(one, outcome, runs.get(outcome.execution_id or ""), now)
        case _ as never:
            assert_never(never)


def _fired(one: Expected, outcome: Outcome, run: Run | None, now: int) -> Explained:
    is_, reason, late_us = classify_run(outcome.first + one.delay if outcome.due_at is None else outcome.due_at, run, now)
    return Explained(one.job_version, outcome.first, outcome.last, 1, is_, reason, late_us, outcome)


def classify_run(due_at: int, run: Run | None, now: int) -> tuple[Class, str | None, int | None]:
    """The class of a tick that fired, its reason, and how late its code started."""
    if run is None:
        return "unexplained", "no_execution", None
    if run.state == "skipped":
        return "skipped", run.reason, None
    if run.state == "missed":
        return "missed", run.reason, None
    reached = run.first_started_at or run.finished_at or now
    late_us = max(0, reached - due_at)
    return ("late" if late_us > ON_TIME else "on_time"), None, late_us


# What the lateness went into

Into = Literal["control", "overlap", "paused", "lock", "worker"]


class Interval(NamedTuple):
    """[first, last) of time."""

    first: int
    last: int


class Part(NamedTuple):
    into: Into
    us: int


def parts(
    due_at: int, decided_at: int, eligible_at: int, started_at: int, paused: Sequence[Interval], locked: Sequence[Interval]
) -> list[Part]:
    """Where the time from due to started went; what is under a pause counts as such, whoever held the lock meanwhile. They add up."""
    decided_at = min(max(due_at, decided_at), max(due_at, started_at))
    eligible_at = min(max(decided_at, eligible_at), max(due_at, started_at))
    wait = [Interval(eligible_at, max(eligible_at, started_at))]
    unpaused = without(wait, paused)
    unlocked = without(unpaused, locked)
    lengths: tuple[tuple[Into, int], ...] = (
        ("control", decided_at - due_at),
        ("overlap", eligible_at - decided_at),
        ("paused", _length(wait) - _length(unpaused)),
        ("lock", _length(unpaused) - _length(unlocked)),
        ("worker", _length(unlocked)),
    )
    return [Part(into, us) for into, us in lengths if us > 0]


def without(whole: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    left = list(whole)
    for hole in taken:
        left = (
            [
                piece
                for one in left
                for piece in (Interval(one.first, min(one.last, hole.first)), Interval(max(one.first, hole.last), one.last))
                if piece.first < piece.last
            ]
            if hole.first < hole.last
            else left
        )
    return left


def _length(intervals: Sequence[Interval]) -> int:
    return sum(one.last - one.first for one in intervals)

"""Why a tick: every expected one has exactly one class, whatever is recorded; and lateness is spent to the last microsecond."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tick import ON_TIME
from ledger.core.why import Expected, Explained, Interval, Outcome, Run, classify_run, explain, parts

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
FAR = START + 10_000 * SECOND

MINUTELY = Schedule.from_spec(ScheduleSpec(every_ms=60_000))
engines = st.sampled_from([ScheduleSpec(every_ms=1000), ScheduleSpec(every_ms=7000), ScheduleSpec(cron=("*/20 * * * * *",))]).map(
    Schedule.from_spec
)


def minute(number: int) -> int:
    return START + number * 60 * SECOND


def fired(number: int, version: int = 1, *, execution: str = "e") -> Outcome:
    at = minute(number)
    return Outcome(version, at, at, 1, "fired", None, at + 1000, at, execution)


def skipped(first: int, last: int, reason: str = "overlap", count: int | None = None, version: int = 1) -> Outcome:
    many = last - first + 1 if count is None else count
    return Outcome(version, minute(first), minute(last), many, "skipped", reason, minute(last) + 1000)


def why(
    *outcomes: Outcome,
    expected: tuple[Expected, ...] = (Expected(1, MINUTELY, START),),
    run: Run | None = None,
    last: int = 5,
    now: int = 0,
) -> list[tuple[str, str | None, int]]:
    """The class, the reason and the number of ticks, in (START, last minute]."""
    runs = {"e": run or Run("completed", None, minute(1) + 2000, minute(1) + 3000)}
    decided = max((one.last for one in outcomes), default=0)
    found = explain(expected, outcomes, runs, START, minute(last), now or minute(last), decided)
    return [(one.is_, one.reason, one.count) for one in found]


def test_a_tick_that_fired_is_on_time_if_its_code_started_within_ten_seconds() -> None:
    at = minute(1)
    assert classify_run(at, Run("completed", None, at + ON_TIME), at) == ("on_time", None, ON_TIME)
    assert classify_run(at, Run("completed", None, at + ON_TIME + 1), at) == ("late", None, ON_TIME + 1)
    assert classify_run(at, Run("waiting"), at + 60 * SECOND) == ("late", None, 60 * SECOND)
    assert classify_run(at, Run("cancelled", "asked", None, at + SECOND), FAR) == ("on_time", None, SECOND)


def test_an_execution_that_nobody_might_run_counts_for_its_tick() -> None:
    assert why(fired(1), run=Run("skipped", "version_too_old"), last=1) == [("skipped", "version_too_old", 1)]
    assert why(fired(1), run=Run("missed", "start_deadline"), last=1) == [("missed", "start_deadline", 1)]


def test_what_is_recorded_says_its_own_class() -> None:
    missed = Outcome(1, minute(3), minute(4), 2, "missed", "coalesced", minute(5))
    assert why(fired(1), skipped(2, 2, "paused"), missed, last=4) == [
        ("on_time", None, 1),
        ("skipped", "paused", 1),
        ("missed", "coalesced", 2),
    ]


def test_a_tick_without_an_outcome_is_pending_only_behind_all_that_have_one() -> None:
    assert why(fired(1), fired(3), last=4) == [
        ("on_time", None, 1), ("unexplained", "no_outcome", 1), ("on_time", None, 1), ("pending", "overdue", 1),
    ]  # fmt: skip
    assert why(fired(1), last=5, now=minute(3)) == [("on_time", None, 1), ("pending", "overdue", 2), ("pending", "not_due", 2)]


def test_a_version_that_has_ended_leaves_nothing_pending_and_the_next_expects_from_there_on() -> None:
    hourly = Schedule.from_spec(ScheduleSpec(every_ms=120_000))
    expected = (Expected(1, MINUTELY, START, minute(3)), Expected(2, hourly, minute(3)))
    assert why(fired(1), fired(2), expected=expected, last=3) == [
        ("on_time", None, 1),
        ("on_time", None, 1),
        ("unexplained", "no_outcome", 1),
    ]
    found = why(fired(1), fired(2), fired(3), fired(4, 2), expected=expected, last=5)
    assert found == [("on_time", None, 1)] * 4


def test_a_record_that_no_schedule_explains_is_unexplained() -> None:
    assert why(fired(1, version=9), last=0) == []
    assert ("unexplained", "expected_by_no_version", 1) in why(fired(1, version=9), last=1)
    assert why(skipped(1, 3, count=2), last=3) == [("unexplained", "wrong_count", 3)]
    assert ("unexplained", "decided_twice", 1) in why(skipped(1, 3), skipped(2, 2, "paused"), last=3)
    odd = Outcome(1, minute(1) + 1, minute(1) + 1, 1, "skipped", "overlap", minute(2))
    assert ("unexplained", "no_such_tick", 1) in why(fired(1), odd, last=2)
    assert why(Outcome(1, minute(1), minute(1), 1, "fired", None, minute(1), minute(1), "gone"), last=1) == [
        ("unexplained", "no_execution", 1)
    ]


def test_a_range_that_reaches_beyond_what_is_asked_counts_as_far_as_it_is_asked() -> None:
    found = explain((Expected(1, MINUTELY, START),), [skipped(1, 9)], {}, minute(2), minute(5), FAR, minute(9))
    assert [(one.first, one.last, one.count, one.is_) for one in found] == [(minute(3), minute(5), 3, "skipped")]


@given(
    engines,
    st.integers(0, 300),
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["fired", "skipped", "missed", "nothing"])), max_size=60),
    st.integers(0, 400),
    st.none() | st.integers(0, 400),
)
def test_every_expected_tick_gets_exactly_one_class(
    engine: Schedule, first: int, length: int, kinds: list[tuple[int, str]], now: int, ends: int | None
) -> None:
    """Whatever is recorded of them: outcomes of single ticks or ranges, and holes."""
    after, until = START + first * SECOND, START + (first + length) * SECOND
    end = None if ends is None else START + ends * SECOND
    ticks = [one for one in engine.between_us(START, START + 700 * SECOND) if end is None or one <= end]
    outcomes, recorded = _recorded(ticks, kinds)
    decided = max((one.last for one in outcomes), default=0)
    runs = {one.execution_id or "": Run("completed", None, one.first, one.first) for one in outcomes}
    found = explain([Expected(1, engine, START, end)], outcomes, runs, after, until, START + now * SECOND, decided)
    classes = [(tick, one.is_) for one in found for tick in engine.between_us(one.first - 1, one.last)]
    assert [tick for tick, _ in classes] == [tick for tick in ticks if after < tick <= until]
    assert sum(one.count for one in found) == len(classes)
    for tick, is_ in classes:
        assert is_ == recorded.get(tick, "unexplained" if end is not None or tick <= decided else "pending")


def _recorded(ticks: list[int], kinds: list[tuple[int, str]]) -> tuple[list[Outcome], dict[int, str]]:
    outcomes: list[Outcome] = []
    classes: dict[int, str] = {}
    for length, kind in kinds:
        some, ticks = ticks[:length], ticks[length:]
        if kind == "fired":
            outcomes += [Outcome(1, one, one, 1, "fired", None, one, one, f"e{one}") for one in some]
            classes |= dict.fromkeys(some, "on_time")
        elif kind != "nothing" and some:
            outcomes.append(Outcome(1, some[0], some[-1], len(some), "skipped" if kind == "skipped" else "missed", "x", some[-1]))
            classes |= dict.fromkeys(some, kind)
    return outcomes, classes


instants = st.integers(0, 100)
intervals = st.lists(st.tuples(instants, instants).map(lambda pair: Interval(*pair)), max_size=5)


@given(instants, instants, instants, instants, intervals, intervals)
def test_the_parts_of_lateness_add_up(
    due: int, decided: int, eligible: int, started: int, paused: list[Interval], locked: list[Interval]
) -> None:
    found = parts(due, decided, eligible, started, paused, locked)
    assert sum(one.us for one in found) == max(0, started - due)
    assert all(one.us > 0 for one in found)


def test_where_the_time_went() -> None:
    """Due at 0, decided at 10, let go at 30; paused until 50, the lock held until 70, started at 100."""
    found = parts(0, 10, 30, 100, [Interval(20, 50)], [Interval(0, 70)])
    assert [tuple(one) for one in found] == [("control", 10), ("overlap", 20), ("paused", 20), ("lock", 20), ("worker", 30)]


def test_what_is_explained_is_in_the_order_of_time() -> None:
    outcomes = [fired(1), fired(9, version=7), fired(2)]
    found: list[Explained] = explain((Expected(1, MINUTELY, START),), outcomes, {}, START, minute(10), FAR, minute(2))
    assert [one.first for one in found] == sorted(one.first for one in found)


# Zone data


def by_others(until: int | None = None) -> tuple[Expected, ...]:
    return (Expected(1, MINUTELY, START, until, by_others=True),)


def between(number: int) -> Outcome:
    """A tick that no schedule of this program has."""
    at = minute(number) + 30 * SECOND
    return Outcome(1, at, at, 1, "fired", None, at + 1000, at, "e")


def test_what_other_zone_data_expected_is_as_it_was_decided() -> None:
    run = Run("completed", None, minute(1) + 31 * SECOND, FAR)
    decided = (between(1), skipped(3, 4))
    told = [("on_time", None, 1), ("skipped", "overlap", 2)]
    assert why(*decided, expected=by_others(minute(5)), run=run) == told
    assert {one for one, _, _ in why(*decided, expected=(Expected(1, MINUTELY, START, minute(5)),), run=run)} > {"unexplained"}


def test_behind_what_other_zone_data_decided_ticks_are_pending_as_ours_have_them() -> None:
    run = Run("completed", None, minute(1) + 31 * SECOND, FAR)
    assert why(between(1), expected=by_others(), run=run, now=minute(3)) == [
        ("on_time", None, 1), ("pending", "overdue", 2), ("pending", "not_due", 2),
    ]  # fmt: skip


def test_what_is_decided_twice_or_never_ran_is_unexplained_by_any_zone_data() -> None:
    assert ("unexplained", "decided_twice", 1) in why(between(1), between(1), expected=by_others())
    assert ("unexplained", "no_execution", 1) in why(replace(between(1), execution_id="gone"), expected=by_others())


def test_where_other_zone_data_expect_the_same_each_tick_is_judged() -> None:
    assert why(fired(1), skipped(2, 5), expected=by_others(minute(5))) == [("on_time", None, 1), ("skipped", "overlap", 4)]

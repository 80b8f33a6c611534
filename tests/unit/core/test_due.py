"""The verdicts on due ticks as laws: each expected tick has exactly one, in order: late, paused, left out, or cut in portions."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledger.core import due, tick
from ledger.core.due import Fire, Judged, Miss, Skip, bars_of, judge
from ledger.core.ids import Micros
from ledger.core.pause import Span
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec

SECOND = 1_000_000
START = 1_800_000_000 * SECOND

instants = st.integers(0, 400).map(lambda seconds: Micros(START + seconds * SECOND))
specs = st.builds(
    ScheduleSpec,
    every_ms=st.sampled_from([1000, 2000, 7000, 60_000]),
    catchup_window_ms=st.sampled_from([10_000, 45_000, 3_600_000]),
    coalesce=st.sampled_from(["latest", "earliest", "all"]),
)
spans = st.lists(st.tuples(instants, st.none() | instants).map(lambda pair: Span(pair[0], pair[1])), max_size=4)


def ticks_of(judged: Judged, engine: Schedule) -> list[int]:
    """The ticks that have a verdict, in the order of the verdicts; a range holds what the engine says, and as many as it claims."""
    ticks: list[int] = []
    for verdict in judged.verdicts:
        if isinstance(verdict, Fire):
            ticks.append(verdict.tick_at)
            continue
        within = list(engine.between_us(verdict.ticks.first - 1, verdict.ticks.last))
        assert (within[0], within[-1], len(within)) == (verdict.ticks.first, verdict.ticks.last, verdict.ticks.count)
        ticks += within
    return ticks


@given(specs, st.integers(0, 400), st.integers(0, 400), st.integers(0, 30), spans, st.lists(instants, max_size=5))
def test_every_expected_tick_has_exactly_one_verdict_in_order(
    spec: ScheduleSpec, first: int, length: int, ago: int, paused: list[Span], by_hand: list[Micros]
) -> None:
    engine = Schedule.from_spec(spec)
    after, until = START + first * SECOND, START + (first + length) * SECOND
    bars = bars_of(paused, sorted(set(by_hand)), after, until)
    judged = judge(engine, spec, after, until, until + ago * SECOND, bars)
    expected = list(engine.between_us(after, until))
    decided = ticks_of(judged, engine)
    assert decided == expected[: len(decided)]
    assert not judged.whole or decided == expected
    for tick_at in expected[: len(decided)]:
        is_paused = any(span.since <= tick_at and (span.until is None or tick_at < span.until) for span in paused)
        wanted = "by_hand" if tick_at in by_hand else "paused" if is_paused else None
        assert _skipped(judged, tick_at) == wanted


def _skipped(judged: Judged, tick_at: int) -> str | None:
    found = (one.reason for one in judged.verdicts if isinstance(one, Skip) and one.ticks.first <= tick_at <= one.ticks.last)
    return next(found, None)


@given(specs, st.integers(0, 400), st.integers(0, 400), st.integers(0, 30))
def test_what_is_made_up_is_young_enough_and_as_many_as_the_version_says(spec: ScheduleSpec, first: int, length: int, ago: int) -> None:
    engine = Schedule.from_spec(spec)
    after, until = START + first * SECOND, START + (first + length) * SECOND
    now = until + ago * SECOND
    judged = judge(engine, spec, after, until, now)
    late = [one.tick_at for one in judged.verdicts if isinstance(one, Fire) and one.tick_at < now - tick.ON_TIME]
    assert all(now - tick_at <= spec.catchup_window_ms * 1000 for tick_at in late)
    possible = [one for one in engine.between_us(after, until) if one < now - tick.ON_TIME and now - one <= spec.catchup_window_ms * 1000]
    match spec.coalesce:
        case "latest":
            assert late == possible[-1:]
        case "earliest":
            assert late == possible[:1]
        case "all":
            assert late == possible[: due.AT_ONCE]


def test_of_late_ticks_on_both_sides_of_a_pause_one_is_made_up() -> None:
    spec = ScheduleSpec(every_ms=1000)
    engine = Schedule.from_spec(spec)
    until = START + 60 * SECOND
    bars = bars_of([Span(Micros(START + 10 * SECOND), Micros(START + 20 * SECOND))], [], START, until)
    for coalesce, fires in (("latest", 60), ("earliest", 1)):
        judged = judge(engine, structs.replace(spec, coalesce=coalesce), START, until, until + 20 * SECOND, bars)
        assert [(one.tick_at - START) // SECOND for one in judged.verdicts if isinstance(one, Fire)] == [fires]
        assert sum(one.ticks.count for one in judged.verdicts if isinstance(one, Miss)) == 49


def test_a_range_of_years_is_reckoned_and_not_enumerated() -> None:
    spec = ScheduleSpec(cron=("* * * * * *",), timezone="Europe/Berlin")
    year = 31_536_000
    judged = judge(Schedule.from_spec(spec), spec, START, START + 10 * year * SECOND, START + 10 * year * SECOND)
    missed = sum(one.ticks.count for one in judged.verdicts if isinstance(one, Miss))
    assert missed + sum(isinstance(one, Fire) for one in judged.verdicts) == 10 * year

"""When a batch goes to Postgres: at once, at a pace under load, and as soon as nothing more comes."""

from projections.following import BREATH, FEW_EVENTS, MANY_EVENTS, PACE, QUIET, goes_at, pace_of


def test_few_events_make_the_next_batch_wait_for_nothing_and_many_for_the_whole_pace() -> None:
    assert pace_of(1) == pace_of(FEW_EVENTS) == 0.0
    assert 0 < pace_of(MANY_EVENTS // 2) < pace_of(MANY_EVENTS) == pace_of(100 * MANY_EVENTS) == PACE


def test_while_more_is_there_or_has_just_come_the_pace_is_kept() -> None:
    assert goes_at(10.0, 9.0, behind=1) == 10.0
    assert goes_at(10.0, 9.99, behind=0) == 10.0


def test_at_the_end_of_the_log_a_batch_goes_as_soon_as_it_is_quiet() -> None:
    assert goes_at(10.0, 9.0, behind=0) == 9.0 + QUIET
    assert QUIET > BREATH  # else the time between two requests would be taken for quiet

"""When a failed attempt is tried again."""

from hypothesis import given
from hypothesis import strategies as some

from ledger.core.options import Options
from ledger.core.retry import Policy, policy_for, retry_after_ms, spread_of


def test_the_default_starts_at_15_seconds_and_doubles() -> None:
    delays = [retry_after_ms(Policy(attempts=10), attempt, 0.5) for attempt in (1, 2, 3)]
    assert delays == [15_000, 30_000, 60_000]


def test_attempts_include_the_first() -> None:
    assert retry_after_ms(Policy(attempts=3), 2, 0.5) is not None
    assert retry_after_ms(Policy(attempts=3), 3, 0.5) is None
    assert retry_after_ms(Policy(attempts=1), 1, 0.5) is None


def test_fixed_is_fixed() -> None:
    policy = Policy(attempts=9, backoff="fixed", first_ms=2000)
    assert [retry_after_ms(policy, attempt, 0.9) for attempt in (1, 5, 8)] == [2000, 2000, 2000]


@given(some.integers(1, 10_000), some.floats(0, 1))
def test_a_delay_stays_within_a_tenth_and_below_the_maximum(attempt: int, spread: float) -> None:
    delay = retry_after_ms(Policy(attempts=20_000), attempt, spread)
    assert delay is not None
    exact = min(15_000 * 2 ** min(attempt - 1, 40), 3_600_000)
    assert exact * 0.9 - 1 <= delay <= min(exact * 1.1 + 1, 3_600_000)


def test_what_the_execution_says_goes_before_what_the_handler_declares() -> None:
    declared = Policy(5, "exponential", 1000, 2000)
    assert policy_for(None, declared) == declared
    assert policy_for(Options(), declared) == declared
    assert policy_for(Options(attempts=2, backoff="fixed"), declared) == Policy(2, "fixed", 1000, 2000)
    assert policy_for(Options(backoff_first_ms=0, backoff_max_ms=7), declared) == Policy(5, "exponential", 0, 7)


def test_the_spread_is_the_same_whenever_it_is_asked_and_differs_between_attempts() -> None:
    assert spread_of("x-1", 1) == spread_of("x-1", 1) != spread_of("x-1", 2)
    assert all(0 <= spread_of(f"x-{n}", 1) < 1 for n in range(1000))

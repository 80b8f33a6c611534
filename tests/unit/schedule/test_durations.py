import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.durations import LONGEST_MS, format_duration, parse_duration_ms
from ledger.core.invalid import Invalid
from ledger.core.refusal import Refused


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        ("500ms", 500),
        ("1s500ms", 1500),
        ("1.5h", 5_400_000),
        (" 90s ", 90_000),
        ("PT15M", 900_000),
        ("PT90S", 90_000),
        ("PT0.5S", 500),
        ("P1DT2H", 93_600_000),
        ("P2W", 1_209_600_000),
        ("0s", 0),
        ("PT0S", 0),
        (1500, 1500),
        (1500.0, 1500),
        (0, 0),
        ("3653d", LONGEST_MS),
    ],
)
def test_a_duration_is_read(written: str | int | float, ms: int) -> None:
    assert parse_duration_ms(written) == ms


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("90", "has no unit"),
        ("-5s", "is negative"),
        ("PT-5S", "is negative"),
        (-1, "is negative"),
        (-0.5, "is negative"),
        ("5x", "is not a duration"),
        ("5 s", "is not a duration"),
        ("five minutes", "is not a duration"),
        ("+5s", "is not a duration"),
        ("1e3s", "is not a duration"),
        (".5s", "is not a duration"),
        ("15M", "unit in capitals"),
        ("30m1h", "out of order"),
        ("1h1h", "out of order"),
        ("15:00", "time of day"),
        ("P1M", "months or years"),
        ("P1Y", "months or years"),
        ("P1Y2M3DT4H", "months or years"),
        ("P", "not an ISO 8601 duration"),
        ("PT", "not an ISO 8601 duration"),
        ("P1DT", "not an ISO 8601 duration"),
        ("pt15m", "not an ISO 8601 duration"),
        ("P1H", "not an ISO 8601 duration"),
        ("٣s", "outside ASCII"),
        ("5µs", "outside ASCII"),
        ("90s\n", "is not a duration"),
        ("9" * 70 + "s", "longer than 64 characters"),
        ("9" * 60 + "s", "longer than ten years"),
        ("3653d1ms", "longer than ten years"),
        (10**18, "longer than ten years"),
        pytest.param(10**5000, "longer than ten years", id="5001 digits"),
        (1e18, "longer than ten years"),
        (float("inf"), "finite"),
        (float("nan"), "finite"),
        (1.5, "whole number of milliseconds"),
        ("0.5ms", "whole number of milliseconds"),
        (True, "of type bool"),
    ],
)
def test_what_is_no_duration_is_refused_with_value_reason_and_example(written: str | int | float, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_duration_ms(written, field="timeout")
    said = str(refused.value)
    assert said.startswith("invalid_duration: timeout ")
    assert why in refused.value.why
    assert "for example '90s'" in said
    assert said.isascii() and "\n" not in said and len(said) < 300


@pytest.mark.parametrize("value", [None, [], {"s": 5}])
def test_another_type_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="not a duration"):
        parse_duration_ms(value)  # type: ignore[arg-type]  # what a YAML file may hold


@pytest.mark.parametrize("zero", ["0s", "PT0S", 0, 0.0, "0ms"])
def test_zero_is_refused_where_told(zero: str | int | float) -> None:
    with pytest.raises(Refused, match="is zero"):
        parse_duration_ms(zero, zero=False)


@pytest.mark.parametrize(
    ("ms", "normal"),
    [
        (90_000, "PT90S"),
        (900_000, "PT15M"),
        (5_400_000, "PT90M"),
        (7_200_000, "PT2H"),
        (172_800_000, "P2D"),
        (500, "PT0.5S"),
        (1501, "PT1.501S"),
        (0, "PT0S"),
    ],
)
def test_the_normal_form_takes_the_largest_unit_that_divides(ms: int, normal: str) -> None:
    assert format_duration(ms) == normal


@given(st.integers(0, LONGEST_MS))
def test_the_normal_form_means_the_same(ms: int) -> None:
    assert parse_duration_ms(format_duration(ms)) == ms


@given(st.text(max_size=12) | st.from_regex(r"P?T?[0-9.]{0,4}[wdhmsYMWDTHS]{0,2}", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert 0 <= parse_duration_ms(text) <= LONGEST_MS
    except Refused as refused:
        assert refused.reason == "invalid_duration"

"""What a cron text may say, and each refusal with its field, value, reason and an example."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.core.cron import bits
from ledger.core.cron_text import MACROS, parse_cron
from ledger.schedule import Invalid, Schedule

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def first(cron: str | list[str], count: int = 3, after: datetime = MONDAY - timedelta(seconds=1)) -> list[str]:
    found = []
    for instant in Schedule(cron=cron).between(after, after + timedelta(days=4000)):
        found.append(instant.strftime("%Y-%m-%d %H:%M:%S"))
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize(
    ("cron", "firings"),
    [
        ("30 2 * * *", ["2024-01-01 02:30:00", "2024-01-02 02:30:00"]),
        ("15 30 2 * * *", ["2024-01-01 02:30:15", "2024-01-02 02:30:15"]),
        ("* * * * * *", ["2024-01-01 00:00:00", "2024-01-01 00:00:01"]),
        ("  30\t2  *   * * ", ["2024-01-01 02:30:00", "2024-01-02 02:30:00"]),
        ("0 0 1 jan,Jul *", ["2024-01-01 00:00:00", "2024-07-01 00:00:00"]),
        ("0 22-2/2 * * *", ["2024-01-01 00:00:00", "2024-01-01 02:00:00", "2024-01-01 22:00:00"]),
        ("0 0 * * FRI-MON", ["2024-01-01 00:00:00", "2024-01-05 00:00:00", "2024-01-06 00:00:00"]),
        ("0 7-7 * * *", ["2024-01-01 07:00:00", "2024-01-02 07:00:00"]),
        ("50/4 0 * * *", ["2024-01-01 00:50:00", "2024-01-01 00:54:00", "2024-01-01 00:58:00", "2024-01-02 00:50:00"]),
        ("0 0 ? * MON", ["2024-01-01 00:00:00", "2024-01-08 00:00:00"]),
        ("0 0 1 * ?", ["2024-01-01 00:00:00", "2024-02-01 00:00:00"]),
        ("0 0 L * *", ["2024-01-31 00:00:00", "2024-02-29 00:00:00", "2024-03-31 00:00:00"]),
        ("0 0 15,L * *", ["2024-01-15 00:00:00", "2024-01-31 00:00:00"]),
        ("0 0 * * L5", ["2024-01-26 00:00:00", "2024-02-23 00:00:00"]),
        ("0 0 * * LFRI", ["2024-01-26 00:00:00", "2024-02-23 00:00:00"]),
        ("0 0 * * L7", ["2024-01-28 00:00:00", "2024-02-25 00:00:00"]),
        ("0 0 * * 5#2", ["2024-01-12 00:00:00", "2024-02-09 00:00:00"]),
        ("0 0 * * MON#5", ["2024-01-29 00:00:00", "2024-04-29 00:00:00"]),
        ("0 0 13 * FRI", ["2024-01-05 00:00:00", "2024-01-12 00:00:00", "2024-01-13 00:00:00"]),
        ("0 0 */10 * MON", ["2024-01-01 00:00:00", "2024-01-08 00:00:00", "2024-01-11 00:00:00"]),
        ("@hourly", ["2024-01-01 00:00:00", "2024-01-01 01:00:00"]),
        ("@daily", ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]),
        ("@midnight", ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]),
        ("@Weekly", ["2024-01-07 00:00:00", "2024-01-14 00:00:00"]),
        ("@monthly", ["2024-01-01 00:00:00", "2024-02-01 00:00:00"]),
        ("@yearly", ["2024-01-01 00:00:00", "2025-01-01 00:00:00"]),
        ("@annually", ["2024-01-01 00:00:00", "2025-01-01 00:00:00"]),
        (
            ["0 6 * * *", "0 18 * * *", "0 6,7 1 1 *"],
            ["2024-01-01 06:00:00", "2024-01-01 07:00:00", "2024-01-01 18:00:00", "2024-01-02 06:00:00"],
        ),
    ],
)
def test_what_an_expression_means(cron: str | list[str], firings: list[str]) -> None:
    assert first(cron, len(firings)) == firings


@pytest.mark.parametrize("text", ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN", "0 0 0 * * 7", "0 0 * * 7-7/2"])
def test_sunday_is_0_and_7(text: str) -> None:
    assert first(text, 2) == ["2024-01-07 00:00:00", "2024-01-14 00:00:00"]


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0-7", [0, 1, 2, 3, 4, 5, 6]),
        ("7-2", [0, 1, 2]),
        ("6-7", [0, 6]),
        ("5-4", [0, 1, 2, 3, 4, 5, 6]),
        ("1-7/2", [0, 1, 3, 5]),
        ("7/2", [0, 2, 4, 6]),
        ("1/2", [1, 3, 5]),
        ("*/2", [0, 2, 4, 6]),
        ("SAT-MON", [0, 1, 6]),
    ],
)
def test_ranges_of_weekdays_wrap(field: str, days: list[int]) -> None:
    assert list(bits(parse_cron(f"0 0 * * {field}").weekdays)) == days


def test_a_day_field_is_unrestricted_only_as_a_star_or_a_question_mark() -> None:
    assert first("0 0 */1 * MON", 2) == ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]
    assert first("0 0 1-31 * MON", 2) == ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]
    assert first("0 0 * * MON", 2) == ["2024-01-01 00:00:00", "2024-01-08 00:00:00"]


def test_leap_days_over_2100() -> None:
    leap = Schedule(cron="0 0 29 2 *")
    assert leap.next(datetime(2096, 2, 29, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)
    assert leap.next(datetime(1999, 1, 1, tzinfo=UTC)) == datetime(2000, 2, 29, tzinfo=UTC)


def test_the_longest_wait_of_the_calendar_is_forty_years() -> None:
    a_fifth_monday_in_february = Schedule(cron="0 0 * 2 MON#5")
    assert a_fifth_monday_in_february.next(datetime(2072, 2, 29, tzinfo=UTC)) == datetime(2112, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin"])
def test_year_ends_and_the_ends_of_the_calendar(zone: str) -> None:
    silvester = Schedule(cron="59 59 23 31 12 *", timezone=zone)
    found = silvester.next(datetime(2023, 6, 1, tzinfo=UTC))
    assert found is not None and found.year in (2023, 2024)
    assert Schedule(cron="* * * * * *", timezone=zone).next(datetime.max.replace(tzinfo=UTC)) is None
    assert Schedule(cron="0 0 * * *", timezone=zone).next(datetime.min.replace(tzinfo=UTC)) is not None
    assert silvester.next(datetime(9999, 12, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("macro", MACROS)
def test_a_macro_is_what_it_stands_for(macro: str) -> None:
    assert first(macro.lower(), 3) == first(MACROS[macro], 3)


TWO = "'30' or '*/15'"
REFUSED = [
    # a field too many or too few
    ("", "cron ''", "is empty"),
    ("   ", "cron '   '", "is empty"),
    ("5", "cron '5'", "has 1 field, not 5"),
    ("* * * *", "cron '* * * *'", "has 4 fields, not 5"),
    ("0 0 0 1 1 * 2025", "cron '0 0 0 1 1 * 2025'", "none for a year"),
    ("0 0 0 1 1 * 2025 9", "cron '0 0 0 1 1 * 2025 9'", "has 8 fields"),
    # out of range
    ("60 0 0 * * *", "seconds '60'", "out of range 0-59"),
    ("60 * * * *", "minutes '60'", "out of range 0-59"),
    ("0 24 * * *", "hours '24'", "out of range 0-23"),
    ("0 0 0 * *", "day of month '0'", "out of range 1-31"),
    ("0 0 32 * *", "day of month '32'", "out of range 1-31"),
    ("0 0 * 0 *", "month '0'", "out of range 1-12"),
    ("0 0 * 13 *", "month '13'", "out of range 1-12"),
    ("0 0 * * 8", "day of week '8'", "out of range 0-7"),
    ("0 0 * * L8", "day of week 'L8'", "out of range 0-7"),
    ("0 0 * * 8#1", "day of week '8#1'", "out of range 0-7"),
    ("9999999999999999 * * * *", "minutes '9999999999999999'", "out of range 0-59"),
    ("0-60 * * * *", "minutes '0-60'", "out of range 0-59"),
    # steps
    ("*/0 * * * *", "minutes '*/0'", "step of zero"),
    ("5-10/0 * * * *", "minutes '5-10/0'", "step of zero"),
    ("*/61 * * * *", "minutes '*/61'", "step beyond the 60 values"),
    ("0 */25 * * *", "hours '*/25'", "step beyond the 24 values"),
    # macros
    ("@reboot", "cron '@reboot'", "no point in time"),
    ("@every 5m", "cron '@every 5m'", "schedule of its own"),
    ("@fortnightly", "cron '@fortnightly'", "is not one of @yearly"),
    # what other crons know
    ("0 0 W * *", "day of month 'W'", "nearest working day"),
    ("0 0 15W * *", "day of month '15W'", "nearest working day"),
    ("0 0 LW * *", "day of month 'LW'", "nearest working day"),
    ("0 0 L-3 * *", "day of month 'L-3'", "counts back from the last day"),
    ("0 0 L5 * *", "day of month 'L5'", "'L' where it cannot stand"),
    ("0 0 * * 5L", "day of week '5L'", "say 'L5'"),
    ("0 0 * * FRIL", "day of week 'FRIL'", "say 'LFRI'"),
    ("0 0 * * L", "day of week 'L'", "needs a weekday"),
    ("H * * * *", "minutes 'H'", "hashed or random"),
    ("H/5 * * * *", "minutes 'H/5'", "hashed or random"),
    ("H(0-29) * * * *", "minutes 'H(0-29)'", "hashed or random"),
    ("R * * * *", "minutes 'R'", "hashed or random"),
    ("0 0 R * *", "day of month 'R'", "hashed or random"),
    ("0 0 * * 5#0", "day of week '5#0'", "a number from 1 to 5"),
    ("0 0 * * 5#6", "day of week '5#6'", "a number from 1 to 5"),
    ("0 0 * * 5#", "day of week '5#'", "a number from 1 to 5"),
    ("? * * * *", "minutes '?'", "only in a day field"),
    ("0 0 ?/2 * *", "day of month '?/2'", "only alone"),
    ("0 0 1,? * *", "day of month '?'", "only alone"),
    # what is no field
    ("0 0 * JANUARY *", "month 'JANUARY'", "is not one of JAN"),
    ("0 0 * * MONDAY", "day of week 'MONDAY'", "is not one of SUN"),
    ("0 0 MON * *", "day of month 'MON'", "is not a value"),
    ("1,,2 * * * *", "minutes ''", "empty item"),
    (", * * * *", "minutes ''", "empty item"),
    ("5- * * * *", "minutes '5-'", "is not a value"),
    ("-5 * * * *", "minutes '-5'", "is not a value"),
    ("*-5 * * * *", "minutes '*-5'", "is not a value"),
    ("1-2-3 * * * *", "minutes '1-2-3'", "is not a value"),
    ("*/ * * * *", "minutes '*/'", "is not a value"),
    ("/5 * * * *", "minutes '/5'", "is not a value"),
    ("1.5 * * * *", "minutes '1.5'", "is not a value"),
    ("1e1 * * * *", "minutes '1E1'", "is not a value"),
    ("0x5 * * * *", "minutes '0X5'", "is not a value"),
    ("** * * * *", "minutes '**'", "is not a value"),
    # characters
    ("\u0663 * * * *", "cron '\\u0663 * * * *'", "outside ASCII"),
    ("0 0 * *\u00a0* *", "cron '0 0 * *\\xa0* *'", "outside ASCII"),
    ("0 0 * *\n*", "cron '0 0 * *\\n*'", "control character"),
    ("0 0 * *\0*", "cron '0 0 * *\\x00*'", "control character"),
    ("0," * 600 + "0 * * * *", "cron '0,0,", "longer than 1000 characters"),
    # another type, as YAML gives it
    (900, "cron 900", "of type int, not a text"),
    (None, "schedule 'none'", "exactly one of cron, every and at"),
    ([], "cron '0 expressions'", "1 to 20 expressions"),
    (["* * * * *"] * 21, "cron '21 expressions'", "1 to 20 expressions"),
    (["0 0 * * *", "0 25 * * *"], "cron[1]: hours '25'", "out of range"),
    (["0 0 * * *", None], "cron[1] None", "of type NoneType"),
    # never
    ("0 0 30 2 *", "cron '0 0 30 2 *'", "never fires"),
    ("0 0 31 4,6,9,11 *", "cron '0 0 31 4,6,9,11 *'", "never fires"),
    (["0 0 * * *", "0 0 31 2 *"], "cron[1] '0 0 31 2 *'", "never fires"),
]


@pytest.mark.parametrize(("cron", "names", "why"), REFUSED)
def test_what_cannot_be_is_refused_with_field_value_reason_and_example(cron: str, names: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        Schedule(cron=cron)
    said = str(refused.value)
    assert refused.value.reason == "invalid_schedule"
    assert names in said
    assert why in said
    assert "; for example " in said
    assert said.isascii() and "\n" not in said and len(said) < 600


def test_a_local_time_that_is_skipped_every_year_never_fires_under_literal() -> None:
    with pytest.raises(Invalid, match="never fires"):
        Schedule(cron="30 2 * 3 SUN#2", timezone="America/New_York", dst="literal")
    assert Schedule(cron="30 2 * 3 SUN#2", timezone="America/New_York").next(MONDAY) == datetime(2024, 3, 10, 7, tzinfo=UTC)

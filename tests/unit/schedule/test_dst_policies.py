"""The table of the four policies, and each example that scheduling.md gives for it."""

from datetime import UTC, datetime

import pytest

from ledger.schedule import Dst, Schedule

NEW_YORK = "America/New_York"  # 2024-03-10 02:00 -> 03:00 at 07:00Z, 2024-11-03 02:00 -> 01:00 at 06:00Z


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def firings(schedule: Schedule, after: str, until: str) -> list[str]:
    return [one.strftime("%d %H:%M:%S").removesuffix(":00") for one in schedule.between(utc(after), utc(until))]


def in_spring(cron: str | list[str], dst: Dst = "vixie") -> list[str]:
    """From local 01:30, exclusive, to local 04:00."""
    return firings(Schedule(cron=cron, timezone=NEW_YORK, dst=dst), "2024-03-10T06:30", "2024-03-10T08:00")


def in_autumn(cron: str | list[str], dst: Dst = "vixie") -> list[str]:
    """From the first local 00:59 to the local 02:00 after both ones."""
    return firings(Schedule(cron=cron, timezone=NEW_YORK, dst=dst), "2024-11-03T04:59", "2024-11-03T07:00")


GAP, FIRST, SECOND, AFTER = "10 07:00", "03 05:30", "03 06:30", "03 07:00"


@pytest.mark.parametrize(("dst", "gap"), [("vixie", [GAP]), ("cronos", [GAP]), ("literal", []), ("last", [])])
def test_a_fixed_expression_in_a_gap(dst: Dst, gap: list[str]) -> None:
    assert in_spring("30 2 * * *", dst) == gap


@pytest.mark.parametrize(("dst", "twice"), [("vixie", [FIRST]), ("cronos", [FIRST]), ("literal", [FIRST, SECOND]), ("last", [SECOND])])
def test_a_fixed_expression_that_comes_twice(dst: Dst, twice: list[str]) -> None:
    assert in_autumn("30 1 * * *", dst) == twice


@pytest.mark.parametrize(("dst", "gap"), [("vixie", []), ("cronos", [GAP]), ("literal", []), ("last", [])])
def test_an_interval_expression_in_a_gap(dst: Dst, gap: list[str]) -> None:
    assert in_spring("*/20 2 * * *", dst) == gap


@pytest.mark.parametrize(
    ("dst", "twice"),
    [
        ("vixie", ["03 05:00", FIRST, "03 06:00", SECOND]),
        ("cronos", ["03 05:00", FIRST, "03 06:00", SECOND]),
        ("literal", ["03 05:00", FIRST, "03 06:00", SECOND]),
        ("last", ["03 06:00", SECOND]),
    ],
)
def test_an_interval_expression_that_comes_twice(dst: Dst, twice: list[str]) -> None:
    assert in_autumn("*/30 1 * * *", dst) == twice


@pytest.mark.parametrize(
    "cron", ["0,30 2 * * *", "0 2,3 * * *", ["0 2 * * *", "30 2 * * *"], ["30 2 * * *", "0 3 * * *"], ["30 2 * * *", "@hourly"]]
)
def test_everything_in_one_gap_and_a_regular_firing_at_its_end_is_one_tick(cron: str | list[str]) -> None:
    assert in_spring(cron)[:1] == [GAP]
    assert in_spring(cron).count(GAP) == 1


def fires_again(cron: str, dst: Dst = "vixie") -> bool:
    """Whether the hour from 01:00 fires when it comes the second time, at 06:00Z."""
    return bool(firings(Schedule(cron=cron, timezone=NEW_YORK, dst=dst), "2024-11-03T05:59:59", "2024-11-03T06:59:59"))


@pytest.mark.parametrize("cron", ["* 30 1 * * *", "0 0-23 * * *", "5,*/10 1 * * *", "30 1 * * *", "*/5 30 0-23 * * *"])
def test_fixed_under_vixie_unless_the_minute_or_the_hour_begins_with_a_star(cron: str) -> None:
    assert not fires_again(cron)


@pytest.mark.parametrize("cron", ["0 30 * * * *", "30 * * * *", "@hourly", "*/30 1,2 * * *", "* 1,2 * * *", "30 */1 * * *", "*,5 1 * * *"])
def test_interval_under_vixie(cron: str) -> None:
    assert fires_again(cron)


@pytest.mark.parametrize(
    "cron", ["0-30/30 30 1 * * *", "30 1-2 * * *", "30/40 1 * * *", "*/30 30 1 * * *", "* 30 1 * * *", "5,*/10 1 * * *"]
)
def test_interval_under_cronos_by_any_star_dash_or_slash_in_the_time(cron: str) -> None:
    assert fires_again(cron, "cronos")


@pytest.mark.parametrize("dst", ["vixie", "cronos"])
@pytest.mark.parametrize("cron", ["30 1 */1 * *", "30 1 * * 0-6", "0,30 1 * 1-12 *"])
def test_the_day_fields_do_not_make_an_interval(cron: str, dst: Dst) -> None:
    assert not fires_again(cron, dst)


def test_each_expression_of_a_list_has_its_own_class() -> None:
    assert in_autumn(["30 1 * * *", "15 * * * *"]) == ["03 05:15", FIRST, "03 06:15"]


def test_a_vanished_day_fires_once_as_the_next_begins() -> None:
    """Apia went from 2011-12-29 to 2011-12-31, at 10:00Z."""
    apia = Schedule(cron=["0 6 * * *", "0 18 * * *"], timezone="Pacific/Apia")
    assert firings(apia, "2011-12-29T17:00", "2011-12-31T00:00") == ["30 04:00", "30 10:00", "30 16:00"]
    only_that_day = Schedule(cron="0 12 30 12 *", timezone="Pacific/Apia")
    assert only_that_day.next(utc("2011-06-01T00:00")) == utc("2011-12-30T10:00")
    assert Schedule(cron="0 12 30 12 *", timezone="Pacific/Apia", dst="literal").next(utc("2011-06-01T00:00")) == utc("2012-12-29T22:00")


def test_a_change_may_carry_seconds() -> None:
    """Monrovia, 1972-01-07 00:00 -> 00:44:30."""
    monrovia = Schedule(cron="20 0 * * *", timezone="Africa/Monrovia")
    assert monrovia.next(utc("1972-01-06T12:00")) == utc("1972-01-07T00:44:30")


def test_half_an_hour() -> None:
    """Lord Howe goes forward at 02:00 by thirty minutes, on 2024-10-06."""
    assert firings(Schedule(cron="15 2 * * *", timezone="Australia/Lord_Howe"), "2024-10-05T12:00", "2024-10-06T00:00") == ["05 15:30"]


@pytest.mark.parametrize(
    ("zone", "gap_ends"),
    [("Africa/Cairo", "2024-04-25T22:00"), ("Asia/Beirut", "2024-03-30T22:00"), ("America/Santiago", "2024-09-08T04:00")],
)
def test_a_gap_at_midnight(zone: str, gap_ends: str) -> None:
    """Midnight itself does not exist, and is 01:00; the day is not lost."""
    daily = Schedule(cron="0 0 * * *", timezone=zone)
    assert daily.next(utc(gap_ends.replace("T22", "T12").replace("T04", "T00"))) == utc(gap_ends)


def test_negative_daylight_saving_is_a_change_like_any_other() -> None:
    """Dublin calls its winter time the exception; the clock changes on the last Sundays of March and October all the same."""
    daily = Schedule(cron="30 1 * * *", timezone="Europe/Dublin")
    assert firings(daily, "2024-03-31T00:00", "2024-04-01T00:00") == ["31 01:00"]
    assert firings(daily, "2024-10-26T12:00", "2024-10-27T12:00") == ["27 00:30"]


def test_a_change_of_two_hours() -> None:
    """Troll station goes from +00 to +02, on 2024-03-31 at 01:00Z."""
    assert firings(Schedule(cron="30 1,2 * * *", timezone="Antarctica/Troll"), "2024-03-31T00:30", "2024-03-31T02:00") == ["31 01:00"]

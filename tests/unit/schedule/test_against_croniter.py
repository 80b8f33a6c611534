"""croniter, the engine that most people come from, in UTC: the same firings, but for its known defects, each of which is listed.

A defect that is healed fails its test here: then it leaves the list.
"""

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from croniter.croniter import CroniterError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.schedule import Invalid, Schedule
from tests.unit.schedule.oracle import Stretch

BOTH_SECONDS = st.sampled_from(["0", "30", "*/20", "15,45", "5-11/2", "*"])
BOTH_MINUTES = st.sampled_from(["0", "30", "15,45", "*/15", "*/7", "0-59/25", "59", "*"])
BOTH_HOURS = st.sampled_from(["0", "2,3", "0-4", "22-3", "*", "*/2", "1,*/6", "0-23", "23", "12"])
BOTH_MONTHS = st.sampled_from(["*", "3,10", "3-11", "2", "jan", "*/5"])
BOTH_MONTH_DAYS = st.sampled_from(["*", "*", "*", "1", "1-15", "29", "*/2", "L", "15,20"])
BOTH_WEEKDAYS = st.sampled_from(["*", "*", "*", "0", "5", "mon-fri", "FRI-SUN", "5-1", "*/2"])
ALONE = st.sampled_from([("*", "L5"), ("*", "5#2"), ("*", "SAT#5,SUN#1")])


def by_croniter(cron: str, after: datetime, count: int) -> list[datetime]:
    firings = croniter(cron, after, second_at_beginning=True, max_years_between_matches=50)
    return [firings.get_next(datetime) for _ in range(count)]


def by_us(cron: str, after: datetime, count: int) -> list[datetime]:
    schedule, found = Schedule(cron=cron), [after]
    while len(found) <= count:
        following = schedule.next(found[-1])
        assert following is not None
        found.append(following)
    return found[1:]


@given(
    seconds=BOTH_SECONDS,
    minutes=BOTH_MINUTES,
    hours=BOTH_HOURS,
    days=st.tuples(BOTH_MONTH_DAYS, BOTH_WEEKDAYS) | ALONE,
    months=BOTH_MONTHS,
    at=st.datetimes(datetime(1971, 1, 1), datetime(2060, 1, 1)),
)
@example("0", "0", "0", ("L", "*"), "2", datetime(2024, 1, 1))
@settings(max_examples=150, deadline=None)
def test_the_same_firings(seconds: str, minutes: str, hours: str, days: tuple[str, str], months: str, at: datetime) -> None:
    cron = f"{seconds} {minutes} {hours} {days[0]} {months} {days[1]}"
    after = at.replace(tzinfo=UTC, microsecond=0)
    assert by_us(cron, after, 5) == by_croniter(cron, after, 5)


@pytest.mark.parametrize(
    ("cron", "after", "lost"),
    [
        ("0 0 1,31 * *", "2023-02-10", "2023-03-01"),
        ("0 0 13 * 5#2", "2024-02-10", "2024-02-13"),
        ("0 0 31,L * *", "2023-02-10", "2023-02-28"),
    ],
)
def test_firings_that_croniter_loses(cron: str, after: str, lost: str) -> None:
    start, missing = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (after, lost))
    second = timedelta(seconds=1)
    assert Schedule(cron=cron).next(start) == missing
    stretch = Stretch("UTC", int(start.timestamp()), int(start.timestamp()) + 40 * 86_400, 86_400)
    assert stretch.firings([cron], "vixie")[0] == int(missing.timestamp())
    assert by_croniter(cron, missing - second, 1) != [missing] or by_croniter(cron, start, 1) != [missing]


@pytest.mark.parametrize(
    "cron",
    [
        "0 0 0 * * 7",  # Sunday as 7 beside seconds: refused
        "0 0 * * LFRI",  # a name after L: refused
        "0 0 30/1 2 FRI-SUN",  # no such day of the month, but such weekdays: refused
        "0 22-4/3 * * *",  # steps over a wrap lose count: 22 and 2, not 22, 1 and 4
        "50-10/7 * * * *",
        "0 0 25-5/4 * *",
        "0 0 1 OCT-APR/2 *",
        "0 0 */2 * 0-6",  # a full weekday range counts as unrestricted
        "0 0 * * 6/1",  # every day but Sunday, instead of Saturday
    ],
)
def test_texts_that_croniter_refuses_or_reads_otherwise(cron: str) -> None:
    after = datetime(2024, 1, 1, tzinfo=UTC)
    expected = by_us(cron, after, 30)
    stretch = Stretch("UTC", int(after.timestamp()), int(expected[-1].timestamp()), 86_400)
    assert stretch.firings([cron], "vixie") == [int(one.timestamp()) for one in expected]
    try:
        assert by_croniter(cron, after, 30) != expected
    except CroniterError:
        pass


@pytest.mark.parametrize(
    "cron", ["R * * * *", "0 0 30 2 *", "0 0 31 4 *", "0 0 0 1 1 * 2030", "0 0 0 1 1 * 1999", "*/90 * * * *", "0 0 \u0663 * *"]
)
def test_texts_that_croniter_accepts_and_we_refuse(cron: str) -> None:
    assert croniter.is_valid(cron, second_at_beginning=True)
    with pytest.raises(Invalid):
        Schedule(cron=cron)

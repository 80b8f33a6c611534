"""What a rehearsal compares: lists of firings up to where both are known, and schedules by what accepted them."""

import pytest

from ledger.cli.rehearsing.by_croniter import against_croniter
from ledger.cli.rehearsing.moved import compare, firings_of
from ledger.cli.rehearsing.rehearsal import with_zone_data
from ledger.cli.rehearsing.stored import Rehearsed
from ledger.cli.rehearsing.zone_data import package_version
from ledger.client.moments import datetime_of
from ledger.core.invalid import Invalid
from ledger.core.policies import engine_versions
from ledger.core.schedule_spec import ScheduleSpec

HOURLY = ScheduleSpec(every_ms=3_600_000)
BERLIN = ScheduleSpec(cron=("30 2 * * *",), timezone="Europe/Berlin")
NEW_YEAR = 1_767_225_600_000_000


def test_equal_lists_and_lists_that_differ_beyond_what_is_known() -> None:
    assert compare([1, 2, 3], [1, 2, 3]) is None
    assert compare([1, 2, 3], [1, 3, 4], most_here=3, most_there=3) is not None
    assert compare([1, 2, 3], [1, 2, 3, 4], most_here=3, most_there=9) is None


def test_what_moves_is_told_from_both_sides() -> None:
    moved = compare([1, 2, 5], [1, 3, 5])
    assert moved is not None
    assert (moved.only_here, moved.only_there, moved.first_here, moved.first_there) == (1, 1, datetime_of(2), datetime_of(3))


def test_a_schedule_that_ends_has_fewer_firings() -> None:
    assert firings_of(ScheduleSpec(at="2030-01-01T00:00:00Z"), NEW_YEAR) == [1_893_456_000_000_000]
    assert len(firings_of(HOURLY, NEW_YEAR, 7)) == 7


@pytest.mark.parametrize(("release", "version"), [("2025b", "2025.2"), ("2026a", "2026.1"), ("2025.2", "2025.2")])
def test_a_release_of_zone_data_as_a_package(release: str, version: str) -> None:
    assert package_version(release) == version


def test_what_is_no_release() -> None:
    with pytest.raises(Invalid, match="--tzdata 'newest' is neither"):
        package_version("newest")


def test_what_was_accepted_by_what_is_here_needs_no_comparison() -> None:
    engine, present = engine_versions()
    here = [Rehearsed("a", BERLIN, 1, engine, present), Rehearsed("utc", HOURLY, 1, engine, "1999z"), Rehearsed("unsaid", BERLIN, 1)]
    assert list(with_zone_data(here, NEW_YEAR, None, lambda _: None)) == []


def test_an_engine_that_is_not_here_is_told() -> None:
    [found] = with_zone_data([Rehearsed("a", BERLIN, 1, 99, "1999z")], NEW_YEAR, None, lambda _: None)
    assert (found.job_id, found.compared_with) == ("a", "engine 99")
    assert found.note is not None


def test_croniter_is_asked_about_the_expression_alone() -> None:
    spec = ScheduleSpec(cron=("*/15 * * * *", "5 * * * *"), exclude=("2026-01-02",), end="2026-02-01")
    assert against_croniter(spec, NEW_YEAR) is None

"""Reads about schedules: preview, versions, diff, rehearse."""

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
import tzdata

from tests.unit.cli.cli_fakes import World
from tests.unit.cli.conftest import Call


def test_preview_of_a_schedule_needs_no_server(call: Call) -> None:
    ended = call("jobs", "preview", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--dst", "literal", "--from", "2026-03-28",
                 "--count", "2", "-o", "json")  # fmt: skip
    assert (ended.code, ended.stderr) == (0, "")
    assert [one["local"] for one in json.loads(ended.stdout)] == ["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"]


def test_preview_of_a_stored_job_says_what_makes_no_sense(call: Call) -> None:
    ended = call("jobs", "preview", "hourly", "--from", "2026-01-01T00:30:00Z", "--count", "1", "-o", "jsonl")
    assert json.loads(ended.stdout)["tick_at"] == "2026-01-01T01:00:00.000Z"
    assert "catchup.coalesce 'all' with overlap 'skip' runs one" in ended.stderr


def test_preview_shows_what_the_limit_leaves(call: Call) -> None:
    assert len(call("jobs", "preview", "hourly", "-o", "jsonl").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--every", "1m", "--jitter", "2m"), 4, "jitter 'PT2M' is not less than the shortest interval"),
        (("--cron", "*/0 * * * *"), 4, "has a step of zero"),
        (("--cron", "0 0 30 2 *"), 4, "never fires"),
        (("--at", "0001-01-01T00:00:00+14:00"), 4, "is at the edge of the calendar"),
        (("--every", "1h", "--from", "0001-01-01T00:00:00+14:00"), 4, "is at the edge of the calendar"),
        (("--every", "1h", "--to", "9999-12-31T23:59:59-14:00"), 4, "is at the edge of the calendar"),
        ((), 4, "exactly one of cron, every and at"),
        (("nowhere",), 3, "there is no job nowhere"),
        (("greet",), 4, "greet version 1 has no schedule"),
        (("hourly", "--job-version", "9"), 3, "has no version 9"),
        (("hourly", "--every", "1h"), 2, "a stored job has its schedule"),
    ],
)
def test_what_cannot_be_previewed(call: Call, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended = call("jobs", "preview", *arguments)
    assert ended.code == code
    assert words in ended.stderr.replace("\n│", "")


def test_versions_tell_who_why_and_what_differs(call: Call) -> None:
    ended = call("jobs", "versions", "hourly", "-o", "json")
    second, first = json.loads(ended.stdout)
    assert (second["job_version"], second["actor"], second["reason"]) == (2, "ada", "too often")
    assert [one["field"] for one in second["differences"]] == ["data.n", "schedule.coalesce", "schedule.every_ms", "schedule.limit"]
    assert {one["before"] for one in first["differences"]} == {None}
    assert call("jobs", "versions", "nowhere").code == 3


def test_diff_is_field_by_field(call: Call) -> None:
    ended = call("jobs", "diff", "hourly", "1", "2", "-o", "json")
    assert json.loads(ended.stdout)["differences"] == [
        {"field": "data.n", "before": "1", "after": "2"},
        {"field": "schedule.coalesce", "before": None, "after": '"all"'},
        {"field": "schedule.every_ms", "before": "60000", "after": "3600000"},
        {"field": "schedule.limit", "before": None, "after": "10"},
    ]
    assert "say the same" in call("jobs", "diff", "hourly", "2", "2").stderr
    assert call("jobs", "diff", "hourly", "1", "7").code == 3


def test_rehearse_against_croniter_finds_what_it_loses(call: Call) -> None:
    ended = call("jobs", "rehearse", "--against", "croniter", "--cron", "0 0 1,31 * *", "--cron", "*/5 * * * *", "--from", "2026-02-10",
                 "-o", "json", "--exit-code")  # fmt: skip
    [found] = json.loads(ended.stdout)
    assert ended.code == 7
    assert (found["job_id"], found["first_here"]) == ("0 0 1,31 * *", "2026-03-01T00:00:00.000Z")
    assert "1 of 2 schedules differ in their next 1000 firings" in ended.stderr


def test_rehearse_says_what_croniter_cannot_read(call: Call) -> None:
    ended = call("jobs", "rehearse", "--against", "croniter", "--cron", "0 0 0 * * 7", "-o", "json")
    assert "croniter refuses '0 0 0 * * 7'" in json.loads(ended.stdout)[0]["note"]


def test_rehearse_under_other_zone_data(call: Call, tmp_path: Path) -> None:
    other = _package(tmp_path, {"Europe/Berlin": "Africa/Lagos"})
    ended = call("jobs", "rehearse", "--tzdata", str(other), "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2026-01-01",
                 "-o", "json")  # fmt: skip
    [found] = json.loads(ended.stdout)
    assert (found["compared_with"], found["first_here"], found["first_there"]) == (
        "tzdata 1999z",
        "2026-03-29T01:00:00.000Z",
        "2026-03-29T01:30:00.000Z",
    )


def test_zone_data_that_are_none(call: Call, tmp_path: Path) -> None:
    berlin = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    assert "is neither a release nor a file" in call("jobs", "rehearse", "--tzdata", "latest", *berlin).stderr
    assert call("jobs", "rehearse", "--cron", "30 2 * * *").code == 2


def test_rehearse_the_configuration(call: Call, world: World) -> None:
    ended = call("jobs", "rehearse", "--declared", "--against", "croniter")
    assert (ended.code, ended.stdout) == (0, "")
    assert "0 of 0 schedules differ" in ended.stderr


def _package(folder: Path, swapped: dict[str, str]) -> Path:
    """A wheel of zone data in which some zones are other ones."""
    source = Path(tzdata.__file__).parent
    wheel = folder / "tzdata-other.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("tzdata/__init__.py", '__version__ = "1999.26"\nIANA_VERSION = "1999z"\n')
        archive.write(source / "zones", "tzdata/zones")
        for zone, other in swapped.items():
            archive.write(source / "zoneinfo" / other, f"tzdata/zoneinfo/{zone}")
    return wheel

"""What callers say about schedules and names, and the command it becomes; each refusal names field, value, reason and an example."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ledger.client.content import content_hash
from ledger.client.names import check_name, check_paused
from ledger.client.scheduling import Scheduling, command_of, id_of, schedule_of, scheduling_of
from ledger.core import wire
from ledger.core.bodies import NOTHING
from ledger.core.ids import job_id_of
from ledger.core.invalid import Invalid
from ledger.core.options import Options
from ledger.core.refusal import Refused
from ledger.core.schedule_spec import ScheduleSpec


def test_a_schedule_becomes_a_command() -> None:
    plan = Scheduling(
        job="sync",
        name="hourly",
        cron=["0 6 * * *", "0 18 * * *"],
        timezone="Europe/Berlin",
        start=date(2026, 1, 1),
        exclude=["2026-12-25"],
        limit=10,
        jitter="30s",
        overlap="buffer_all",
        catchup_window=timedelta(hours=2),
        coalesce="all",
        pause_on_failure=3,
        tenant="acme",
        data={"n": 1},
        options={"attempts": 2},
        reason="asked for",
    )
    command = command_of(plan, "ada")
    spec = ScheduleSpec(
        cron=("0 6 * * *", "0 18 * * *"),
        timezone="Europe/Berlin",
        start="2026-01-01",
        exclude=("2026-12-25",),
        overlap="buffer_all",
        catchup_window_ms=7_200_000,
        coalesce="all",
        limit=10,
        jitter_ms=30_000,
        pause_on_failure=3,
    )
    assert command.schedule == spec
    assert (command.actor, command.reason, command.job_version, command.exclusive_scope) == ("ada", "asked for", 0, "tenant")
    assert command.content_hash == content_hash(command.data, Options(attempts=2), spec)
    assert id_of(plan) == job_id_of("sync", "acme", "hourly")
    assert wire.decode_commands(wire.encode(command), registry=True) == [command]


def test_what_is_written_in_another_way_is_the_same_content() -> None:
    assert command_of(Scheduling(job="a", every="90s")).content_hash == command_of(Scheduling(job="a", every="PT1M30S")).content_hash
    assert (
        command_of(Scheduling(job="a", every="90s", overlap="skip")).content_hash
        == command_of(Scheduling(job="a", every="90s")).content_hash
    )


def test_a_job_without_data_says_none() -> None:
    assert command_of(Scheduling(job="a", every="90s")).data is NOTHING
    assert bytes(command_of(Scheduling(job="a", every="90s", data=None)).data) == b"null"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"cron": "* * * * *", "every": "1h"}, "schedule"),
        ({}, "schedule"),
        ({"cron": 5}, "cron"),
        ({"every": 15}, "every"),
        ({"every": "0.5s"}, "every"),
        ({"every": "1h", "offset": "1h"}, "offset"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "0 0 * * *", "timezone": "Mars/X"}, "timezone"),
        ({"cron": "0 0 * * *", "dst": "vixi"}, "dst"),
        ({"at": "tomorrow"}, "at"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC).timestamp()}, "at"),
        ({"every": "1h", "exclude": "2026-12-25"}, "exclude"),
        ({"every": "1h", "overlap": "kill"}, "overlap"),
        ({"every": "1h", "coalesce": "last"}, "catchup.coalesce"),
        ({"every": "1h", "catchup_window": "5s"}, "catchup.window"),
        ({"every": "1h", "catchup_window": 60}, "catchup.window"),
        ({"every": "1h", "limit": 0}, "limit"),
        ({"every": "1h", "limit": "3"}, "limit"),
        ({"every": "1h", "limit": True}, "limit"),
        ({"every": "1h", "jitter": "1 hour"}, "jitter"),
        ({"every": "1h", "pause_on_failure": 0}, "pause_on_failure"),
        ({"every": "1h", "exclusive": "tenants"}, "exclusive"),
        ({"every": "1h", "exclusive": "key"}, "exclusive_key"),
        ({"every": "1h", "exclusive_key": "7"}, "exclusive_key"),
        ({"every": "1h", "version": 0}, "version"),
        ({"every": "1h", "name": "a/b"}, "name"),
        ({"every": "1h", "name": ".."}, "name"),
        ({"every": "1h", "name": "a\0b"}, "name"),
        ({"every": "1h", "job_id": "x" * 300}, "job_id"),
        ({"every": "1h", "tenant": "a\nb"}, "tenant"),
        ({"every": "1h", "tenant": ""}, "tenant"),
        ({"every": "1h", "tenant": "\ud800"}, "tenant"),
    ],
)
def test_what_cannot_be_is_refused_by_field(said: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        command_of(Scheduling(job="sync", **said))  # type: ignore[arg-type]  # that is the point
    assert refused.value.field == field
    assert refused.value.detail.startswith(f"{field} ")
    assert "; for example " in refused.value.detail


@pytest.mark.parametrize("name", ["a/b", "..", "a..b", "a\0b", "a\nb", "a b", "ä", "", "x" * 201])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(Invalid, match=r"^invalid_name: name .*; for example "):
        check_name(name, "name")


def test_a_pause_of_a_key_says_it_in_full() -> None:
    assert check_paused("key", "tenant:send:acme") == "tenant:send:acme"
    with pytest.raises(Invalid, match="no exclusivity key in full"):
        check_paused("key", "acme")


def test_an_unknown_field_is_told_with_a_near_miss() -> None:
    assert scheduling_of({"job": "a", "every": "1h"}) == Scheduling(job="a", every="1h")
    with pytest.raises(Refused, match="no field 'timzone'; did you mean 'timezone'"):
        scheduling_of({"job": "a", "timzone": "UTC"})
    with pytest.raises(Refused, match=r"no field 'timezone\\ud800'; did you mean 'timezone'"):
        scheduling_of({"job": "a", "timezone\ud800": "UTC"})
    with pytest.raises(Refused, match="this is no schedule"):
        scheduling_of({"every": "1h"})


def test_warnings_are_those_of_the_schedule() -> None:
    _, warnings = schedule_of(Scheduling(job="a", cron="30 2 * * *"))
    assert "without a time zone" in warnings[0]

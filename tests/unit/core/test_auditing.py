"""What an audit counts as accepted twice, and which zone data it judges ticks by."""

from msgspec import json, structs

from ledger.core import execution, tick, wire
from ledger.core.audit_saved import SavedPartition
from ledger.core.audit_totals import Totals
from ledger.core.auditing import PartitionAudit
from ledger.core.chain import Head
from ledger.core.definition import Registry
from ledger.core.request import Submit
from ledger.core.tzif import tzdata_version
from ledger.core.wire import Commit, Event
from tests.unit.control.home import DAY, HOUR, NOON, Home


def asked_again_after(hours: float) -> list[Commit]:
    """The log of a submit under a key, and of the same once more."""
    home = Home()
    for at in (NOON, NOON + int(hours * HOUR)):
        home.now = at
        home.send(Submit("key-1", "beat", idempotency_key="order-1"))
    return [wire.decode_commit(record) for record in home.log]


def command_again_after(hours: float) -> list[Commit]:
    """The log of a submit that has run, and of the same command once more."""
    home = Home()
    [first] = home.send(Submit("c-1", "beat"))
    assert isinstance(first, execution.Requested)
    home.start(first.execution_id)
    home.report(first.execution_id)
    home.now += int(hours * HOUR)
    home.send(Submit("another", "beat"))  # control forgets by the append times of commands
    home.send(Submit("c-1", "beat"))
    return [wire.decode_commit(record) for record in home.log]


def differences(commits: list[Commit], window: int = HOUR, registry: Registry | None = None) -> list[str]:
    totals = Totals()
    audit = PartitionAudit(0, 1, registry or Home().facts.registry, {}, totals, window)
    for commit in commits:
        audit.feed(commit, commit.events)
    audit.end()
    return [one.what for one in totals.differences]


def requests(commits: list[Commit]) -> int:
    return sum(isinstance(event, execution.Requested) for commit in commits for event in commit.events)


def test_a_key_that_is_used_again_after_its_window_is_a_new_wish() -> None:
    again, late = asked_again_after(0.5), asked_again_after(2)
    assert (requests(again), requests(late)) == (1, 2)
    assert differences(again) == differences(late) == []


def test_within_the_window_it_is_a_difference() -> None:
    [told] = differences(asked_again_after(2), window=3 * HOUR)
    assert "accepted twice" in told


def test_a_command_that_comes_again_after_its_window_is_a_new_wish() -> None:
    again, late = command_again_after(0.5), command_again_after(2)
    assert (requests(again), requests(late)) == (2, 3)
    assert differences(again) == differences(late) == []
    assert "accepted twice" in differences(late, window=3 * HOUR)[0]


def test_an_audit_that_goes_on_knows_when_commands_were_accepted() -> None:
    """Whichever commits the first one saw."""
    late = command_again_after(2)
    for seen in range(len(late)):
        totals, registry = Totals(), Home().facts.registry
        first, second = PartitionAudit(0, 1, registry, {}, totals, HOUR), PartitionAudit(0, 1, registry, {}, totals, HOUR)
        for commit in late[:seen]:
            first.feed(commit, commit.events)
        second.go_on(json.decode(json.encode(first.saved(Head("events", 0), 0)), type=SavedPartition))
        for commit in late[seen:]:
            second.feed(commit, commit.events)
        assert totals.differences == []


def test_a_key_whose_time_was_ahead_of_that_of_its_commit_is_free_again_after_the_window_of_that() -> None:
    late = asked_again_after(2)
    ahead = [
        structs.replace(
            commit,
            events=[
                structs.replace(one, requested_at=NOON + 9 * HOUR) if isinstance(one, execution.Requested) and commit.at == NOON else one
                for one in commit.events
            ],
        )
        for commit in late
    ]
    assert ahead != late and differences(ahead) == []
    assert len(differences(ahead, window=3 * HOUR)) == 1


# Zone data


def daily(zone: str, tzdata: str) -> tuple[list[Event], Registry]:
    """Six days of a job at nine; for the first three its home reckons with zone data of this name."""
    home = Home()
    home.schedule(cron=("0 9 * * *",), timezone=zone, overlap="allow_all")
    events = [structs.replace(one, tzdata=tzdata) if isinstance(one, tick.Adopted) else one for one in home.act()]
    for day in range(1, 7):
        if day == 4:
            home.partition.reckons_with = (1, tzdata)
        events += home.act(NOON + day * DAY + HOUR)
    return events, home.facts.registry


def without_tick(nth: int, zone: str, tzdata: str) -> list[str]:
    events, registry = daily(zone, tzdata)
    outcomes = [one for one in events if isinstance(one, execution.Requested | tick.Missed)]
    header = wire.decode_commit(Home().log[0])
    return differences([structs.replace(header, events=[one for one in events if one is not outcomes[nth]])], registry=registry)


def test_ticks_that_were_decided_by_other_zone_data_are_no_differences_and_those_behind_them_are() -> None:
    assert without_tick(0, "Europe/Berlin", "1999a") == []
    [told] = without_tick(4, "Europe/Berlin", "1999a")
    assert "expected 3 ticks" in told and "2 have an outcome" in told


def test_in_utc_and_by_the_zone_data_of_this_program_every_tick_is_judged() -> None:
    assert len(without_tick(0, "UTC", "1999a")) == 1
    assert len(without_tick(0, "Europe/Berlin", tzdata_version())) == 1

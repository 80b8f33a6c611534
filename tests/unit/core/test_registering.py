"""The specification of what users schedule: jobs under derived ids, versions numbered by content, retiring and returning, pauses."""

from datetime import UTC, datetime

import pytest
from msgspec import structs

from ledger.core import definition, pause, request, wire
from ledger.core.definition import ApplyManifest, Register, Retire, Retired, ScheduleJob
from ledger.core.ids import BEFORE_ALL, Micros, job_id_of
from ledger.core.invalid import Invalid
from ledger.core.options import Options
from ledger.core.outcome import Accepted, Rejected
from ledger.core.pause import Pause, Resume
from ledger.core.policies import check_schedule, engine_versions
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from processors.control.offering import offer_of
from tests.unit.control.home import MINUTE, NOON, Home, fired

HOURLY = ScheduleSpec(cron=("0 * * * *",))
ID = job_id_of("beat", "acme", "hourly")


def schedule(home: Home, content: str = "a", **more: object) -> list[wire.Event]:
    command = ScheduleJob(home.name(), "beat", content, HOURLY, name="hourly", tenant="acme")
    return home.ask(structs.replace(command, **more))


def versions(events: list[wire.Event]) -> list[int]:
    return [event.job_version for event in events if isinstance(event, definition.Versioned)]


def outcome(events: list[wire.Event]) -> str:
    last = events[-1]
    assert isinstance(last, Accepted | Rejected)
    return last.outcome if isinstance(last, Accepted) else last.reason


def test_a_job_that_is_given_no_id_has_one_that_follows_from_handler_tenant_and_name() -> None:
    home = Home()
    registered, versioned, accepted = schedule(home, actor="ada", reason="asked for")
    assert isinstance(registered, definition.Registered)
    assert (registered.job_id, registered.kind, registered.queue, registered.exclusive_scope) == (ID, "scheduled", "default", "tenant")
    assert (registered.name, registered.actor, registered.reason) == ("hourly", "ada", "asked for")
    assert isinstance(versioned, definition.Versioned) and versioned.in_force
    assert (versioned.engine, versioned.tzdata) == engine_versions()
    assert isinstance(accepted, Accepted) and (accepted.job_id, accepted.outcome) == (ID, "applied")


def test_the_same_content_again_changes_nothing_and_another_gets_the_next_number() -> None:
    home = Home()
    assert versions(schedule(home, "a")) == [1]
    assert outcome(schedule(home, "a")) == "unchanged"
    assert versions(schedule(home, "b")) == [2]
    assert versions(schedule(home, "a")) == [3], "a wish that comes later counts, whatever was in force before"


def test_what_was_numbered_by_its_content_says_so_to_the_workers() -> None:
    """A handler's `version` is compared with numbers that people gave; a user who edits a schedule gives none."""
    home = Home()
    for content, number in (("a", 0), ("b", 0), ("c", 7)):
        schedule(home, content, job_version=number)
    home.act()
    for name in ("r1", "r2"):
        home.now += MINUTE
        (one,) = fired(home.send(request.RunNow(name, ID)))
        told = offer_of(home.partition, home.facts.registry, one)
        assert told is not None and (told.job_version, told.by_content) == ((7, False) if name == "r1" else (8, True))
        home.report(one)
        schedule(home, "d")
        home.act()


def test_a_number_that_is_given_is_held_to_its_content() -> None:
    home = Home()
    assert versions(schedule(home, "a", job_version=3)) == [3]
    assert outcome(schedule(home, "a", job_version=3)) == "unchanged"
    assert outcome(schedule(home, "b", job_version=3)) == "drift"
    assert outcome(schedule(home, "b", job_version=2)) == "stale"
    assert versions(schedule(home, "b", job_version=7)) == [7]


def test_a_retired_job_returns_with_its_next_version() -> None:
    home = Home()
    schedule(home, "a")
    retire = Retire("r1", ID, "ada", "not needed")
    assert home.ask(retire)[0] == Retired(ID, "ada", "not needed")
    assert home.ask(structs.replace(retire, command_id="r2"))[:-1] == []
    assert home.facts.registry.jobs[ID].state == "retired"
    assert outcome(schedule(home, "a", job_version=1)) == "retired"
    assert versions(schedule(home, "a")) == [2]
    assert home.facts.registry.jobs[ID].state == "active"


def test_a_system_job_is_retired_by_the_configuration_alone() -> None:
    home = Home()
    home.ask(
        Register("c", "carts", "beat", "system", "default", 1, "h", "job", schedule=HOURLY), ApplyManifest("m", "d", (("carts", 1, "h"),))
    )
    assert outcome(home.ask(Retire("r", "carts"))) == "read_only"


def test_system_jobs_may_be_numbered_by_content_too() -> None:
    home = Home()
    old, new = (Register(name, "carts", "beat", "system", "default", 0, name, "job", schedule=HOURLY) for name in ("a", "b"))
    assert versions(home.ask(old)) == [1] and versions(home.ask(new)) == [2]
    home.ask(ApplyManifest("m1", "old", (("carts", 0, "a"),)), ApplyManifest("m2", "new", (("carts", 0, "b"),)))
    assert home.facts.registry.jobs["carts"].current_version == 2
    assert outcome(home.ask(structs.replace(old, command_id="again"))) == "unchanged", "a node with the old configuration"
    assert outcome(home.ask(ApplyManifest("m3", "old", (("carts", 0, "a"),)))) == "stale"
    home.ask(ApplyManifest("m4", "old", (("carts", 0, "a"),), rollback=True))
    assert home.facts.registry.jobs["carts"].current_version == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"job_name": "nobody"}, "unknown_job"),
        ({"exclusive_scope": "key"}, "invalid"),
        ({"exclusive_key": "7"}, "invalid"),
        ({"tenant": "t" * 201}, "invalid"),
        ({"name": ""}, "invalid"),
        ({"job_version": -1}, "invalid"),
        ({"options": Options(timeout_ms=10**16)}, "invalid"),
        ({"schedule": ScheduleSpec(at="9999-12-31T23:59:59-12:00")}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(cron=("61 * * * *",))}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(at="2027-01-15T08:00:00Z")}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(at="0001-01-01T00:00:00+14:00")}, "invalid_schedule"),  # no date in UTC
        ({"schedule": ScheduleSpec(every_ms=60_000, start="0001-01-01T00:00:00+14:00")}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, end="9999-12-31T23:59:59-14:00")}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, jitter_ms=60_000)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, jitter_ms=-1)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(cron=("0,10 * * * * *",), jitter_ms=10_000)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(cron=("* * * * * *",) * 21)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, exclude=("*/2 * * * * *",) * 101)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, limit=0)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, catchup_window_ms=9_999)}, "invalid_schedule"),
        ({"schedule": ScheduleSpec(every_ms=60_000, pause_on_failure=0)}, "invalid_schedule"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_its_reason(change: dict[str, object], reason: str) -> None:
    home = Home()
    events = schedule(home, **change)  # type: ignore[arg-type]  # fields by name
    assert len(events) == 1 and outcome(events) == reason


@pytest.mark.parametrize(
    ("spec", "shortest"),
    [
        (ScheduleSpec(cron=("0 0 2 * * *",), timezone="Europe/Berlin"), 23),  # 02:00 is skipped in spring and fires at 03:00
        (ScheduleSpec(cron=("0 30 2 * * *",), timezone="Europe/Berlin", dst="literal"), 1),  # comes twice in autumn
        (ScheduleSpec(cron=("0 0 12 * * MON-FRI",), timezone="Europe/Berlin"), 24),  # the clock changes on Sundays
        (ScheduleSpec(cron=("0 0 12 * * *",), timezone="Europe/Berlin", start="2030-05-01"), 23),
        (ScheduleSpec(cron=("0 0 12 * * *", "0 0 14 25 12 *"), timezone="Europe/Berlin"), 2),
        (ScheduleSpec(every_ms=86_400_000, timezone="Europe/Berlin"), 24),
    ],
)
@pytest.mark.parametrize("month", range(1, 13))
def test_how_long_jitter_may_be_does_not_depend_on_the_day_of_asking(spec: ScheduleSpec, shortest: int, month: int) -> None:
    hour, asked = 3_600_000, Micros(int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) * 1_000_000)
    check_schedule(Schedule.from_spec(structs.replace(spec, jitter_ms=shortest * hour - 1)), asked)
    with pytest.raises(Invalid, match=r"jitter .* is not less than the shortest interval \("):
        check_schedule(Schedule.from_spec(structs.replace(spec, jitter_ms=shortest * hour)), asked)


def test_the_field_of_the_key_belongs_to_a_job_for_its_life() -> None:
    home = Home()
    home.ask(Register("a", "sync", "sync", "on_demand", "default", 1, "h", "key", exclusive_field="account"))
    assert home.decider.registry.jobs["sync"].exclusive_field == "account"
    assert (
        outcome(home.ask(Register("b", "sync", "sync", "on_demand", "default", 2, "i", "key", exclusive_field="owner"))) == "scope_changed"
    )


def test_scope_and_key_belong_to_a_job_for_its_life() -> None:
    home = Home()
    schedule(home, "a", exclusive_scope="key", exclusive_key="7")
    assert outcome(schedule(home, "b", exclusive_scope="none")) == "scope_changed"
    assert outcome(schedule(home, "b", exclusive_scope="key", exclusive_key="8")) == "scope_changed"
    assert outcome(schedule(home, "b", exclusive_scope="key", exclusive_key="7", queue="other")) == "identity_changed"


def test_the_manifest_leaves_jobs_of_users_alone() -> None:
    home = Home()
    schedule(home)
    home.ask(ApplyManifest("m", "empty", ()))
    assert home.facts.registry.jobs[ID].state == "active"


# Pauses


def test_a_pause_says_who_and_why_and_is_quiet_when_repeated() -> None:
    home = Home()
    began, accepted = home.ask(Pause("p1", "tenant", "acme", "unpaid", "ada", "dunning"))
    assert began == pause.Began("tenant", "acme", "unpaid", "ada", "dunning")
    assert isinstance(accepted, Accepted) and (accepted.command_type, accepted.tenant) == ("pause.begin.v1", "acme")
    assert outcome(home.ask(Pause("p2", "tenant", "acme", "again"))) == "unchanged"
    assert home.ask(Pause("p2", "tenant", "acme", "again")) == [], "the same command again leaves nothing at all"
    assert home.ask(Resume("r1", "tenant", "acme", "bob"))[0] == pause.Ended("tenant", "acme", "bob")
    assert outcome(home.ask(Resume("r2", "tenant", "acme"))) == "unchanged"


def test_resuming_a_job_is_never_taken_for_a_repeat() -> None:
    home = Home()
    schedule(home)
    assert home.ask(Resume("r1", "job", ID))[0] == pause.Ended("job", ID)
    assert home.ask(Resume("r2", "job", ID))[0] == pause.Ended("job", ID)


def test_a_job_that_is_paused_has_to_be_there() -> None:
    assert outcome(Home().ask(Pause("p", "job", "nobody"))) == "unknown_job"


def test_pauses_that_ended_are_known_to_who_was_away() -> None:
    home = Home()
    name = pause.Paused("queue", "default")
    for nth in range(3):
        home.now = NOON + 2 * nth * MINUTE
        home.ask(Pause(home.name(), "queue", "default"))
        home.now += MINUTE
        home.ask(Resume(home.name(), "queue", "default"))
    spans = home.facts.registry.pauses.spans([name], NOON + MINUTE)
    assert [((span.since - NOON) // MINUTE, ((span.until or 0) - NOON) // MINUTE) for span in spans] == [(4, 5), (2, 3)]


def test_of_very_many_pauses_that_ended_the_last_ones_are_known() -> None:
    pauses, name = pause.Pauses(), pause.Paused("queue", "default")
    for nth in range(pause.REMEMBERED + 5):
        for event in (pause.Began(*name), pause.Ended(*name)):
            pause.evolve(pauses, event, BEFORE_ALL, Micros(nth))
    assert len(pauses.former[name]) == len(pauses.ended) == pause.REMEMBERED

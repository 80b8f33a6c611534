"""The schedules of a home partition: taken over from the registry, fired, missed, dropped; each expected tick has exactly one outcome."""

from msgspec import structs

from ledger.core import tick, wire
from ledger.core.definition import Job, ScheduleSpec
from ledger.core.execution import Requested
from ledger.core.ids import Micros
from processors.control.schedules import Schedules
from tests.unit.core.test_partition import NOON, SECOND, World

HOUR = 3600 * SECOND


class Home:
    """A partition that is at home to one job, every second."""

    def __init__(self) -> None:
        self.world = World()
        self.world.registry.jobs.clear()
        self.world.know(Job("beat", "beat", "system", "default", "job", in_force_at=NOON), schedule=ScheduleSpec(every_ms=1000))
        self.schedules = Schedules(self.world.partition, self.world.registry)
        self.schedules.begin()

    def act(self, now: int) -> list[wire.Event]:
        draft = self.world.draft(now)
        assert self.schedules.adopt(draft)
        self.schedules.fire(draft)
        if draft.events:
            self.world.append(draft)
        for job_id in ("beat",):
            self.schedules.reckon(job_id)
        return draft.events

    def change(self, **to: object) -> None:
        job = self.world.registry.jobs["beat"]
        self.world.registry.jobs["beat"] = structs.replace(job, **to)
        self.schedules.notice({"beat"})


def counted(events: list[wire.Event]) -> int:
    return sum(event.count if isinstance(event, tick.Skipped | tick.Missed) else isinstance(event, Requested) for event in events)


def test_a_schedule_counts_from_its_acceptance_and_fires_when_due() -> None:
    home = Home()
    (adopted,) = home.act(NOON)
    assert isinstance(adopted, tick.Adopted) and adopted.since == NOON
    assert home.schedules.next_due() == NOON + SECOND
    assert home.act(NOON + SECOND - 1) == []
    (fired,) = home.act(NOON + SECOND)
    assert isinstance(fired, Requested) and fired.tick_at == NOON + SECOND
    assert home.act(NOON + SECOND) == []


def test_every_expected_tick_has_one_outcome_over_a_restart() -> None:
    home = Home()
    events = home.act(NOON) + home.act(NOON + 3 * SECOND)
    successor = Schedules(home.world.partition, home.world.registry)
    successor.begin()
    home.schedules = successor
    events += home.act(NOON + 8 * SECOND)
    assert counted(events) == 8


def test_three_days_of_every_second_are_one_range_and_one_catch_up() -> None:
    home = Home()
    home.act(NOON)
    events = home.act(NOON + 72 * HOUR)
    assert [type(event).__name__ for event in events[:3]] == ["Missed", "Missed", "Requested"]
    assert counted(events) == 72 * 3600
    assert len(events) < 20


def test_an_edit_settles_the_old_version_first_and_never_fires_the_past() -> None:
    home = Home()
    home.act(NOON)
    job = home.world.registry.jobs["beat"]
    body = structs.replace(job.versions[1], number=2, schedule=ScheduleSpec(every_ms=10_000))
    home.change(versions={**job.versions, 2: body}, current_version=2, in_force_at=Micros(NOON + 2 * SECOND))
    events = home.act(NOON + 5 * SECOND)
    assert counted(events) == 2 and isinstance(events[-1], tick.Adopted) and events[-1].since == NOON + 2 * SECOND
    assert home.schedules.next_due() == NOON + 10 * SECOND


def test_a_retired_job_is_settled_and_dropped() -> None:
    home = Home()
    home.act(NOON)
    home.change(state="retired", in_force_at=Micros(NOON + SECOND))
    events = home.act(NOON + 5 * SECOND)
    assert counted(events) == 1 and events[-1] == tick.Dropped("beat")
    assert home.schedules.next_due() is None and home.act(NOON + 60 * SECOND) == []

"""Acts of a home partition: run now, skip one tick, backfill. Each leaves exactly one outcome, and its repeat nothing."""

import pytest
from msgspec import Raw, structs

from ledger.core import acts, backfill, request, tick, wire
from ledger.core.definition import ApplyManifest, Register, Retire, ScheduleJob
from ledger.core.execution import Cancelled, CancelRequested, Due, Requested, State
from ledger.core.ids import ExecutionId, Micros, execution_of_backfill
from ledger.core.outcome import Accepted, Rejected
from ledger.core.partition_draft import PartitionDraft
from ledger.core.partition_view import tag_of
from ledger.core.schedule_spec import ScheduleSpec
from tests.unit.control.home import HOUR, MINUTE, NOON, SECOND, Home, fired, told


def beating(**spec: object) -> Home:
    home = Home()
    home.schedule(**{"overlap": "allow_all", "every_ms": 60_000, **spec})
    home.act()
    return home


def reason(events: list[wire.Event]) -> str:
    (rejected,) = events
    assert isinstance(rejected, Rejected)
    return rejected.reason


def requests(events: list[wire.Event]) -> list[Requested]:
    return [event for event in events if isinstance(event, Requested)]


# Run now


def test_a_run_now_has_the_data_of_the_job_or_its_own_and_its_repeat_is_answered() -> None:
    home = beating()
    command = request.RunNow("r1", "beat:1", Raw(b'{"n":1}'), actor="ada", reason="a test", answer="me")
    (requested,) = requests(home.send(command))
    assert (requested.trigger, requested.actor, requested.reason, bytes(requested.data)) == ("run_now", "ada", "a test", b'{"n":1}')
    assert home.send(command) == []
    assert [(answer.outcome, answer.execution_id) for answer in home.answers] == [("repeated", requested.execution_id)]


def test_a_run_now_runs_beside_others_unless_it_names_an_overlap_policy() -> None:
    home = beating(overlap="skip", exclusive_scope="none")
    (running,) = fired(home.send(request.RunNow("r1", "beat:1")))
    home.start(running)
    assert len(requests(home.send(request.RunNow("r2", "beat:1")))) == 1
    assert reason(home.send(request.RunNow("r3", "beat:1", overlap="skip"))) == "overlap"
    (buffered,) = requests(home.send(request.RunNow("r4", "beat:1", overlap="buffer_one")))
    assert buffered.blocked_by == running
    assert reason(home.send(request.RunNow("r5", "beat:1", overlap="buffer_one"))) == "buffer_full"
    events = home.send(request.RunNow("r6", "beat:1", overlap="cancel_other"))
    assert [type(event) for event in events] == [CancelRequested, Cancelled, Cancelled, Requested]
    (last,) = requests(events)
    assert home.report(running, "cancelled")[-1] == Due(last.execution_id)


class Looking(PartitionDraft):
    """Counts the states that it looks at."""

    looks = 0

    def state_of(self, execution_id: ExecutionId) -> State | None:
        Looking.looks += 1
        return super().state_of(execution_id)


def looks_beside(waiting: int) -> int:
    """Of a run by hand from its request to its end, while so many of its job wait."""
    home = Home(deciding=Looking)
    home.schedule(overlap="allow_all", every_ms=3_600_000)
    home.send(*(request.RunNow(home.name(), "beat:1") for _ in range(waiting)))
    before = Looking.looks
    home.send(request.RunNow(home.name(), "beat:1"))
    home.report(home.live()[0])
    return Looking.looks - before


def test_a_run_costs_the_same_however_many_others_of_its_job_wait() -> None:
    assert looks_beside(100) == looks_beside(10)


def test_a_job_without_a_schedule_knows_no_overlap() -> None:
    assert reason(beating().send(request.RunNow("r1", "beat", overlap="skip"))) == "invalid"


@pytest.mark.parametrize("asked", [request.RunNow("r1", "beat:1"), request.Backfill("c", "beat:1", "b1", Micros(NOON - MINUTE), NOON)])
def test_what_somebody_asked_for_counts_as_a_former_execution_of_the_next_tick(asked: request.RunNow | request.Backfill) -> None:
    home = beating(overlap="skip")
    assert len(requests(home.send(asked))) == 1
    assert told(home.act(NOON + MINUTE)) == [("overlap", 60, 60, 1)]


# Skip one tick


def skip(home: Home, tick_at: int, **more: object) -> list[wire.Event]:
    command = request.SkipTick(home.name(), "beat:1", Micros(tick_at), "ada", "a holiday", answer="me")
    return home.send(structs.replace(command, **more))


def test_a_future_tick_is_left_out_at_its_time() -> None:
    home = beating()
    ordered, accepted = skip(home, NOON + 2 * MINUTE)
    assert isinstance(ordered, tick.SkipOrdered) and (ordered.actor, ordered.reason) == ("ada", "a holiday")
    assert isinstance(accepted, Accepted) and accepted.outcome == "applied"
    home.restart(from_snapshot=True)
    assert told(home.act(NOON + 3 * MINUTE)) == [60, ("by_hand", 120, 120, 1), 180]
    assert home.partition.schedules["beat:1"].to_skip == ()


def test_a_skip_is_quiet_when_repeated_and_unchanged_when_it_is_so_already() -> None:
    home = beating()
    skip(home, NOON + MINUTE, command_id="s1")
    (again,) = skip(home, NOON + MINUTE)
    assert isinstance(again, Accepted) and again.outcome == "unchanged"
    home.act(NOON + 2 * MINUTE)
    assert skip(home, NOON + MINUTE, command_id="s1") == []
    assert [answer.outcome for answer in home.answers] == ["applied"]


@pytest.mark.parametrize(("at", "why"), [(MINUTE + 1, "no_tick"), (0, "past"), (-MINUTE, "past")])
def test_an_instant_that_is_no_future_tick_is_refused(at: int, why: str) -> None:
    assert reason(skip(beating(), NOON + at)) == why


def detail(events: list[wire.Event]) -> str:
    (rejected,) = events
    assert isinstance(rejected, Rejected) and rejected.detail is not None
    return rejected.detail


def test_refusals_say_instants_as_people_do() -> None:
    """Also one that no calendar has."""
    home = beating()
    assert detail(skip(home, NOON)).startswith("tick_at 2027-01-15T08:00:00.000Z is not in the future")
    no_tick = detail(skip(home, NOON + MINUTE + 1))
    assert "2027-01-15T08:01:00.000001Z is no tick" in no_tick and "from there on is 2027-01-15T08:02:00.000Z" in no_tick
    assert (
        detail(fill(home, NOON, NOON + 1)) == "to 2027-01-15T08:00:00.000001Z is in the future: ticks that are to come fire by themselves"
    )
    assert detail(fill(home, 0, 2**62)) == f"to {2**62} µs since 1970 is in the future: ticks that are to come fire by themselves"
    assert "the first before the last" in detail(fill(home, -(2**62), NOON))


def test_not_everything_can_be_left_out_by_hand() -> None:
    home = beating()
    for nth in range(1, acts.MOST_TO_SKIP + 1):
        skip(home, NOON + nth * MINUTE)
    assert reason(skip(home, NOON + 200 * MINUTE)) == "too_many"


def test_what_has_no_schedule_has_no_ticks() -> None:
    home = beating()
    assert reason(skip(home, NOON, job_id="beat")) == "no_schedule"
    assert reason(skip(home, NOON, job_id="nobody")) == "unknown_job"


# Backfill


def fill(home: Home, first: int, last: int, name: str = "b1", **more: object) -> list[wire.Event]:
    command = request.Backfill(home.name(), "beat:1", name, Micros(first), Micros(last), actor="ada", reason="the pump was broken")
    return home.send(structs.replace(command, **more))


def test_a_backfill_runs_the_present_version_for_each_tick_of_a_range() -> None:
    home = beating()
    begun, accepted, *rest = fill(home, NOON - HOUR, NOON - 57 * MINUTE)
    assert isinstance(begun, backfill.Begun) and (begun.planned, begun.actor, begun.job_version) == (3, "ada", 1)
    assert isinstance(accepted, Accepted)
    assert [request.tick_at for request in requests(rest)] == [NOON - nth * MINUTE for nth in (59, 58, 57)]
    first = requests(rest)[0]
    assert first.execution_id == execution_of_backfill("b1", "beat:1", NOON - 59 * MINUTE, 0)
    assert (first.trigger, first.backfill_id, first.reason) == ("backfill", "b1", "the pump was broken")
    assert rest[-1] == backfill.Finished("b1", "beat:1", 3)


def test_the_same_backfill_again_does_nothing() -> None:
    home = beating()
    fill(home, NOON - HOUR, NOON)
    (again,) = fill(home, NOON - HOUR, NOON)
    assert isinstance(again, Accepted) and again.outcome == "unchanged"
    home.restart(from_snapshot=True)
    assert len(fill(home, NOON - HOUR, NOON)) == 1
    assert len(requests(fill(home, NOON - HOUR, NOON, "another"))) == 60


def test_the_outcomes_of_the_ticks_stay_as_they_are() -> None:
    home = beating()
    home.act(NOON + 5 * MINUTE)
    until = home.partition.schedules["beat:1"]
    assert told(fill(home, NOON, NOON + 5 * MINUTE)) == []
    assert home.partition.schedules["beat:1"] == until


def test_a_large_backfill_goes_on_in_portions_as_the_job_works_them_off() -> None:
    home = beating()
    events = fill(home, NOON - 1200 * MINUTE, NOON)
    assert len(home.live()) == 540, "no more than a bounded number is asked for at a time"
    home.restart(from_snapshot=True)
    while home.partition.backfills:
        home.finish_all()
    steps = [wire.decode_commit(record).events for record in home.log]
    asked = [event for events in steps for event in events if isinstance(event, Requested) and event.backfill_id == "b1"]
    assert len({event.execution_id for event in asked}) == len(asked) == 1200
    assert max(map(len, steps)) <= wire.MOST_EVENTS_OF_A_COMMAND
    assert isinstance(events[0], backfill.Begun) and events[0].planned == 1200


def test_a_backfill_of_what_did_not_fire_leaves_out_what_did() -> None:
    home = beating(overlap="skip")
    (first,) = fired(home.act(NOON + MINUTE))
    assert told(home.act(NOON + 3 * MINUTE)) == [("overlap", 120, 180, 2)]
    home.report(first)
    home.act(NOON + 4 * MINUTE)
    home.restart(from_snapshot=True)
    events = fill(home, NOON - MINUTE, NOON + 4 * MINUTE, only_unfired=True)
    assert [(request.tick_at - NOON) // MINUTE for request in requests(events)] == [0, 2, 3], "at noon it was not in force yet"
    assert events[-1] == backfill.Finished("b1", "beat:1", 3, 2)


def test_which_ticks_fired_is_known_over_an_edit() -> None:
    home = beating()
    home.act(NOON + 2 * MINUTE)
    home.schedule(every_ms=30_000, overlap="allow_all")
    home.act(NOON + 3 * MINUTE)
    events = fill(home, NOON, NOON + 3 * MINUTE, only_unfired=True)
    assert [(request.tick_at - NOON) // SECOND for request in requests(events)] == [30, 90], "were no ticks of the version of then"


def test_what_is_not_decided_yet_gets_an_outcome_of_its_own() -> None:
    home = beating(jitter_ms=59_000)
    due = home.schedules.next_due()
    assert due is not None
    home.act(due - 1)
    (begun, *_) = fill(home, NOON - MINUTE, due - 1, only_unfired=True)
    assert isinstance(begun, backfill.Begun) and begun.planned == 1


def test_a_backfill_of_a_retired_job_ends() -> None:
    home = beating()
    fill(home, NOON - 1200 * MINUTE, NOON)
    home.ask(Retire(home.name(), "beat:1"))
    home.act()
    home.finish_all()
    assert home.partition.backfills == {}
    ends = [event for record in home.log for event in wire.decode_commit(record).events if isinstance(event, backfill.Finished)]
    assert [(end.outcome, end.requested) for end in ends] == [("retired", 540)]


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [(NOON, NOON, "invalid"), (-1, NOON, "invalid"), (NOON, NOON + 1, "invalid"), (0, NOON, "too_many")],
    ids=["an empty range", "before 1970", "the future", "30 million ticks"],
)
def test_a_backfill_that_cannot_be_is_refused(first: int, last: int, why: str) -> None:
    assert reason(fill(beating(), first, last)) == why


def test_a_backfill_that_began_with_a_long_reason_goes_on_in_commits_that_the_producer_takes() -> None:
    home, usual = beating(), beating()
    draft = home.draft()
    begun = backfill.Begun("b1", "beat:1", 1, Micros(NOON - HOUR), NOON, 60, actor="ada", reason="x" * 100_000)  # as it once was possible
    assert draft.include([begun])
    home.append(draft)
    asked = requests(home.act())
    assert [one.execution_id for one in asked] == fired(fill(usual, NOON - HOUR, NOON))
    assert max(map(len, home.log)) <= wire.LARGEST_COMMIT
    assert home.partition.backfills == {}


@pytest.mark.parametrize(("said", "why"), [({"reason": "x" * 2001}, "reason has 2001"), ({"actor": "x" * 201}, "actor has 201")])
@pytest.mark.parametrize(
    "command",
    [
        request.RunNow("c", "beat:1"),
        request.SkipTick("c", "beat:1", Micros(NOON + MINUTE)),
        request.Backfill("c", "beat:1", "b", Micros(NOON - HOUR), NOON),
        request.Submit("c", "beat"),
        request.Cancel("c", ExecutionId(f"{'0' * 32}-0")),
    ],
    ids=tag_of,
)
def test_who_says_too_much_is_refused_once(command: request.Command, said: dict[str, str], why: str) -> None:
    home = beating()
    wordy = structs.replace(command, **said)
    [refused] = home.send(wordy)
    assert isinstance(refused, Rejected) and (refused.reason, refused.detail.startswith(why)) == ("invalid", True)
    assert len(wire.encode(refused)) < 1000
    assert home.send(wordy) == []


def test_the_registry_refuses_who_says_too_much() -> None:
    home = beating()
    for said in ({"reason": "x" * 2001}, {"actor": "x" * 201}):
        [refused] = home.ask(structs.replace(Retire(home.name(), "beat:1"), **said))
        assert isinstance(refused, Rejected) and refused.reason == "invalid" and len(wire.encode(refused)) < 1000


def test_a_system_job_takes_the_acts_too_and_what_it_is_is_for_the_configuration() -> None:
    home = Home()
    every_minute = ScheduleSpec(every_ms=60_000, overlap="allow_all")
    home.ask(Register("c", "carts", "beat", "system", "default", 1, "h", "job", schedule=every_minute))
    home.ask(ApplyManifest("m", "d", (("carts", 1, "h"),)))
    home.act()
    assert len(requests(home.send(request.RunNow("r", "carts")))) == 1
    assert len(requests(home.send(request.Backfill("b", "carts", "b", NOON - HOUR, NOON)))) == 60
    assert tick.SkipOrdered("carts", Micros(NOON + MINUTE), 1, "s") in home.send(request.SkipTick("s", "carts", Micros(NOON + MINUTE)))
    refused = [home.ask(command) for command in (Retire("x", "carts"), ScheduleJob("y", "beat", "h2", every_minute, "carts"))]
    assert list(map(reason, refused)) == ["read_only", "identity_changed"]

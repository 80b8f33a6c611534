"""Decisions that span executions: repeats, routing, refusals, ticks, limits; and what the writer does with deliveries."""

from collections.abc import Sequence

import pytest
from msgspec import Raw, structs

from ledger.core import chain, outcome, request, sealing, snapshot, wire
from ledger.core.backlog import Backlog
from ledger.core.definition import Job, Registry, Version
from ledger.core.draft import Delivered
from ledger.core.execution import Cancelled, Completed, Ended, Progressed, Report, Requested, Started, Waiting
from ledger.core.ids import NOWHERE, Address, ExecutionId, Micros, Position, Token, WorkerId, partition_for
from ledger.core.instants import LATEST
from ledger.core.options import KeptOptions, Options
from ledger.core.outcome import Forwarded, Rejected
from ledger.core.partition import MOST_STALE, Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.refusal import ChainBroken, Conflict, Undecodable
from ledger.core.schedule_spec import ScheduleSpec, written_of
from ledger.core.writer import MOST_WAITING, Writer
from tests.synthetic_log import requested

NOON = Micros(1_800_000_000_000_000)
SECOND = 1_000_000
YEAR_2099 = 4_070_908_800 * SECOND
ID = "019ac3f2e5d87a1b8c0d1e2f3a4b5c6d"


class World:
    """One partition of a log of `partitions`, and a registry with a few jobs."""

    def __init__(self, partitions: int = 1, number: int = 0) -> None:
        self.partition = Partition(number, window=3600 * SECOND)
        opened = wire.encode(outcome.Opened("log", partitions))
        self.log = [wire.encode_commit(chain.Header(1, "events", number, 1, "", 0, NOWHERE, None), [opened])]
        self.partition.feed(self.log[0], 0)
        self.writer = Writer(self.partition)
        self.registry = Registry(Address(5, 0))
        self.know(Job("noop", "noop", "on_demand", "default"))
        self.know(Job("carts", "carts", "system", "default", "job"), schedule=ScheduleSpec(every_ms=10_000))

    def know(self, job: Job, schedule: ScheduleSpec | None = None) -> None:
        body = Version(1, "h", Micros(0), Raw(b'{"a":1}'), written=written_of(schedule))
        self.registry.jobs[job.job_id] = structs.replace(job, state="active", current_version=1, versions=(body,))

    def draft(self, at: int = NOON, *, fresh: bool = True) -> PartitionDraft:
        return PartitionDraft(self.partition, self.registry, Micros(at), facts_are_fresh=fresh)

    def append(self, draft: PartitionDraft) -> None:
        record = draft.record()
        assert self.writer.confirm(draft, record, len(self.log))
        self.log.append(record)

    def when(self, *commands: wire.Item, at: int = NOON, appended: int | None = None) -> Sequence[wire.Event]:
        """Deliver these as one record, decide and append; the events they led to."""
        self.writer.deliver(self.writer.next_offset, Micros(appended or at), commands)
        draft = self.draft(at)
        assert self.writer.fill(draft)
        self.append(draft)
        self.answers = [answer for _, answer in draft.effects.answers]
        self.effects = draft.effects
        return draft.events


def submit(**more: object) -> request.Submit:
    return structs.replace(request.Submit(ID, "noop", Raw(b"1")), **more)  # type: ignore[arg-type]  # fields by name


PRIORITIES: tuple[dict[str, object], ...] = (
    {"priority": 7, "options": Options(priority=2)},
    {"options": Options(priority=2)},
    {},
)


def test_a_submit_is_accepted_and_its_repeat_is_quiet_but_answered() -> None:
    world = World()
    (requested,) = world.when(submit(answer="me"))
    assert isinstance(requested, Requested) and requested.requested_at == NOON
    assert [answer.outcome for answer in world.answers] == ["accepted"]
    assert world.when(submit(answer="me")) == []
    assert [(answer.outcome, answer.execution_id) for answer in world.answers] == [("repeated", requested.execution_id)]


def test_a_priority_is_asked_for_else_it_is_that_of_the_job_else_five() -> None:
    world = World()
    asked, said, default = (world.when(submit(command_id=f"c{n}", **more))[0] for n, more in enumerate(PRIORITIES))
    assert isinstance(asked, Requested) and isinstance(said, Requested) and isinstance(default, Requested)
    assert (asked.priority, said.priority, default.priority) == (7, 2, 5)
    job = world.registry.jobs["carts"]
    world.registry.jobs["carts"] = structs.replace(job, versions=(structs.replace(job.versions[0], options=KeptOptions(priority=2)),))
    (requested,) = world.when(request.RunNow(ID, "carts"))
    assert isinstance(requested, Requested) and requested.priority == 2


def test_command_ids_are_scoped_by_tenant() -> None:
    world = World()
    first, second = world.when(submit(tenant="a"), submit(tenant="b"))
    assert isinstance(first, Requested) and isinstance(second, Requested) and first.execution_id != second.execution_id


def test_an_idempotency_key_is_good_for_a_window_between_append_times() -> None:
    world = World()
    (first,) = world.when(submit(idempotency_key="k"), at=NOON)
    assert (
        world.when(submit(idempotency_key="k"), at=NOON + 7200 * SECOND, appended=NOON + 3600 * SECOND) == []
    )  # decided late, sent in time
    (second,) = world.when(submit(idempotency_key="k"), at=NOON + 7201 * SECOND, appended=NOON + 3601 * SECOND)
    assert isinstance(first, Requested) and isinstance(second, Requested) and first.execution_id != second.execution_id


def test_a_submit_in_the_wrong_partition_is_forwarded_under_the_same_id() -> None:
    right = partition_for(ID, 8)
    world = World(partitions=8, number=(right + 1) % 8)
    assert world.when(submit()) == [Forwarded(ID, "execution.submit.v1", right)]
    assert [(forward.partition, forward.command) for forward in world.effects.forwards] == [(right, submit())]


@pytest.mark.parametrize("in_a_record", [1, 7, 400])
def test_each_of_many_submits_goes_to_the_partition_of_its_own_id(in_a_record: int) -> None:
    """However they come: what is hashed together is hashed as one by one. Some are no submits, and one id has another length."""
    world = World(partitions=3, number=1)
    names = [f"{n:032x}" for n in range(399)] + ["short"]
    commands = [submit(command_id=name) if n % 5 else request.RunNow(name, "nope") for n, name in enumerate(names)]
    for nth in range(0, len(commands), in_a_record):
        world.writer.deliver(world.writer.next_offset, NOON, commands[nth : nth + in_a_record])
    draft = world.draft()
    assert world.writer.fill(draft) and not world.writer.inbox
    went = {event.command_id: event.partition for event in draft.events if isinstance(event, Forwarded)}
    here = {event.command_id: 1 for event in draft.events if isinstance(event, Requested)}
    wanted = {name: partition_for(name, 3) for n, name in enumerate(names) if n % 5}
    assert went | here == wanted and set(went.values()) == {0, 2} and len(here) > 50


def test_a_report_in_the_wrong_partition_is_forwarded_too() -> None:
    world = World(partitions=8, number=0)
    stray = Report(ExecutionId("ab" * 16 + "-5"), Token(1), WorkerId("w"))
    assert world.when(stray) == [Forwarded("ab" * 16 + "-5", "execution.report.v1", 5)]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (submit(job_id="nope"), "unknown_job"),
        (submit(job_id="carts"), "not_on_demand"),
        (submit(priority=10), "invalid"),
        (submit(options=Options(priority=-1)), "invalid"),
        (submit(delay_ms=-1), "invalid"),
        (submit(tenant=""), "invalid"),
        (submit(tenant="t" * 201), "invalid"),
        (submit(run_at=10**18), "invalid"),
        (submit(delay_ms=10**4200), "invalid"),
        (submit(labels={str(n): "x" for n in range(33)}), "invalid"),
        (submit(after=Address(6, 0)), "registry_position_unknown"),
        (request.RunNow(ID, "nope"), "unknown_job"),
    ],
)
def test_a_refusal_is_an_event_with_a_reason_and_leaves_one_outcome(command: wire.Command, reason: str) -> None:
    world = World()
    (rejected,) = world.when(command)
    assert isinstance(rejected, Rejected) and rejected.reason == reason
    assert world.when(command) == []


FIGURES = ("timeout_ms", "start_deadline_ms", "attempts", "backoff_first_ms", "backoff_max_ms")


@pytest.mark.parametrize("figure", [-1, 10**16, 10**4200], ids=["negative", "of 17 digits", "of 4201 digits"])
@pytest.mark.parametrize("name", FIGURES)
def test_an_option_beyond_what_the_tables_can_hold_is_refused_by_its_name(name: str, figure: int) -> None:
    (rejected,) = World().when(submit(options=Options(**{name: figure})))
    assert isinstance(rejected, Rejected) and rejected.reason == "invalid"
    assert f"options.{name}" in rejected.detail and len(rejected.detail) < 200


def test_what_a_version_of_before_the_bounds_says_ends_within_the_calendar() -> None:
    world = World()
    for nth, figure in enumerate((10**16, -(10**4200))):
        noop = world.registry.jobs["noop"]
        version = structs.replace(noop.versions[0], options=KeptOptions(start_deadline_ms=figure))
        world.registry.jobs["noop"] = structs.replace(noop, versions=(version,))
        (requested,) = world.when(submit(command_id=f"c{nth}"))
        assert isinstance(requested, Requested) and requested.start_deadline == (LATEST, 0)[nth]


def test_a_wait_beyond_reason_is_cut() -> None:
    world = World()
    world.when(request.Return(WorkerId("w"), "default", (ExecutionId(ID),), "limited", "queue:default", 10**4200))
    [(_, _, wait_ms)] = world.effects.limited
    assert wait_ms < 2**53


def test_any_place_in_the_commit_that_the_registry_folded_last_is_known() -> None:
    (requested,) = World().when(submit(after=Address(5, 3)))
    assert isinstance(requested, Requested)


def test_a_commit_of_the_registry_is_known_whole() -> None:
    (requested,) = World().when(submit(after=Address(5, 7)))
    assert isinstance(requested, Requested)


def test_what_the_registry_does_not_know_here_is_looked_up_at_its_end_first() -> None:
    world = World()
    world.writer.deliver(0, NOON, [submit(job_id="new")])
    assert not world.writer.fill(world.draft(fresh=False))
    world.know(Job("new", "new", "on_demand", "default"))
    draft = world.draft(fresh=True)
    assert world.writer.fill(draft) and isinstance(draft.events[0], Requested)


def test_an_unreadable_item_is_one_dead_letter_and_the_rest_is_done() -> None:
    world = World()
    events = world.when(submit(), Undecodable("invalid", "no", b"{"), submit(command_id="other"))
    assert [type(event).__name__ for event in events] == ["Requested", "DeadLettered", "Requested"]
    assert [(letter.position, letter.raw) for letter in world.effects.dead_letters] == [(Position(0, 1), b"{")]


def test_a_result_that_is_too_large_fails_the_execution() -> None:
    world = World()
    (requested,) = world.when(submit())
    assert isinstance(requested, Requested)
    state = world.partition.executions[requested.execution_id]
    assert isinstance(state, Waiting)
    huge = Report(requested.execution_id, state.token, WorkerId("w"), outcome="completed", result=Raw(b'"' + b"x" * 70_000 + b'"'))
    assert [type(event).__name__ for event in world.when(huge)] == ["Started", "Failed"]


def test_figures_beyond_reason_are_cut_and_the_report_still_counts() -> None:
    world = World()
    (requested,) = world.when(submit())
    assert isinstance(requested, Requested)
    state = world.partition.executions[requested.execution_id]
    assert isinstance(state, Waiting)
    wild = Report(requested.execution_id, state.token, WorkerId("w"), ago_ms=-5, timeout_ms=10**30, progress=10**30)
    started, progressed = world.when(wild)
    assert isinstance(started, Started) and started.deadline_at is not None and started.deadline_at < 2**62
    assert isinstance(progressed, Progressed) and progressed.progress == 100


def test_run_now_runs_a_job_with_its_own_data_and_is_quiet_when_repeated() -> None:
    world = World()
    (requested,) = world.when(request.RunNow(ID, "carts", actor="ada"))
    assert isinstance(requested, Requested) and (requested.trigger, requested.kind, requested.exclusive_key) == (
        "run_now",
        "system",
        "job:carts",
    )
    assert world.when(request.RunNow(ID, "carts", actor="ada")) == []


def test_options_of_the_submit_go_before_those_of_the_version() -> None:
    world = World()
    (requested,) = world.when(submit(options=Options(start_deadline_ms=1000), delay_ms=500))
    assert isinstance(requested, Requested)
    assert (requested.run_at, requested.start_deadline) == (NOON + 500_000, NOON + 1_500_000)


def test_a_commit_holds_five_hundred_events_and_the_rest_waits_for_the_next() -> None:
    world = World()
    world.writer.deliver(0, NOON, [submit(command_id=f"c{n}") for n in range(501)])
    draft = world.draft()
    world.writer.fill(draft)
    assert (len(draft.events), len(world.writer.inbox), draft.position) == (500, 1, Position(0, 499))
    world.append(draft)
    assert world.partition.head.position == Position(0, 499)


def test_a_commit_is_bounded_in_bytes_too() -> None:
    world = World()
    world.writer.deliver(0, NOON, [submit(command_id=f"c{n}", data=Raw(b'"' + b"x" * 200_000 + b'"')) for n in range(3)])
    draft = world.draft()
    world.writer.fill(draft)
    assert len(draft.events) == 2 and len(draft.record()) <= wire.LARGEST_COMMIT


# Deliveries


def test_a_record_that_was_taken_is_behind_and_one_beyond_the_next_is_a_gap() -> None:
    writer = World().writer
    assert [writer.deliver(offset, NOON, [submit()]) for offset in (0, 0, 2, 1)] == ["taken", "behind", "gap", "taken"]


def test_a_record_that_was_decided_half_is_taken_from_where_it_was_left() -> None:
    world = World()
    world.writer.deliver(0, NOON, [submit(command_id=f"c{n}") for n in range(502)])
    draft = world.draft()
    world.writer.fill(draft)
    world.append(draft)
    successor = Writer(world.partition)
    assert successor.deliver(0, NOON, [submit(command_id=f"c{n}") for n in range(502)]) == "taken"
    assert [delivered.position.nth for delivered in successor.inbox] == [500, 501]


def test_a_full_inbox_refuses_and_is_asked_again_later() -> None:
    writer = World().writer
    writer.inbox.extend([Delivered(Position(0, 0), NOON, submit())] * MOST_WAITING)
    assert writer.deliver(0, NOON, [submit()]) == "full"
    assert writer.next_offset == 0


def test_another_writer_s_commit_is_found_by_its_offset_and_nothing_is_decided_twice() -> None:
    world, rival = World(), World()
    for one in (world, rival):
        one.writer.deliver(0, NOON, [submit()])
    won = rival.draft(NOON + 1)
    rival.writer.fill(won)
    world.log.append(won.record())
    mine = world.draft()
    world.writer.fill(mine)
    world.log.append(mine.record())
    assert not world.writer.confirm(mine, mine.record(), 2)
    assert [type(world.writer.feed(record, offset)).__name__ for offset, record in enumerate(world.log[1:], 1)] == ["Accepted", "Void"]
    world.writer.caught_up()
    assert not world.writer.inbox and world.partition.voids == 1


def test_a_partition_of_another_log_is_refused_with_both_values() -> None:
    class Identity:
        log_id = "another"
        partitions = 1

    with pytest.raises(Conflict, match=r"log of 1 partitions, expected another of 1|belongs to log log of 1"):
        World().partition.expect(Identity())


def test_a_commit_that_follows_nobody_stops_the_partition() -> None:
    world = World()
    world.when(submit())
    fresh = Partition(0)
    fresh.feed(world.log[0], 0)
    with pytest.raises(ChainBroken, match="offset 1"):
        fresh.feed(world.log[1].replace(b'"seq":2', b'"seq":3'), 1)
    with pytest.raises(ChainBroken, match="offset 1"):
        fresh.feed(b"garbage", 1)


# Folding and forgetting


def test_the_fold_of_the_log_is_the_state_and_a_snapshot_goes_on_from_it() -> None:
    world = World()
    for n in range(5):
        world.when(submit(command_id=f"c{n}", idempotency_key=f"k{n}" if n % 2 else None))
    first = next(iter(world.partition.executions))
    state = world.partition.executions[first]
    assert isinstance(state, Waiting)
    world.when(Report(first, state.token, WorkerId("w"), outcome="completed"))
    frozen = snapshot.FrozenPartition(world.partition)
    chunks = list(frozen.chunks())
    seal = sealing.read_final(frozen.final(len(chunks), sealing.digest_of(chunks)))
    world.when(submit(command_id="later"))
    folded, restored = Partition(0, window=3600 * SECOND), Partition(0, window=3600 * SECOND)
    assert seal is not None and snapshot.restore(restored, seal, dict(enumerate(chunks)))
    for offset, record in enumerate(world.log):
        folded.feed(record, offset)
    restored.feed(world.log[-1], len(world.log) - 1)
    for one in (folded, restored):
        assert (one.head, one.executions, one.keys) == (world.partition.head, world.partition.executions, world.partition.keys)


@pytest.mark.parametrize("damage", ["a chunk is missing", "a chunk was altered", "another fold's version"])
def test_a_snapshot_that_does_not_fit_is_ignored(damage: str) -> None:
    world = World()
    world.when(submit())
    frozen = snapshot.FrozenPartition(world.partition)
    chunks = dict(enumerate(frozen.chunks()))
    record = frozen.final(len(chunks), sealing.digest_of(list(chunks.values())))
    if damage == "a chunk is missing":
        del chunks[0]
    elif damage == "a chunk was altered":
        chunks[0] = chunks[0].replace(b"noop", b"nope")
    else:
        assert sealing.read_final(record.replace(b'"fold_version":', b'"fold_version":1')) is None
        return
    seal = sealing.read_final(record)
    fresh = Partition(0)
    assert seal is not None and not snapshot.restore(fresh, seal, chunks)
    assert not fresh.executions


def test_what_ended_is_forgotten_by_the_broker_s_time_and_never_beyond_a_bound() -> None:
    world = World()
    world.partition.remembered = 3
    for n in range(6):
        world.when(submit(command_id=f"c{n}"))
    for execution_id, state in list(world.partition.executions.items()):
        assert isinstance(state, Waiting)
        world.when(Report(execution_id, state.token, WorkerId("w"), outcome="completed"))
    assert sum(isinstance(state, Ended) for state in world.partition.executions.values()) == 3


def test_a_broker_s_clock_that_was_ahead_for_a_moment_makes_nothing_forgotten() -> None:
    """It has been in doubt since, so the times of decision never knew of it."""
    world = World()
    keyed, other, plain = submit(idempotency_key="k"), submit(command_id="other", idempotency_key="o"), submit(command_id="plain")
    world.when(keyed, plain)
    for execution_id, state in list(world.partition.executions.items()):
        assert isinstance(state, Waiting)
        world.when(Report(execution_id, state.token, WorkerId("w"), outcome="completed"))
    assert len(world.when(other, appended=YEAR_2099)) == 1
    assert world.when(keyed, other, plain, appended=YEAR_2099) == []
    assert world.when(keyed, other, plain, at=NOON + 60 * SECOND) == []
    assert len(world.when(keyed, other, plain, at=NOON + 7200 * SECOND)) == 2, "a window later the keys are free again"
    world.when(submit(command_id="later"), at=NOON + 14_500 * SECOND)
    assert len(world.partition.keyed) == 0


def test_a_key_is_known_for_its_window_also_where_the_clock_was_in_doubt_meanwhile() -> None:
    """Time stood still for two hours, and the broker had been right."""
    world, later = World(), NOON + 7200 * SECOND
    keyed = submit(idempotency_key="k")
    world.when(submit(command_id="before"))
    assert len(world.when(keyed, appended=later)) == 1
    assert len(world.when(submit(command_id="after"), at=later + 30 * SECOND)) == 1
    assert world.when(keyed, at=later + 60 * SECOND) == []
    assert len(world.when(submit(command_id="much later"), at=later + 3000 * SECOND)) == 1
    assert world.when(keyed, at=later + 3600 * SECOND) == []
    assert len(world.when(keyed, at=later + 3601 * SECOND)) == 1


@pytest.mark.parametrize("waits", [False, True], ids=["all ended", "one waits"])
def test_what_ended_before_its_turn_came_leaves_timers_and_backlog(waits: bool) -> None:
    """Its deadline is a month away, and no worker takes anything of its queue."""
    partition = Partition(0)
    for number in range(MOST_STALE + 10):
        one = requested(number, 0, start_deadline=Micros(YEAR_2099))
        partition.evolve(one, Address(2, number), NOON)
        if number or not waits:
            partition.evolve(Cancelled(one.execution_id, "asked"), Address(3, number), NOON)
    partition.newest_append = Micros(NOON + partition.window + 1)
    partition.settle(partition.newest_append)
    assert len(partition.timers) == partition.backlog.entries == waits
    assert len(partition.backlog.take("default", 5, partition.is_waiting)) == waits


def test_events_name_what_happened_in_order() -> None:
    world = World()
    (requested,) = world.when(submit())
    assert isinstance(requested, Requested)
    state = world.partition.executions[requested.execution_id]
    assert isinstance(state, Waiting)
    assert world.when(Report(requested.execution_id, state.token, WorkerId("w"), outcome="completed", run_ms=3)) == [
        Started(requested.execution_id, 1, state.token, WorkerId("w")),
        Completed(requested.execution_id, 1, 3),
    ]


# The backlog


def test_priority_goes_first_then_tenants_in_turn_then_age() -> None:
    backlog = Backlog()
    for priority, tenant, name in ((5, "a", "a1"), (5, "a", "a2"), (5, "b", "b1"), (1, "a", "urgent"), (5, "a", "a3")):
        backlog.add("q", priority, tenant, (ExecutionId(name), Token(1)))
    backlog.add("q", 5, "b", (ExecutionId("returned"), Token(1)), first=True)
    taken = backlog.take("q", 10, lambda entry: entry[0] != "a2")
    assert [name for name, _ in taken] == ["urgent", "a1", "returned", "b1", "a3"]
    assert backlog.take("q", 10, lambda entry: True) == []

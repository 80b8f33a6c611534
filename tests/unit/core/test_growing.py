"""A log that grew tells the same of every execution, tick and command; only where it stands is another place, and tokens are higher."""

import random

import pytest
from msgspec import structs

from ledger.core import definition, execution, letters, outcome, pause, request, tick, wire
from ledger.core.definition import Registry
from ledger.core.draft import Delivered
from ledger.core.execution import Ended, Waiting
from ledger.core.growing import grown_id, next_epoch
from ledger.core.homes import Homes, at_home
from ledger.core.ids import INDEX_BITS, SEQ_BITS, ExecutionId, Micros, Position, partition_for, partition_of
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.refusal import Refused
from tests.synthetic_log import SyntheticLog, execution_id, requested, scheduled_lives, varied_lives
from tests.unit.control.home import SECOND, Home
from tests.unit.control.test_exclusivity import POLICIES, check, submit, waiting, world
from tests.unit.core.growths import accepted, audited, folded, grown, registry_of, started, tables_of
from tests.unit.simulation.world import WINDOW, Rules, World, registry
from tests.unit.simulation.year import Year
from tests.unit.wire import shapes

SIZES = [(1, 2), (1, 5), (2, 3), (3, 8)]


def synthetic(partitions: int, seed: int) -> tuple[dict[int, list[bytes]], list[bytes]]:
    """Lives of every kind in each partition, and a registry that knows their jobs."""
    known = SyntheticLog("registry", 0)
    known.open("former", partitions)
    events: dict[int, list[bytes]] = {}
    for number in range(partitions):
        known.commit([definition.Registered(f"{job}-{number}", job, "system", "default") for job in ("tidy", "sync", "nightly")])
        log = SyntheticLog("events", number)
        log.open("former", partitions)
        log.fill([*varied_lives(120, number, seed), *scheduled_lives(30, number, seed)], per_commit=7)
        events[number] = log.records
    return events, known.records


@pytest.mark.parametrize(("former", "partitions"), SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_the_tables_are_the_same_but_for_places_and_tokens(former: int, partitions: int, seed: int) -> None:
    log, known = synthetic(former, seed)
    after = grown(log, registry_of(known), partitions)
    assert tables_of(after, known) == tables_of(log, known)
    assert all(len(records) > 1 for records in after.values())


@pytest.mark.parametrize("seed", range(2))
def test_it_grows_to_the_same_bytes_each_time(seed: int) -> None:
    log, known = synthetic(2, seed)
    assert grown(log, registry_of(known), 5) == grown(log, registry_of(known), 5)


def test_it_may_grow_again() -> None:
    log, known = synthetic(1, 7)
    twice = grown(grown(log, registry_of(known), 3), registry_of(known), 8, epoch=3)
    assert tables_of(twice, known) == tables_of(log, known)


def test_everything_stands_where_it_would_be_decided() -> None:
    log, known = synthetic(2, 3)
    for number, records in grown(log, registry_of(known), 7).items():
        for commit in accepted("events", number, records):
            for event in commit.events:
                if isinstance(event, execution.Event):
                    assert partition_of(event.execution_id) == number
                if isinstance(event, execution.Requested) and event.kind == "on_demand":
                    assert partition_for(event.command_id or "", 7) == number


@pytest.mark.parametrize(("former", "partitions"), SIZES)
def test_each_token_is_above_all_that_were_given_before(former: int, partitions: int) -> None:
    log, known = synthetic(former, 5)
    before, after = started(log), started(grown(log, registry_of(known), partitions))
    assert len(before) == len(after) > 100
    assert min(one.token for one in after) > max(one.token for one in before)


# Logs that were decided: owners that come and go, zombies, repeats


def decided(seed: int) -> World:
    world = World(random.Random(seed), Rules())
    world.run(160)
    return world


@pytest.mark.parametrize("seed", range(20))
def test_a_decided_log_is_the_same_state_in_more_partitions(seed: int) -> None:
    before, after = grown_world(decided(seed))
    states = {head(one): type(state) for partition in after for one, state in partition.executions.items()}
    remembered = {head(one): type(state) for one, state in before.executions.items()}
    assert remembered.items() <= states.items()  # more is remembered where less is new
    assert {one for one, kind in states.items() if kind is not Ended} == {one for one, kind in remembered.items() if kind is not Ended}
    keys = {key: head(one) for partition in after for key, (one, *_) in partition.keys.items()}
    assert {key: head(one) for key, (one, *_) in before.keys.items()}.items() <= keys.items()
    tokens = [state.token for partition in after for state in partition.executions.values() if isinstance(state, Waiting)]
    assert all(token >> (SEQ_BITS + INDEX_BITS) == 2 for token in tokens)


@pytest.mark.parametrize("seed", range(20))
def test_a_command_that_is_sent_again_decides_to_nothing(seed: int) -> None:
    world = decided(seed)
    before, after = grown_world(world)
    for one, appended in world.sent:
        if not again(before, one, appended):
            assert not again(after[partition_for(one.command_id, len(after))], one, appended)


def grown_world(world: World) -> tuple[Partition, list[Partition]]:
    before = Partition(0, window=WINDOW)
    for offset, record in enumerate(world.log):
        before.feed(record, offset)
    return before, folded(grown({0: world.log}, registry(), 3), window=WINDOW)


def again(partition: Partition, one: request.Submit, appended: int) -> bool:
    """Whether it decides to anything."""
    draft = PartitionDraft(partition, registry(), Micros(partition.head.at), facts_are_fresh=True)
    draft.add(Delivered(Position(10**6, 0), Micros(appended), one))
    return bool(draft.events)


def head(execution_id: str) -> str:
    """What stands before the number of the partition."""
    return execution_id.rpartition("-")[0]


@pytest.mark.parametrize("partitions", [5, pytest.param(2, marks=pytest.mark.slow)])
def test_a_year_of_schedules_adds_up_in_more_partitions(partitions: int) -> None:
    year = Year(random.Random(partitions), 8, 0.05)
    year.run()
    log = {0: year.home.log}
    after = grown(log, registry_of(year.home.registry_log), partitions)
    before, found = audited(log, year.home.registry_log, 1), audited(after, year.home.registry_log, 2)
    assert before.differences == found.differences == []
    assert before.figures["expected"] > 200
    assert found.figures == before.figures
    assert tables_of(after, year.home.registry_log) == tables_of(log, year.home.registry_log)
    schedules = {job: state for partition in folded(after) for job, state in partition.schedules.items()}
    assert schedules == {job: state for partition in folded(log) for job, state in partition.schedules.items()}


@pytest.mark.parametrize("seed", range(8))
def test_who_holds_a_key_holds_it_and_the_lines_keep_their_order(seed: int) -> None:
    home = crowd(random.Random(seed))
    known = registry_of(home.registry_log)
    after = folded(grown({0: home.log}, known, 5))
    for partition in after:
        check(partition)
    assert {key: head(one) for partition in after for key, one in partition.holders.items()} == {
        key: head(one) for key, one in home.partition.holders.items()
    }
    assert {line: list(map(head, waits)) for partition in after for line, waits in partition.buffered.items()} == {
        line: list(map(head, waits)) for line, waits in home.partition.buffered.items()
    }
    assert tables_of(grown({0: home.log}, known, 5)) == tables_of({0: home.log})


def crowd(chance: random.Random) -> Home:
    """Exclusive submits, ticks and runs by hand, started and ended at random."""
    home = world()
    home.schedule(every_ms=5000, overlap="allow_all", exclusive_scope="job")
    home.schedule("beat:2", every_ms=7000, overlap="cancel_other", exclusive_scope="tenant", tenant="acme")
    for _ in range(120):
        live = waiting(home)
        match chance.randrange(6):
            case 0 | 1:
                home.send(submit(home, chance.choice(POLICIES), chance.choice("abcdefgh")))
            case 2:
                home.act(home.now + chance.randrange(4) * SECOND)
            case 3:
                home.send(request.RunNow(home.name(), chance.choice(("beat:1", "beat:2")), ignore_pause=chance.random() < 0.3))
            case 4 if live:
                home.report(chance.choice(live), chance.choice(("completed", "failed")))
            case _ if startable := [one for one in live if isinstance(home.partition.executions[one], Waiting)]:
                home.start(chance.choice(startable))
    return home


def test_schedules_that_were_reckoned_with_other_zone_data_are_reckoned_anew() -> None:
    """One owner had other zone data than another: what a schedule says is next cannot be relied on where they come together."""
    log: dict[int, list[bytes]] = {}
    for number, tzdata in enumerate(("2025a", "2025b")):
        one = SyntheticLog("events", number)
        one.open("former", 2)
        one.commit([tick.Adopted(f"job-{number}", 1, Micros(1), 1, tzdata, next_tick_at=Micros(9))])
        log[number] = one.records
    after = [partition for partition in folded(grown(log, Registry(), 3)) if partition.schedules]
    assert [state.next_at for partition in after for state in partition.schedules.values()] == [None, None]


# What it is called, and what is no growth


def test_its_id_follows_from_what_it_grew_from() -> None:
    one = grown_id("a" * 32, ["d1", "d2"], 8)
    assert one == grown_id("a" * 32, ["d1", "d2"], 8)
    assert len({one, grown_id("a" * 32, ["d1", "d3"], 8), grown_id("a" * 32, ["d1", "d2"], 9), grown_id("b" * 32, ["d1", "d2"], 8)}) == 4


def test_a_log_only_grows_and_epochs_have_an_end() -> None:
    assert next_epoch(1, 4, 8) == 2
    for epoch, former, partitions in ((1, 4, 4), (1, 4, 3), (63, 4, 8)):
        with pytest.raises(Refused, match="no_growth"):
            next_epoch(epoch, former, partitions)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "c-1"),
        ({"trigger": "run_now"}, "send"),
        ({"kind": "scheduled", "trigger": "schedule"}, "send"),
        ({"exclusive_key": "tenant:send:acme", "unique_key": "k"}, "tenant:send:acme"),
        ({"unique_key": "k", "tenant": "acme"}, "unique:acme:send:k"),
        ({"unique_key": "k"}, "unique::send:k"),
    ],
)
def test_a_request_goes_where_its_command_would_be_decided(fields: dict[str, object], name: str) -> None:
    one = SyntheticLog("events", 0)
    one.open("former", 1)
    one.commit([requested(1, 0, job_id="send", command_id="c-1", **fields)])
    after = grown({0: one.records}, Registry(), 9)
    assert [number for number, records in after.items() if len(records) > 1] == [partition_for(name, 9)]


def test_a_retry_stays_with_what_it_retries() -> None:
    one = SyntheticLog("events", 0)
    one.open("former", 1)
    one.commit([requested(1, 0, command_id="c-1")])
    one.commit([requested(2, 0, command_id="c-2", trigger="retry", retry_of=execution_id(1, 0))])
    home = partition_for("c-1", 9)
    (_, request_, retry) = accepted("events", home, grown({0: one.records}, Registry(), 9)[home])
    assert isinstance(retry.events[0], execution.Requested) and isinstance(request_.events[0], execution.Requested)
    assert retry.events[0].retry_of == request_.events[0].execution_id


@pytest.mark.parametrize("name", [name for name, one in shapes.EVENTS.items() if not isinstance(one, definition.Event | pause.Event)])
def test_every_event_there_is_finds_a_home_and_names_executions_as_they_are_called_there(name: str) -> None:
    homes, event, key = Homes(Registry(), 9), shapes.EVENTS[name], "tenant:send:acme"
    moved = [structs.replace(requested(1, 3), execution_id=one, exclusive_key=key) for one in (shapes.EXECUTION, shapes.FORMER)]
    homes.expect(moved, 3)
    assert isinstance(event, wire.Event)
    if isinstance(event, execution.Requested):
        event = structs.replace(event, exclusive_key=key)
    home = homes.of(event, 3)
    assert (home is None) == (name in ("log.opened.v1", "command.forwarded.v1", "schedule.rezoned.v1"))
    if isinstance(event, execution.Event):
        assert home == partition_for(key, 9) != 3
    told = wire.encode(at_home(event, homes, 3)).decode()
    assert not [one for one in (shapes.EXECUTION, shapes.FORMER) if f'"{one}"' in told], told


def test_what_became_of_a_dead_letter_is_no_fate_of_one_that_comes_to_the_same_place() -> None:
    """Letters are named by the offsets of commands, which begin anew."""
    one = SyntheticLog("events", 0)
    one.open("former", 1)
    one.commit([letters.Redriven("events/0/7/0"), outcome.Accepted("redrive:events.0.7.0", "letter.redrive.v1", "applied")])
    (partition, _) = folded(grown({0: one.records}, Registry(), 2))
    assert partition.letters == {"former/events/0/7/0": "redriven"}
    assert [accepted.command_id for accepted in partition.acts.values()] == ["former:redrive:events.0.7.0"]


def test_what_makes_room_for_a_new_one_is_told_apart_in_the_same_commit() -> None:
    """`Blocked` and `Cancelled` name an execution whose request stands behind them."""
    former, new = execution_id(1, 0), execution_id(2, 0)
    one = SyntheticLog("events", 0)
    one.open("former", 1)
    one.commit([requested(1, 0, exclusive_key="job:a")])
    one.commit([execution.Blocked(former, new), requested(2, 0, exclusive_key="job:a", ignore_pause=True)])
    one.commit([execution.Cancelled(former, "cancel_other", because_of=new), execution.Skipped(new, "busy", detail=f"{former} holds it")])
    home = partition_for("job:a", 9)
    events = [event for commit in accepted("events", home, grown({0: one.records}, Registry(), 9)[home]) for event in commit.events[:]]
    assert home != 0
    assert f"-{home}" in str(events) and "-0'" not in str(events)
    assert events[-1] == execution.Skipped(ExecutionId(f"{head(new)}-{home}"), "busy", detail=f"{head(former)}-{home} holds it")


def test_who_asked_for_it_is_called_as_it_is_now() -> None:
    parent, child = (requested(nth, 0, command_id=f"c{nth}") for nth in (1, 2))
    child = structs.replace(child, actor=f"execution:{parent.execution_id}", correlation_id=parent.execution_id)
    homes = Homes(Registry(), 16)
    homes.expect([parent, child], 0)
    moved = at_home(child, homes, 0)
    assert isinstance(moved, execution.Requested) and homes.of_execution(parent.execution_id, 0) != 0
    now = homes.renamed(parent.execution_id, 0)
    assert (moved.actor, moved.correlation_id) == (f"execution:{now}", now)
    for actor, correlation_id in (("ann", "order-3"), (None, None), ("execution:", "x")):
        same = at_home(structs.replace(child, actor=actor, correlation_id=correlation_id), homes, 0)
        assert isinstance(same, execution.Requested) and (same.actor, same.correlation_id) == (actor, correlation_id)

"""Which snapshot an actor begins from: the newest good one of its own log."""

from structlog.testing import capture_logs

from ledger.config import Settings
from ledger.core.partition import Partition
from ledger.core.registry import RegistryFold
from ledger.core.registry_snapshot import FrozenRegistry
from ledger.core.sealing import Frozen, digest_of
from ledger.core.snapshot import FrozenPartition
from ledger.kafka.opening import LogIdentity
from ledger.kafka.snapshots import Slot
from processors.control.appender import Appender
from processors.control.snapshots import Snapshots
from tests.unit.core.test_partition import World, submit
from tests.unit.core.test_registry import MAIL, folded, opened

OURS = LogIdentity("log", 1, 1)


def slot_of(frozen: Frozen) -> Slot:
    chunks = list(frozen.chunks())
    return Slot(frozen.final(len(chunks), digest_of(chunks)), dict(enumerate(chunks)))


def restored(slots: list[Slot], identity: LogIdentity = OURS) -> tuple[Partition, list[str]]:
    """The state that an actor begins from, and the alarms."""
    settings = Settings(partitions=1)
    partition = Partition(0)
    with capture_logs() as said:
        Snapshots.of_partition(settings, partition, Appender(settings)).restore_from(slots, identity)
    return partition, [line["action"] for line in said]


def two() -> tuple[Slot, Slot, World]:
    """An older and a newer one."""
    world = World()
    world.when(submit(command_id="a"))
    older = slot_of(FrozenPartition(world.partition))
    world.when(submit(command_id="b"))
    return older, slot_of(FrozenPartition(world.partition)), world


def test_the_newest_one_is_taken() -> None:
    older, newer, world = two()
    for slots in ([older, newer], [newer, older], [Slot(), newer]):
        partition, said = restored(slots)
        assert partition.head == world.partition.head
        assert partition.executions == world.partition.executions
        assert said == []


def test_one_of_another_log_is_not_used_and_an_alarm_says_so() -> None:
    _, newer, _ = two()
    for identity in (LogIdentity("another", 1, 1), LogIdentity("log", 4, 1), LogIdentity("log", 1, 2)):
        partition, said = restored([Slot(), newer], identity)
        assert (partition.head.seq, partition.log_id, partition.executions) == (0, None, {})
        assert said == ["snapshot.foreign"]


def test_an_older_one_of_ours_is_better_than_a_newer_of_another_log() -> None:
    older, _, world = two()
    foreign = slot_of(FrozenPartition(world.partition))
    assert foreign.seal is not None
    foreign.seal = foreign.seal.replace(b'"log_id":"log"', b'"log_id":"another"')
    partition, said = restored([foreign, older])
    assert partition.head.seq == 2
    assert said == ["snapshot.foreign"]


def test_one_that_was_cut_is_passed_over() -> None:
    older, newer, _ = two()
    newer.chunks.pop(0)
    partition, said = restored([newer, older])
    assert partition.head.seq == 2
    assert said == ["snapshot.ignored"]


def test_of_the_registry_none_is_taken_that_is_ahead_of_its_log() -> None:
    """Its log lost its end: what is there counts, and the partitions that were decided with more say so."""
    fold = opened()
    older = slot_of(FrozenRegistry(fold))
    folded(fold, MAIL)
    newer = slot_of(FrozenRegistry(fold))
    for end, seq in ((3, 2), (2, 2), (1, 1), (0, 0)):
        fresh, settings = RegistryFold(), Settings(partitions=4)
        Snapshots.of_registry(settings, fresh, Appender(settings)).restore_from([older, newer], LogIdentity("log", 4, 1), end)
        assert (fresh.head.seq, list(fresh.registry.jobs)) == (seq, ["mail"] if seq == 2 else [])

"""Writes a log that is known as a whole into empty topics, and goes on where a former attempt ended.

The events come first and the registry last, as when a log is opened: until the registry is there nothing starts, as the log counts as not
open. Commits name the commands they were decided from by offset, so the topics of commands are lengthened with empty records up to there:
what is sent from then on gets offsets that no commit has named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.core.archive import REGISTRY, Place
from ledger.core.ids import NOWHERE, Position
from ledger.core.refusal import Conflict, Misconfigured
from ledger.kafka import topics
from ledger.kafka.connect import new_consumer, running, unavailable
from ledger.kafka.filling import Filling, FillingProducer
from ledger.kafka.log_reader import Bounds, LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from ledger.kafka.verify import Progress

EMPTY: Final = b""  # a record that stands for a command which is decided already, and that nobody reads
COMMANDS: Final = {"registry": "registry-commands", "events": "commands"}
TOLD_EVERY: Final = 200  # commits


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be written. `events` gives the commits of all partitions, each one's in order; `position`: the last command that a
    partition decided."""

    identity: LogIdentity
    commits: int
    events: Callable[[], Iterator[tuple[Place, bytes]]]
    registry: Callable[[], Iterator[bytes]]
    positions: dict[Place, Position]


@dataclass(slots=True)
class Imported:
    """`appended`: commits that were not there before."""

    log_id: str
    partitions: int
    epoch: int
    commits: int = 0
    appended: int = 0


async def import_log(settings: Settings, source: Source, progress: Progress = lambda done, total: None) -> Imported:
    """Create the topics that are missing and fill them. Raises `Conflict` with what to do where they hold anything else, `Misconfigured`,
    `Unavailable`: then it is harmless to run it again."""
    identity = source.identity
    if identity.partitions != settings.partitions:
        raise Misconfigured(f"the log has {identity.partitions} partitions, the settings say {settings.partitions}: correct `partitions`")
    await topics.apply(settings)
    held = await _bounds(settings)
    _refuse_what_is_in_use(settings, held)
    done = Imported(identity.log_id, identity.partitions, identity.epoch)

    def count() -> None:
        done.commits += 1
        if not done.commits % TOLD_EVERY:
            progress(done.commits, source.commits)

    async with FillingProducer(settings) as producer:
        fillings = {place: producer.filling(*place, held[place].end) for place in [REGISTRY, *_events(identity)]}
        for place, record in source.events():
            await fillings[place].add(record)
            count()
        for place in _events(identity):
            await fillings[place].finish()
        for place, position in source.positions.items():
            await _lengthen(settings, producer, COMMANDS[place[0]], place[1], held[COMMANDS[place[0]], place[1]], position)
        for record in source.registry():
            await fillings[REGISTRY].add(record)
            count()
        await fillings[REGISTRY].finish()
    done.appended = sum(one.appended for one in fillings.values())
    await check_identity(settings)
    return done


def _events(identity: LogIdentity) -> list[Place]:
    return [("events", number) for number in range(identity.partitions)]


async def _lengthen(settings: Settings, producer: FillingProducer, name: str, partition: int, held: Bounds, position: Position) -> None:
    """Offsets up to that of the last decided command get an empty record."""
    wanted = position.offset + 1 if position > NOWHERE else 0
    if held.end and not await _is_lengthened(settings, name, partition, held):
        raise Conflict(f"{settings.topic(name)}[{partition}] holds commands already: they would count as decided. {_ELSEWHERE}")
    filling: Filling = producer.filling(name, partition, held.end)
    for _ in range(wanted):
        await filling.add(EMPTY)
    await filling.finish()


async def _is_lengthened(settings: Settings, name: str, partition: int, held: Bounds) -> bool:
    """By a former attempt: all that is left there is empty."""
    async with LogReader(settings, name, partition) as reader:
        for offset in {held.start, held.end - 1}:
            if held.start < held.end and (record := await reader.at(offset)) is not None and record.value:
                return False
    return True


async def _bounds(settings: Settings) -> dict[tuple[str, int], Bounds]:
    """Of every partition of every topic, by its name in the settings."""
    wanted = {
        TopicPartition(spec.name, number): (_name(settings, spec.name), number)
        for spec in topics.specs(settings)
        for number in range(spec.partitions)
    }
    consumer = new_consumer(settings.kafka.bootstrap)
    try:
        async with running(consumer):
            starts, ends = await consumer.beginning_offsets(list(wanted)), await consumer.end_offsets(list(wanted))
    except (KafkaError, OSError) as error:
        raise unavailable(settings.kafka.bootstrap, error) from error
    return {place: Bounds(starts[one], ends[one]) for one, place in wanted.items()}


def _name(settings: Settings, topic: str) -> str:
    """As the settings name it: the reverse of `Settings.topic`."""
    before, behind = settings.topic("\0").split("\0")
    return topic.removeprefix(before).removesuffix(behind)


def _refuse_what_is_in_use(settings: Settings, held: dict[tuple[str, int], Bounds]) -> None:
    """Snapshots and offers belong to another life of a log; commits and commands are looked at one by one."""
    for (name, partition), bounds in held.items():
        topic = f"{settings.topic(name)}[{partition}]"
        if name in ("registry", "events") and bounds.start > 0:
            raise Conflict(f"{topic} begins at offset {bounds.start}: its first records were deleted. {_ELSEWHERE}")
        if (name == "snapshots" or name.startswith("work.")) and bounds.start < bounds.end:
            raise Conflict(f"{topic} holds {bounds.end - bounds.start} records: a log was at work here. {_ELSEWHERE}")


_ELSEWHERE: Final = "Import under another `prefix`, without running `topics apply` before"

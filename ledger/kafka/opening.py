"""The identity of a log: which log the topics hold, and whether they still hold the same one.

The first record of every partition is its opening. `events[0]` is opened first and names the log, the registry is opened last. So an open
registry without all of the events, or events at work without a registry, show that a topic was made anew. Of openers that race, the first
record of a partition counts and the others' are void, by the chain's own rule. Source: architecture.md, section 4.
"""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from ledger.config import Settings
from ledger.core import chain, outcome, wire
from ledger.core.chain import Head
from ledger.core.ids import NOWHERE
from ledger.core.refusal import ChainBroken, Conflict, Misconfigured, Undecodable
from ledger.kafka.connect import no_topic
from ledger.kafka.first_records import FirstRecords, send_first
from ledger.kafka.log_reader import LogReader
from ledger.kafka.topic_admin import TopicAdmin

EPOCH: Final = 1
Place = tuple[str, int]  # (log, partition)
REGISTRY: Final[Place] = ("registry", 0)
Openings = Mapping[Place, outcome.Opened | None]  # None: nothing was written there yet


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Which log this is. Both logs, registry and events, carry the same; `partitions` are those of the events."""

    log_id: str
    partitions: int
    epoch: int


def opening(place: Place, opened: outcome.Opened) -> bytes:
    """The first commit of a partition. Its `at` is 0, before everything: the time of a commit follows from the broker's acks, and there
    was none; what an opener's own clock says must not count."""
    log, partition = place
    commit = wire.Commit(chain.COMMIT_VERSION, log, partition, 1, chain.GENESIS, 0, NOWHERE, None, (opened,))
    return wire.encode(commit)


def read_opening(place: Place, record: bytes) -> outcome.Opened:
    """What the first record of a partition says. Raises `Conflict` if it is no opening of this partition."""
    log, partition = place
    try:
        commit = wire.decode_commit(record)
    except Undecodable as error:
        raise Conflict(f"{log}[{partition}] does not begin with the opening of a log: {error}; {_FOREIGN}") from error
    first = commit.events[0] if commit.events else None
    if chain.judge(Head(log, partition), commit) != chain.ACCEPTED or not isinstance(first, outcome.Opened):
        raise Conflict(
            f"{log}[{partition}] does not begin with its opening, but with seq {commit.seq} of {commit.log}[{commit.partition}], "
            f"first event {type(first).__name__}; {_FOREIGN}"
        )
    return first


async def open_log(settings: Settings) -> LogIdentity:
    """Write what is missing of the log's openings; the identity. The topics are there. Several may do this at the same time.

    Raises `Conflict` if the topics hold another log, or one of them was made anew; `Unavailable`.
    """
    async with FirstRecords(settings) as firsts:
        registry, events = await _registry_and_events(firsts, settings)
        if registry is None:
            await _refuse_lost_registry(firsts, settings, events)
            await _write_openings(firsts, settings, events)
            registry, events = await _registry_and_events(firsts, settings)
        return identify(settings, registry, events)


async def check_identity(settings: Settings) -> LogIdentity:
    """The identity of the log that the topics hold, without writing anything. Raises `Misconfigured` if it is not open yet,
    `Conflict` as `open_log` does; `Unavailable`."""
    await require_topics(settings)
    async with FirstRecords(settings) as firsts:
        registry, events = await _registry_and_events(firsts, settings)
    return identify(settings, registry, events)


async def require_topics(settings: Settings) -> None:
    """Raises `Misconfigured` unless both logs' topics are there, with the partitions that the settings say; `Unavailable`. To be done
    before anything reads them: where the broker creates topics by itself, a reader would make them, and wrongly."""
    async with TopicAdmin(settings.kafka.bootstrap) as admin:
        names = {settings.topic("registry"): 1, settings.topic("events"): settings.partitions}
        found = await admin.look(set(names))
    for name, wanted in names.items():
        if name not in found:
            raise no_topic(settings.kafka.bootstrap, name)
        if found[name].partitions != wanted:
            raise Misconfigured(
                f"topic {name} has {found[name].partitions} partitions, the settings say {wanted}: it is frozen, correct `partitions`"
            )


def identify(settings: Settings, registry: outcome.Opened | None, events: Openings) -> LogIdentity:
    """The one identity that all openings agree on. Pure. `registry` was read before `events`."""
    if registry is None:
        raise Misconfigured(f"the log {settings.topic('registry')} is not open yet: run `jobledger topics apply`")
    _refuse_other_partitions(settings, REGISTRY, registry)
    for (log, partition), opened in sorted(events.items()):
        where = f"{settings.topic(log)}[{partition}]"
        if opened is None:
            raise Conflict(
                f"{where} is empty, but the registry says that log {registry.log_id} was opened: topic {settings.topic(log)} was made anew "
                f"or lost its records; {_REPAIR}"
            )
        if opened != registry:
            raise Conflict(
                f"{where} belongs to {_described(opened)}, {settings.topic('registry')} to {_described(registry)}: "
                f"one of the topics was made anew; {_REPAIR}"
            )
    return LogIdentity(registry.log_id, registry.partitions, registry.epoch)


def _described(opened: outcome.Opened) -> str:
    return f"log {opened.log_id} ({opened.partitions} partitions, epoch {opened.epoch})"


def _refuse_other_partitions(settings: Settings, place: Place, opened: outcome.Opened) -> None:
    if opened.partitions != settings.partitions:
        raise Conflict(
            f"log {opened.log_id} ({settings.topic(place[0])}) was opened with {opened.partitions} partitions, the settings say "
            f"{settings.partitions}: the number is frozen; set `partitions` to {opened.partitions}, or another `prefix` for a new log"
        )


async def _registry_and_events(firsts: FirstRecords, settings: Settings) -> tuple[outcome.Opened | None, Openings]:
    """The registry's opening and then, read later, the events': in this order an open registry implies open events, race or not."""
    registry = await _read(firsts, [REGISTRY])
    return registry[REGISTRY], await _read(firsts, [("events", number) for number in range(settings.partitions)])


async def _read(firsts: FirstRecords, places: list[Place]) -> Openings:
    records = await firsts.read(places)
    return {place: None if record is None else read_opening(place, record) for place, record in records.items()}


async def _refuse_lost_registry(firsts: FirstRecords, settings: Settings, events: Openings) -> None:
    """The registry was empty. Nothing but openings may be in the events, unless somebody opened the registry meanwhile."""
    at_work = [number for number in range(settings.partitions) if events["events", number] and await _is_at_work(settings, number)]
    if at_work and (await _read(firsts, [REGISTRY]))[REGISTRY] is None:
        opened = events["events", at_work[0]]
        raise Conflict(
            f"{settings.topic('registry')} is empty, but {settings.topic('events')}{at_work} already holds commits of log "
            f"{opened and opened.log_id}: the registry was made anew or lost its records; {_REPAIR}"
        )


async def _is_at_work(settings: Settings, partition: int) -> bool:
    """The partition holds more than openings."""
    async with LogReader(settings, "events", partition) as reader:
        try:
            async with aclosing(reader.commits(Head("events", partition), (await reader.bounds()).end)) as commits:
                async for walked in commits:
                    if walked.head.seq > 1:
                        return True
        except ChainBroken:
            return True
    return False


async def _write_openings(firsts: FirstRecords, settings: Settings, events: Openings) -> None:
    """`events[0]` first, whose first record names the log; the registry last."""
    first: Place = ("events", 0)
    opened = events[first]
    if opened is None:
        if any(events.values()):
            raise Conflict(f"{settings.topic('events')}[0] is empty, but others of its partitions are not: it lost its records; {_REPAIR}")
        await send_first(settings, {first: opening(first, outcome.Opened(uuid4().hex, settings.partitions, EPOCH))})
        opened = (await _read(firsts, [first]))[first]
    assert opened is not None, "a record was acknowledged"
    _refuse_other_partitions(settings, first, opened)
    await send_first(settings, {place: opening(place, opened) for place, known in events.items() if known is None and place != first})
    await send_first(settings, {REGISTRY: opening(REGISTRY, opened)})


_FOREIGN: Final = "another program writes to this topic, or its first record was altered: set another `prefix`, or correct kafka.bootstrap"
_REPAIR: Final = (
    "to go on with this log, restore the topic from a copy; to begin a new one, set another `prefix` and run `jobledger topics apply`"
)

"""A log to measure on, as control would have written it: the product's own decisions, appended without waiting for anybody."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Raw

from ledger.cli.measuring.bed import Bed
from ledger.core import outcome, wire
from ledger.core.bodies import NOTHING
from ledger.core.chain import COMMIT_VERSION, GENESIS, Header
from ledger.core.definition import Job, Registry, Version
from ledger.core.execution import Report, Requested, Waiting
from ledger.core.ids import NOWHERE, Address, Micros, WorkerId, partition_for
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.request import Submit
from ledger.core.writer import Writer
from ledger.kafka.connect import new_producer
from ledger.kafka.opening import LogIdentity, check_identity
from ledger.submitting.naming import fresh_command_id

BATCH: Final = 150
DATA: Final = b'{"i":1234,"pad":"' + b"x" * 100 + b'"}'


async def write(bed: Bed, partition: int, executions: int) -> int:
    """Append the history of so many finished executions to `events[partition]`; the number of events."""
    identity = await check_identity(bed.settings)
    producer = new_producer(bed.settings.kafka.bootstrap, linger_ms=5)
    await producer.start()
    events, under_way = 0, []
    try:
        for record, count in _history(identity, partition, executions):
            under_way.append(await producer.send(bed.settings.topic("events"), record, partition=partition))
            events += count
            if len(under_way) > 100:
                await asyncio.gather(*under_way)
                under_way.clear()
        await asyncio.gather(*under_way)
    finally:
        await producer.stop()
    return events


def _history(identity: LogIdentity, number: int, executions: int) -> Iterator[tuple[bytes, int]]:
    fold = Partition(number)
    opened = wire.encode(outcome.Opened(identity.log_id, identity.partitions, identity.epoch))
    fold.feed(wire.encode_commit(Header(COMMIT_VERSION, "events", number, 1, GENESIS, 0, NOWHERE, None), [opened]), 0)
    writer, registry = Writer(fold), _registry()
    for first in range(0, executions, BATCH):
        submits = [Submit(_routed(number, identity.partitions), "noop", Raw(DATA)) for _ in range(min(BATCH, executions - first))]
        asked = _decided(writer, registry, submits)
        yield asked.record, len(asked.draft.events)
        answered = _decided(writer, registry, list(_reports(fold, asked.draft.events)))
        yield answered.record, len(answered.draft.events)


def _reports(fold: Partition, events: Iterable[wire.Event]) -> Iterator[Report]:
    for event in events:
        state = fold.executions[event.execution_id] if isinstance(event, Requested) else None
        if isinstance(state, Waiting):
            execution_id = state.request.execution_id
            yield Report(execution_id, state.token, WorkerId("bench"), run_ms=1, outcome="completed", result=Raw(DATA))


@dataclass(frozen=True, slots=True)
class Decided:
    record: bytes
    draft: PartitionDraft


def _decided(writer: Writer[Partition], registry: Registry, commands: Sequence[wire.Command]) -> Decided:
    now = Micros(time.time_ns() // 1000)
    writer.deliver(writer.next_offset, now, commands)
    draft = PartitionDraft(writer.fold, registry, now, facts_are_fresh=True)
    writer.fill(draft)
    record = draft.record()
    writer.confirm(draft, record, writer.fold.head.next_offset)
    return Decided(record, draft)


def _registry() -> Registry:
    known = Registry(Address(1, 0))
    body = Version(1, "bench", Micros(0), NOTHING)
    known.jobs["noop"] = Job("noop", "noop", "on_demand", "default", state="active", current_version=1, versions=(body,))
    return known


def _routed(partition: int, partitions: int) -> str:
    while True:
        command_id = fresh_command_id()
        if partition_for(command_id, partitions) == partition:
            return command_id

"""The registry as its log says it now: from control's last snapshot of it on, where there is one that fits."""

from contextlib import aclosing
from functools import partial

import structlog
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.core import registry_snapshot
from ledger.core.refusal import ChainBroken
from ledger.core.registry import RegistryFold
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from ledger.kafka.snapshots import put_back_newest, read_slots

log = structlog.get_logger(__name__)


async def registry_now(settings: Settings) -> RegistryFold:
    """A snapshot that is of another log, or of commits that this one has not, is not used. Raises `Unavailable`, `Misconfigured` without
    topics, `Conflict` of another log, `ChainBroken`."""
    identity = await check_identity(settings)
    fold = RegistryFold()
    async with LogReader(settings, "registry", 0) as reader:
        bounds = await reader.bounds()
        if not await _put_back(settings, identity, fold, bounds.end):
            return await folded(settings, fold)
        try:
            await _go_on(reader, fold, fold.head.next_offset, bounds.end)
        except ChainBroken as error:
            log.error("a snapshot does not fit its log and is not used", action="snapshot.foreign", detail=str(error))
            return await folded(settings, RegistryFold())
    return fold


async def folded(settings: Settings, fold: RegistryFold) -> RegistryFold:
    """From the first commit to the present end. Raises what `registry_now` does."""
    async with LogReader(settings, "registry", 0) as reader:
        bounds = await reader.bounds()
        await _go_on(reader, fold, bounds.start, bounds.end)
    return fold


async def _put_back(settings: Settings, identity: LogIdentity, fold: RegistryFold, end: int) -> bool:
    try:
        slots = await read_slots(settings, settings.partitions)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("no snapshot could be read", action="snapshot.unread", partition=settings.partitions, error=repr(error))
        return False
    return put_back_newest(slots, settings.partitions, identity, partial(registry_snapshot.restore, fold), end) is not None


async def _go_on(reader: LogReader, fold: RegistryFold, start: int, end: int) -> None:
    async with aclosing(reader.batches(start, end)) as batches:
        async for batch in batches:
            for record in batch.records:
                fold.feed(record.value, record.offset)

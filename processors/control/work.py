"""The work topics: where offers go, where their partitions end, and how far the runners of a queue have read."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from itertools import count
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.kafka.connect import REQUEST_TIMEOUT_MS, new_consumer
from processors.control.appender import Appended, Appender, Unknown
from processors.control.log_access import bounds

ANSWERED_WITHIN: Final = 2.0  # seconds; a partition without a leader shall not keep the offers of others from being healed
Offsets = Callable[[list[TopicPartition]], Awaitable[dict[TopicPartition, int]]]


def runner_group(settings: Settings, queue: str) -> str:
    """The consumer group of a queue's runners."""
    return f"{settings.prefix}-runner-{queue}"


class Work:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._appender = Appender(settings)
        self._turn = count()
        self._admin: AIOKafkaAdminClient | None = None
        self._reader: AIOKafkaConsumer | None = None  # reads no records: the admin client cannot ask where a partition starts

    def _partitions(self, queue: str) -> int:
        known = self._settings.queues.get(queue)
        return known.partitions if known is not None else 1

    async def send(self, queue: str, record: bytes) -> tuple[int, Appended | Unknown]:
        """Append a record of offers to the queue's next partition in turn."""
        partition = next(self._turn) % self._partitions(queue)
        if queue not in self._settings.queues:
            return partition, Unknown(f"queue {queue} is not in the settings")
        return partition, await self._appender.append(self._settings.topic(f"work.{queue}"), partition, record)

    async def ends(self, queue: str) -> dict[int, int]:
        """Where the queue's partitions end now. Waits for a broker."""
        if queue not in self._settings.queues:
            return {}
        return {place.partition: end for place, (_, end) in (await bounds(self._settings, self._places(queue))).items()}

    async def passed(self, queues: Collection[str]) -> dict[str, dict[int, int]]:
        """Queue -> partition -> the offset up to which the queue's runners have taken everything, or retention has. Without those queues
        of which it is not known now."""
        known = [queue for queue in queues if queue in self._settings.queues]
        if not known:
            return {}
        starts, groups = await asyncio.gather(self._starts(known), self._groups(known))
        return {
            queue: {one.partition: max(0, committed.get(one, 0), starts.get(one, 0)) for one in self._places(queue)}
            for queue, committed in groups.items()
        }

    def _places(self, queue: str) -> list[TopicPartition]:
        return [TopicPartition(self._settings.topic(f"work.{queue}"), one) for one in range(self._partitions(queue))]

    async def _groups(self, queues: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
        """One after the other: they share a client, which is replaced when it fails."""
        return {queue: committed for queue in queues if (committed := await self._committed(queue)) is not None}

    async def _committed(self, queue: str) -> dict[TopicPartition, int] | None:
        """Where the group of the queue's runners reads next."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                admin = await self._connected()
                offsets = await admin.list_consumer_group_offsets(runner_group(self._settings, queue))
        except (KafkaError, OSError, TimeoutError):
            await self._disconnect_admin()
            return None
        return {place: committed.offset for place, committed in offsets.items()}

    async def known_ends(self, queues: Collection[str]) -> dict[str, dict[int, int]]:
        """Queue -> partition -> where it ends now. Nothing where that is not known."""
        known = [queue for queue in queues if queue in self._settings.queues]
        ends = await self._asked(known, lambda reader: reader.end_offsets)
        return {queue: {one.partition: ends[one] for one in self._places(queue) if one in ends} for queue in known}

    async def _starts(self, queues: Sequence[str]) -> dict[TopicPartition, int]:
        """The first offsets that the queues' partitions still hold; none where it is not known now: then the groups' places alone count."""
        return await self._asked(queues, lambda reader: reader.beginning_offsets)

    async def _asked(self, queues: Sequence[str], offsets: Callable[[AIOKafkaConsumer], Offsets]) -> dict[TopicPartition, int]:
        places = [place for queue in queues for place in self._places(queue)]
        if not places:
            return {}
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await offsets(await self._reading())(places)
        except (KafkaError, OSError, TimeoutError):
            await self._disconnect_reader()
            return {}

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
            await admin.start()
            self._admin = admin
        return self._admin

    async def _reading(self) -> AIOKafkaConsumer:
        if self._reader is None:
            reader = self._reader = new_consumer(self._settings.kafka.bootstrap)
            await reader.start()
        return self._reader

    async def _disconnect_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError, OSError):
                await admin.close()

    async def _disconnect_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(KafkaError, OSError):
                await reader.stop()

    async def stop(self) -> None:
        await self._appender.stop()
        await self._disconnect_admin()
        await self._disconnect_reader()

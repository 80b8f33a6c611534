"""The work topics: where offers go, where their partitions end, and how far the runners of a queue have read."""

import asyncio
from itertools import count

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.kafka.connect import REQUEST_TIMEOUT_MS
from processors.control.appender import Appended, Appender, Unknown
from processors.control.log_access import bounds


def runner_group(settings: Settings, queue: str) -> str:
    """The consumer group of a queue's runners."""
    return f"{settings.prefix}-runner-{queue}"


class Work:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._appender = Appender(settings)
        self._turn = count()
        self._admin: AIOKafkaAdminClient | None = None

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
        partitions = [TopicPartition(self._settings.topic(f"work.{queue}"), one) for one in range(self._partitions(queue))]
        return {place.partition: end for place, (_, end) in (await bounds(self._settings, partitions)).items()}

    async def passed(self, queue: str) -> dict[int, int] | None:
        """Partition -> the offset up to which the queue's runners have taken everything, or retention has. None: not known now."""
        if queue not in self._settings.queues:
            return None
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                admin = await self._connected()
                offsets = await admin.list_consumer_group_offsets(runner_group(self._settings, queue))
        except (KafkaError, OSError, TimeoutError):
            await self.disconnect()
            return None
        topic = self._settings.topic(f"work.{queue}")
        committed = {partition.partition: place.offset for partition, place in offsets.items() if partition.topic == topic}
        return {one: max(0, committed.get(one, 0)) for one in range(self._partitions(queue))}

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
            await admin.start()
            self._admin = admin
        return self._admin

    async def disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            try:
                await admin.close()
            except (KafkaError, OSError):
                pass

    async def stop(self) -> None:
        await self._appender.stop()
        await self.disconnect()

"""Reads and writes the first records of partitions: what `opening` needs of Kafka."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, RecordTooLargeError

from ledger.config import Settings
from ledger.core.refusal import Conflict, Unavailable
from ledger.kafka.connect import LONGEST_POLL_MS, REQUEST_TIMEOUT_MS, bounds_of, new_producer, running, unavailable
from ledger.kafka.lasting_producer import LastingProducer

DEADLINE: Final = 10.0  # seconds
CLOSING: Final = 2.0
FETCH: Final = 64 * 1024  # of each partition: the first record alone is of interest, and there may be a thousand partitions


class FirstRecords:
    """A consumer for the time of an `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = AsyncExitStack()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=LONGEST_POLL_MS,
            max_partition_fetch_bytes=FETCH,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._open.enter_async_context(running(self._consumer))
        except (KafkaError, OSError) as error:
            raise unavailable(self._settings.kafka.bootstrap, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def read(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], bytes | None]:
        """The record at offset 0 of each (log, partition), None where there is none yet.

        Raises `Conflict` if a partition had records and does not hold its first any more; `Unavailable`.
        """
        topics = {TopicPartition(self._settings.topic(log), number): (log, number) for log, number in places}
        try:
            async with asyncio.timeout(DEADLINE):
                bounds = await bounds_of(self._consumer, list(topics))
                _refuse_lost_beginnings({one: start for one, (start, _) in bounds.items()})
                records = await self._first_of([one for one, (_, end) in bounds.items() if end > 0])
        except RecordTooLargeError as error:
            raise Conflict(f"a first record is larger than {FETCH} bytes, so it is not the opening of a log: {error}") from error
        except TimeoutError as error:
            bootstrap = self._settings.kafka.bootstrap
            raise Unavailable(
                f"{bootstrap} did not give the first records within {DEADLINE:g} s: see whether all brokers are up"
            ) from error
        except (KafkaError, OSError) as error:
            raise unavailable(self._settings.kafka.bootstrap, error) from error
        return {place: records.get(topic) for topic, place in topics.items()}

    async def _first_of(self, waiting: list[TopicPartition]) -> dict[TopicPartition, bytes]:
        if not waiting:
            return {}
        found: dict[TopicPartition, bytes] = {}
        self._consumer.assign(waiting)
        for topic in waiting:
            self._consumer.seek(topic, 0)
        while len(found) < len(waiting):
            missing = [topic for topic in waiting if topic not in found]
            for topic, records in (await self._consumer.getmany(*missing, timeout_ms=500, max_records=1)).items():
                found[topic] = records[0].value or b""
        self._consumer.unsubscribe()
        return found


def _refuse_lost_beginnings(starts: Mapping[TopicPartition, int]) -> None:
    for topic, start in starts.items():
        if start > 0:
            raise Conflict(
                f"{topic.topic}[{topic.partition}] begins at offset {start}: its first commits were deleted, and a log is kept for ever; "
                "restore the topic from a copy, or set another `prefix` and run `jobledger topics apply` for a new log"
            )


async def send_first(settings: Settings, records: Mapping[tuple[str, int], bytes]) -> None:
    """Append a record to each (log, partition), durably. Raises `Unavailable`; it is harmless then to do it again."""
    if not records:
        return
    lasting = LastingProducer(lambda: new_producer(settings.kafka.bootstrap), closing=CLOSING)
    try:
        async with asyncio.timeout(DEADLINE):
            producer = await lasting.started(DEADLINE)
            acks = [await producer.send(settings.topic(log), record, partition=partition) for (log, partition), record in records.items()]
            await asyncio.gather(*acks)
    except TimeoutError as error:
        raise Unavailable(
            f"{settings.kafka.bootstrap} did not acknowledge the opening of the log within {DEADLINE:g} s: see whether "
            "kafka.min_insync_replicas brokers are up, then run it again"
        ) from error
    except (KafkaError, OSError) as error:
        raise unavailable(settings.kafka.bootstrap, error) from error
    finally:
        await lasting.close()

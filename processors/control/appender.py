"""Appends to one topic's partition, and says what is known about the outcome. Replaces its producer after a produce error."""

import asyncio
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.kafka.connect import new_producer

DEADLINE = 5.0  # seconds; after it the outcome of a send is unknown


@dataclass(frozen=True, slots=True)
class Appended:
    offset: int
    appended_ms: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The record may be there, may come later, or never."""

    why: str


class Appender:
    """Owns a producer. One refused record would make every later send of it to that partition fail, so it is replaced then."""

    def __init__(self, settings: Settings, *, linger_ms: int = 0) -> None:
        self._bootstrap = settings.kafka.bootstrap
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def append(
        self, topic: str, partition: int, record: bytes | None, *, key: bytes | None = None, headers: list[tuple[str, bytes]] | None = None
    ) -> Appended | Unknown:
        """Send and wait for the ack, at most `DEADLINE` seconds."""
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                producer = await self._started()
                done = await producer.send_and_wait(topic, record, key=key, partition=partition, headers=headers or [])
                return Appended(done.offset, done.timestamp)
        except TimeoutError:
            return Unknown(f"no ack of {topic}[{partition}] within {DEADLINE:g} s")
        except (KafkaError, OSError) as error:
            await self._replace(producer)
            return Unknown(f"{type(error).__name__} on {topic}[{partition}]: {error}")

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = new_producer(self._bootstrap, linger_ms=self._linger_ms)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _replace(self, broken: AIOKafkaProducer | None) -> None:
        if broken is not None and self._producer is broken:
            self._producer = None
            await _stop(broken)

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """A producer with a stuck batch does not stop by itself."""
    try:
        async with asyncio.timeout(2.0):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError):
        pass

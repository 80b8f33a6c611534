"""Appends to one topic's partition, and says what is known about the outcome."""

import asyncio
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.kafka.connect import new_producer
from ledger.kafka.lasting_producer import LastingProducer

DEADLINE: Final = 5.0  # seconds; after it the outcome of a send is unknown
CLOSING: Final = 2.0


@dataclass(frozen=True, slots=True)
class Appended:
    offset: int
    appended_ms: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The record may be there, may come later, or never."""

    why: str


class Appender:
    """Owns a producer."""

    def __init__(self, settings: Settings) -> None:
        bootstrap = settings.kafka.bootstrap
        self._lasting = LastingProducer(lambda: new_producer(bootstrap), closing=CLOSING)

    async def append(
        self, topic: str, partition: int, record: bytes | None, *, key: bytes | None = None, headers: list[tuple[str, bytes]] | None = None
    ) -> Appended | Unknown:
        """Send and wait for the ack, at most `DEADLINE` seconds."""
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                producer = self._lasting.current or await self._lasting.started(DEADLINE)
                done = await producer.send_and_wait(topic, record, key=key, partition=partition, headers=headers or [])
                return Appended(done.offset, done.timestamp)
        except TimeoutError:
            return Unknown(f"no ack of {topic}[{partition}] within {DEADLINE:g} s")
        except (KafkaError, OSError) as error:
            await self._lasting.replace(producer)
            return Unknown(f"{type(error).__name__} on {topic}[{partition}]: {error}")

    async def stop(self) -> None:
        await self._lasting.close()

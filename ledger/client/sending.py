"""The way into Kafka: each send has an end, and a broker that is away is told in time."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata

from ledger.client.belonging import Belonging
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka.connect import new_producer, no_topic, unavailable
from ledger.kafka.lasting_producer import LastingProducer
from ledger.spread import spread

PATIENCE: Final = 8.0  # seconds until a broker that does not take a record counts as away
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
CLOSING: Final = 5.0

Ack = asyncio.Future[RecordMetadata]
NewProducer = Callable[[str, float], AIOKafkaProducer]  # an address, and the seconds after which a request ends


def _producer(bootstrap: str, patience: float) -> AIOKafkaProducer:
    return new_producer(bootstrap, request_timeout_ms=round(patience * 1000))


class Sender:
    def __init__(
        self, bootstrap: str, *, patience: float = PATIENCE, new: NewProducer = _producer, belonging: Belonging | None = None
    ) -> None:
        self.bootstrap = bootstrap
        self.belonging = belonging or Belonging()
        self.patience = patience
        self._lasting = LastingProducer(lambda: new(bootstrap, patience), closing=CLOSING)

    async def post(self, topic: str, partition: int, record: bytes) -> Ack:
        """Hand a record to the producer; the future is its ack, which may never come. Raises `Unavailable`, `Misconfigured`,
        `Refused` after the end."""
        deadline = asyncio.get_running_loop().time() + self.patience
        pause = FIRST_PAUSE
        while True:
            self.belonging.check()
            producer: AIOKafkaProducer | None = None
            try:
                producer = self._lasting.current or await self._lasting.started(deadline - asyncio.get_running_loop().time())
                ack: Ack = await producer.send(topic, record, partition=partition)  # which ends by itself within `patience`
                return ack
            except UnknownTopicOrPartitionError as error:
                raise self._no_topic(topic) from error
            except AssertionError as error:  # aiokafka's way to say that there is no such partition
                raise Misconfigured(
                    f"topic {topic} at {self.bootstrap} has no partition {partition}: correct `partitions` in the settings"
                ) from error
            except (KafkaError, OSError) as error:
                await self.replace(producer)
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise unavailable(self.bootstrap, error) from error
                await asyncio.sleep(spread(pause))
                pause = min(LONGEST_PAUSE, pause * 2)

    async def send(self, topic: str, partition: int, record: bytes) -> None:
        """Returns once the record stands there; maybe it stands there twice. Raises `Unavailable` if no ack comes for a while."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            ack = await self.post(topic, partition, record)
            producer = self._lasting.current
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(ack)
                    return
            except TimeoutError as error:
                await self.replace(producer)
                raise unavailable(self.bootstrap, error) from error
            except (KafkaError, OSError) as error:
                await self.replace(producer)
                if asyncio.get_running_loop().time() > deadline:
                    raise unavailable(self.bootstrap, error) from error
            except asyncio.CancelledError:
                if not ack.cancelled():
                    raise  # we are, not the ack of a producer that was replaced meanwhile

    async def replace(self, producer: AIOKafkaProducer | None) -> None:
        """After a produce error the partition of an idempotent producer is poisoned: the next send gets a new one."""
        await self._lasting.replace(producer)

    @property
    def producer(self) -> AIOKafkaProducer | None:
        return self._lasting.current

    def away(self) -> Unavailable:
        """What to say when a record was handed over and no ack comes."""
        return unavailable(self.bootstrap, TimeoutError(f"no ack within {self.patience:g} s"))

    def _no_topic(self, topic: str) -> Exception:
        return no_topic(self.bootstrap, topic)

    async def close(self) -> None:
        """Sends what was handed over, as far as the time goes."""
        await self._lasting.close(self.patience)

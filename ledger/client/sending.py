"""The way into Kafka: one idempotent producer, started when needed, replaced after it was refused something; each send has an end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata

from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka.connect import new_producer, unavailable

log = structlog.get_logger(__name__)
PATIENCE: Final = 8.0  # seconds until a broker that does not take a record counts as away
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
CLOSING: Final = 5.0

Ack = asyncio.Future[RecordMetadata]
NewProducer = Callable[[str, float], AIOKafkaProducer]  # an address, and the seconds after which a request ends


def _producer(bootstrap: str, patience: float) -> AIOKafkaProducer:
    return new_producer(bootstrap, request_timeout_ms=round(patience * 1000))


class Sender:
    def __init__(self, bootstrap: str, *, patience: float = PATIENCE, new: NewProducer = _producer) -> None:
        self.bootstrap = bootstrap
        self.patience = patience
        self._new = new
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def post(self, topic: str, partition: int, record: bytes) -> Ack:
        """Hand a record to the producer; the future is its ack, which may never come. Raises `Unavailable`, `Misconfigured`."""
        deadline = asyncio.get_running_loop().time() + self.patience
        pause = FIRST_PAUSE
        while True:
            producer = self._producer or await self._started(deadline)
            try:
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
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def send(self, topic: str, partition: int, record: bytes) -> None:
        """Returns once the record stands there; maybe it stands there twice. Raises `Unavailable` if no ack comes for a while."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            ack = await self.post(topic, partition, record)
            producer = self._producer
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
        if producer is not None and self._producer is producer:
            self._producer = None
            await self._stop(producer)

    @property
    def producer(self) -> AIOKafkaProducer | None:
        return self._producer

    def away(self) -> Unavailable:
        """What to say when a record was handed over and no ack comes."""
        return unavailable(self.bootstrap, TimeoutError(f"no ack within {self.patience:g} s"))

    async def _started(self, deadline: float) -> AIOKafkaProducer:
        async with self._starting:
            pause = FIRST_PAUSE
            while self._producer is None:
                producer = self._new(self.bootstrap, self.patience)
                try:
                    await self._start(producer, deadline)
                    self._producer = producer
                except (KafkaError, OSError, TimeoutError) as error:
                    if asyncio.get_running_loop().time() + pause > deadline:
                        raise unavailable(self.bootstrap, error) from error
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, pause * 2)
            return self._producer

    async def _start(self, producer: AIOKafkaProducer, deadline: float) -> None:
        """A start that is cut short leaves its connection open, so it is left to its own end, which the producer bounds."""
        starting = asyncio.create_task(producer.start())
        try:
            done, _ = await asyncio.wait({starting}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
            if not done:
                raise TimeoutError
            starting.result()
        except BaseException:
            leaving = asyncio.create_task(self._leave(producer, starting))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            raise

    async def _leave(self, producer: AIOKafkaProducer, starting: asyncio.Task[None]) -> None:
        await asyncio.gather(starting, return_exceptions=True)
        await self._stop(producer)

    def _no_topic(self, topic: str) -> Exception:
        return Misconfigured(f"{self.bootstrap} has no topic {topic}: run `jobledger topics apply`, or correct `prefix`")

    async def close(self) -> None:
        """Sends what was handed over, as far as the time goes."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._stop(producer)
        if self._leaving:
            await asyncio.wait(set(self._leaving), timeout=self.patience)

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(CLOSING):
                await producer.stop()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("a producer ended with records that nobody took", action="producer.left", error=repr(error))
            await _cut(producer)


async def _cut(producer: AIOKafkaProducer) -> None:
    """End what `stop` waits for in vain: the task that sends, which would go on for ever, and the connections."""
    with suppress(KafkaError, OSError, TimeoutError, AttributeError):
        async with asyncio.timeout(1):
            await producer._sender.close()
            await producer.client.close()

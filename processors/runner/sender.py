"""The way of reports into the log's commands: sent until they stand there."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.kafka.connect import new_producer
from ledger.kafka.lasting_producer import LastingProducer
from ledger.spread import spread
from processors.broker_clock import BrokerClock

log = structlog.get_logger(__name__)
DEADLINE: Final = 10.0  # seconds for an ack; what is not acknowledged by then is not known, and sent again
LONGEST_PAUSE: Final = 2.0
STOP_DEADLINE: Final = 1.5

NewProducer = Callable[[str], AIOKafkaProducer]  # of a broker's address


class Sender(Protocol):
    async def send(self, partition: int, record: bytes) -> None:
        """Returns once the record stands in this partition of `commands`, however long that takes; maybe it stands there twice."""


class KafkaSender:
    def __init__(
        self, settings: Settings, clock: BrokerClock, *, deadline: float = DEADLINE, producers: NewProducer = new_producer
    ) -> None:
        bootstrap = settings.kafka.bootstrap
        self._lasting = LastingProducer(lambda: producers(bootstrap), closing=STOP_DEADLINE)
        self._topic = settings.topic("commands")
        self._clock = clock
        self._deadline = deadline

    async def send(self, partition: int, record: bytes) -> None:
        pause = 0.05
        while not await self._sent(partition, record):
            await asyncio.sleep(spread(pause))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _sent(self, partition: int, record: bytes) -> bool:
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._deadline):
                producer = self._lasting.current or await self._lasting.started(self._deadline)
                acknowledged = await producer.send(self._topic, record, partition=partition)
            done, _ = await asyncio.wait([acknowledged], timeout=self._deadline)
            if not done:
                raise TimeoutError
            if acknowledged.cancelled():  # its producer was replaced meanwhile
                return False
            metadata = acknowledged.result()
        except TimeoutError:
            log.warning("a report was not acknowledged in time; sent again", action="reports.unknown", partition=partition)
            return False
        except (KafkaError, OSError) as error:
            log.warning(
                "a report was refused; sent again by a new producer", action="reports.refused", partition=partition, error=repr(error)
            )
            await self._lasting.replace(producer)
            return False
        self._clock.observe(metadata.timestamp)
        return True

    async def stop(self) -> None:
        await self._lasting.close()

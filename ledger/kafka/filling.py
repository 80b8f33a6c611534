"""Fills a partition with records that are known beforehand, in batches, and goes on where a former attempt ended.

Nobody else may write there meanwhile: an acknowledgement at another offset than the expected one ends it. A batch is one record of the
broker's own log, so all of it is there or nothing.
"""

import asyncio
from types import TracebackType
from typing import Final, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from ledger.config import Settings
from ledger.core.refusal import Conflict, Unavailable
from ledger.kafka.connect import new_producer, unavailable
from ledger.kafka.log_reader import LogReader

PATIENCE: Final = 30.0  # seconds for the ack of a batch


class Sent(NamedTuple):
    """A batch under way."""

    future: "asyncio.Future[object]"
    offset: int


class Filling:
    """`name`: a topic, as the settings name it. The first `have` records stand there already."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, name: str, partition: int, have: int) -> None:
        self._settings = settings
        self._producer = producer
        self._name, self._partition, self._have = name, partition, have
        self._builder: BatchBuilder = producer.create_batch()
        self._sent: Sent | None = None
        self._taken = 0
        self._next = have  # the offset that the next batch gets
        self.appended = 0

    async def add(self, record: bytes) -> None:
        """The next record. What stands there already is not written again; the last of it has to be the same. Raises `Conflict`,
        `Unavailable`."""
        self._taken += 1
        if self._taken <= self._have:
            if self._taken == self._have:
                await self._compare(record)
            return
        self.appended += 1
        if self._builder.append(timestamp=None, key=None, value=record) is None:
            await self._send()
            self._builder.append(timestamp=None, key=None, value=record)

    async def finish(self) -> None:
        """All of it is on the brokers' disks. Raises `Conflict` if more stands there than was added."""
        if self._taken < self._have:
            raise Conflict(
                f"{self._where} holds {self._have} records, {self._have - self._taken} more than there are to import: {_GONE_ON}"
            )
        await self._send()
        await self._acked()

    async def _compare(self, record: bytes) -> None:
        async with LogReader(self._settings, self._name, self._partition) as reader:
            found = await reader.at(self._have - 1)
        if found is None or (found.value or b"") != record:
            raise Conflict(f"{self._where} holds another record at offset {self._have - 1} than what is to be imported: {_GONE_ON}")

    async def _send(self) -> None:
        count = self._builder.record_count()
        if not count:
            return
        await self._acked()
        try:
            future = await self._producer.send_batch(self._builder, self._settings.topic(self._name), partition=self._partition)
        except (KafkaError, OSError) as error:
            raise unavailable(self._settings.kafka.bootstrap, error) from error
        self._sent, self._next = Sent(future, self._next), self._next + count
        self._builder = self._producer.create_batch()

    async def _acked(self) -> None:
        sent, self._sent = self._sent, None
        if sent is None:
            return
        bootstrap = self._settings.kafka.bootstrap
        try:
            async with asyncio.timeout(PATIENCE):
                done = await sent.future
        except TimeoutError as error:
            raise Unavailable(f"{bootstrap} did not acknowledge within {PATIENCE:g} s; run it again: it goes on where it was") from error
        except (KafkaError, OSError) as error:
            raise unavailable(bootstrap, error) from error
        offset = getattr(done, "offset", None)
        if offset != sent.offset:
            raise Conflict(f"{self._where} gave offset {offset} where {sent.offset} was next: another program writes there. {_ANEW}")

    @property
    def _where(self) -> str:
        return f"{self._settings.topic(self._name)}[{self._partition}]"


class FillingProducer:
    """A producer for the time of an `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = new_producer(settings.kafka.bootstrap)

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise unavailable(self._settings.kafka.bootstrap, error) from error
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._producer.stop()

    def filling(self, name: str, partition: int, have: int) -> Filling:
        return Filling(self._settings, self._producer, name, partition, have)


_ANEW: Final = "Begin anew under another `prefix`; the export is as good as before"
_GONE_ON: Final = (
    "this is another log, or it has gone on already. To import beside it: set another `prefix`, and do not run `topics apply` before. "
    f"{_ANEW}"
)

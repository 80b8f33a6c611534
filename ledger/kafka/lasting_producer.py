"""A producer that lasts: started when it is first needed, replaced after a produce error, never cut short in its start or its stop.

One refused record poisons its partition of an idempotent producer: every later send would fail too, so the next send gets a new one. Who
sends decides what an outcome means and when to send again; here is only whose producer it is.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

log = structlog.get_logger(__name__)
CUTTING: Final = 1.0  # seconds
LONGEST_START: Final = 10.0

New = Callable[[], AIOKafkaProducer]  # not started


class LastingProducer:
    """`closing`: seconds in which a producer that is stopped may still send what it holds. `longest_start`: so many seconds after its begin
    a start counts as stuck, and another is begun beside it.

    To send: `producer = lasting.current or await lasting.started(patience)`, and after an error `await lasting.replace(producer)`.
    """

    def __init__(self, new: New, *, closing: float, longest_start: float = LONGEST_START) -> None:
        self.current: AIOKafkaProducer | None = None
        self._new = new
        self._closing = closing
        self._longest_start = longest_start
        self._starting: asyncio.Task[AIOKafkaProducer] | None = None  # all who want to send wait for the same
        self._started_at = 0.0
        self._starts: set[asyncio.Task[AIOKafkaProducer]] = set()  # it, and those that are stuck
        self._stops: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def started(self, patience: float) -> AIOKafkaProducer:
        """Raises `KafkaError` or `OSError`, and `TimeoutError` after `patience` seconds. The start goes on then: one that is cut short
        leaves its connection open."""
        if self.current is not None:
            return self.current
        if self._is_closed:
            raise ProducerClosed
        if self._starting is None or time.monotonic() - self._started_at > self._longest_start:
            self._starting, self._started_at = asyncio.create_task(self._start()), time.monotonic()
            self._starts.add(self._starting)
            self._starting.add_done_callback(self._has_ended)
        starting = self._starting
        done, _ = await asyncio.wait({starting}, timeout=max(0.0, patience))
        if not done:
            raise TimeoutError(f"a producer did not start within {patience:g} s")
        if starting.cancelled():
            raise ProducerClosed
        return starting.result()

    async def _start(self) -> AIOKafkaProducer:
        producer = self._new()
        try:
            await producer.start()
        except BaseException:
            await self._stop(producer)
            raise
        if self.current is None and not self._is_closed:
            self.current = producer
            return producer
        await self._stop(producer)  # it came too late
        if self.current is None:
            raise ProducerClosed
        return self.current

    def _has_ended(self, starting: asyncio.Task[AIOKafkaProducer]) -> None:
        self._starts.discard(starting)
        if self._starting is starting:
            self._starting = None
        if not starting.cancelled():
            starting.exception()  # who waited was told; maybe nobody did

    async def replace(self, producer: AIOKafkaProducer | None) -> None:
        """After a produce error of this one. Several may say so of the same. It is stopped also where who says so waits no longer."""
        if producer is not None and self.current is producer:
            self.current = None
            stopping = asyncio.create_task(self._stop(producer))
            self._stops.add(stopping)
            stopping.add_done_callback(self._stops.discard)
            await asyncio.shield(stopping)

    async def close(self, patience: float = CUTTING) -> None:
        """Sends what was handed over, as far as the time goes. `patience` is for starts under way; then they are cut short after all."""
        self._is_closed = True
        await self.replace(self.current)
        for wait in (patience, self._closing):
            if self._starts:
                await asyncio.wait(set(self._starts), timeout=wait)
            for starting in self._starts:
                starting.cancel()
        if self._stops:
            await asyncio.wait(set(self._stops))  # each ends by itself

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(self._closing):
                await producer.stop()
        except (KafkaError, OSError) as error:
            log.warning("a producer ended with records that nobody took", action="producer.left", error=repr(error))
            await _cut(producer)


async def _cut(producer: AIOKafkaProducer) -> None:
    """End what `stop` waits for in vain: the task that sends, which would go on for ever, and the connections. Each has its own time: the
    task first waits for what a broker that does not answer was asked."""
    with suppress(KafkaError, OSError, AttributeError):
        async with asyncio.timeout(CUTTING):
            await producer._sender.close()
    with suppress(KafkaError, OSError):
        async with asyncio.timeout(CUTTING):
            await producer.client.close()

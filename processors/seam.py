"""The seam to Faust: everything that touches it, and all that must be known about it, is here.

Faust dispatches; it is never the record of truth. It acks what fails, skips what it did not process and hangs when it crashes (shared
notes on faust-streaming 0.15.3). Hence: agents hand a record over and cannot raise; where to read on comes from the log; a bug ends the
process and the supervisor starts it again.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import faust
import structlog
import uvloop
from faust import streams
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from mode.services import WaitResults
from mode.utils.futures import maybe_async
from msgspec import Struct

from ledger.config import Settings
from ledger.kafka.connect import fetch_promptly, known_end
from processors import forks
from processors.crash import crash, or_crash

log = structlog.get_logger(__name__)
TOGETHER = 100  # records of a partition that Faust takes for one: it yields to the loop, checks and acks once for all of them
TOGETHER_BYTES = 32 * 1024  # of their values; what is larger has work enough for a turn of the loop
BUFFERED = 200  # of such, until Faust pauses their partition


class Record(Struct, frozen=True, gc=False):
    """A Kafka record as Faust delivered it: a hint. `appended_ms` is the broker's append time."""

    topic: str
    partition: int
    offset: int
    appended_ms: int
    value: bytes | None


Take = Callable[[Record], None]


class Positions(Protocol):
    """Who knows where to read on: asked at each assignment. Both return at once; what takes time is a task of their own."""

    async def assigned(self, partitions: set[tuple[str, int]], generation: int) -> None:
        """These are read now. Called again, concurrently, whenever Faust has lost its place."""

    async def revoked(self, partitions: set[tuple[str, int]]) -> None:
        """These are no longer this process's."""


class _InLoop(driver.AIOKafkaConsumerThread):
    """Faust's consumer without the thread it is made for: it lives in the loop of its app (docs/decisions/0009). A record so comes half a
    millisecond sooner, and who blocks the loop for longer than the session loses its partitions to those who can serve them."""

    async def start(self) -> None:
        self._thread_started.set()
        self._thread_running = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(self._serve())
        self._serving.add_done_callback(_crash_if_failed)
        await self._thread_running
        self._thread_running = None

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """The tasks of this loop are not the consumer's alone."""


def _crash_if_failed(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        crash(error)


class _Together(bytes):
    """Records of one partition in a row, as the value of what Faust takes for a message at the offset of the last of them."""

    records: Sequence[Any]  # Any: aiokafka's


def _portions(records: Sequence[Any]) -> Iterator[list[Any]]:
    """In their order, as many in each list as make a message."""
    some: list[Any] = []
    size = 0
    for one in records:
        if some and (len(some) == TOGETHER or size >= TOGETHER_BYTES):
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one.value or b"")
    if some:
        yield some


class _SeamConsumer(driver.Consumer):
    """Asks `positions` (an attribute of the app) for the place to read on, instead of trusting the group's committed offsets."""

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        found = await super()._getmany(active_partitions, timeout)
        for tp, records in found.items():
            if records:
                self._begin_anew(tp, records[0].offset)
        return {tp: list(_portions(records)) for tp, records in found.items()}

    def _begin_anew(self, tp: Any, first: int) -> None:
        """Forget how far a topic was read that ends before: it was made anew, and Faust would drop all of it up to there without a word."""
        read, end = self._read_offset[tp], known_end(self, tp)
        if read is not None and end is not None and first <= end < read:
            log.error("a topic was made anew and is read from its start", action="topic.anew", topic=tp.topic, partition=tp.partition)
            self._read_offset[tp] = self._committed_offset[tp] = None

    def _to_message(self, tp: Any, records: Any) -> Any:
        message = super()._to_message(tp, records[-1])
        message.value = _Together()
        message.value.records = records
        return message

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Nothing is missing where many came as one."""

    def _new_offset(self, tp: Any) -> int | None:
        """Behind what was handed over last: the records of a partition come in order and to one agent, so all before them were too."""
        acked = self._acked[tp]
        if not acked:
            return None
        last = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return last + 1

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _InLoop(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        fetch_promptly(self._thread._ensure_consumer())
        await super().perform_seek()
        positions: Positions | None = getattr(self.app, "positions", None)
        if positions is not None:
            partitions = {(tp.topic, tp.partition) for tp in self.assignment()}
            await positions.assigned(partitions, self.app.consumer_generation_id)

    async def on_partitions_revoked(self, revoked: Any) -> None:  # Any: Faust's set of its own TP
        positions: Positions | None = getattr(self.app, "positions", None)
        if positions is not None:
            await positions.revoked({(tp.topic, tp.partition) for tp in revoked})
        await super().on_partitions_revoked(revoked)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Faust hands each record over under four tasks, in case the stream is full. It seldom is: try without them first."""
        if len(coros) != 2 or timeout is not None or not all(hasattr(coro, "send") for coro in coros):
            return await super().wait_first(*coros, **({} if timeout is None else {"timeout": timeout}))
        handing_over, suspended = coros
        try:
            waits_for = handing_over.send(None)
        except StopIteration as done:
            suspended.close()
            return WaitResults([handing_over], [done.value], False)
        return await super().wait_first(_Resumed(handing_over, waits_for), suspended)

    async def sleep(self, n: Any) -> None:
        await (asyncio.sleep(0) if n == 0 else super().sleep(n))


class _Resumed:
    """A coroutine that was begun and waits for a future: awaited, it goes on from there."""

    def __init__(self, coroutine: Any, waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        yield self._waits_for
        return (yield from self._coroutine.__await__())


class _NoTables(TableManager):
    """Faust waits a second for tables to be declared, and joins the group only then. Here are none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _Transport(driver.Transport):
    Consumer = _SeamConsumer


class App(faust.App):
    """Knows who knows the positions. `early`: begun before the group is joined, which may take as long as a dead member's session."""

    positions: Positions | None = None
    early: Callable[[], Coroutine[Any, Any, None]] | None = None

    def on_init_dependencies(self) -> Iterable[Any]:  # Any: Faust's services
        """Without the sensor that times each record: nobody asks it."""
        dependencies = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return dependencies

    def _create_directories(self) -> None:
        """None: they are for tables."""

    def on_rebalance_start(self) -> None:
        """Faust warns at its return and its end of a state of sensors that is empty, and hands it to the sensors alone."""
        super().on_rebalance_start()
        self._rebalancing_sensor_state = self._rebalancing_sensor_state or {"sensors": "none"}

    async def on_first_start(self) -> None:
        await super().on_first_start()
        if self.early is not None:
            self.add_future(or_crash(self.early)())


def build_app(
    name: str,
    settings: Settings,
    agents: Mapping[str, Take],
    *,
    positions: Positions | None = None,
    early: Callable[[], Coroutine[Any, Any, None]] | None = None,
    background: Callable[[], Coroutine[Any, Any, None]] | None = None,
    on_stopping: Callable[[], Awaitable[None]] | None = None,
) -> App:
    """A Faust app and consumer group of this name. `agents`: full topic name -> who takes its records; a taker neither blocks nor raises.
    `early` runs before the group is joined, `background` beside it; both end the process if they end with an error. `on_stopping` is
    awaited before Faust stops."""
    if getattr(streams, "_CStreamIterator", None) is None:
        raise RuntimeError("faust-streaming without its compiled streams acks records it never processed: install a wheel")
    app = App(
        f"{settings.prefix}-{name}",
        broker=f"kafka://{settings.kafka.bootstrap}",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.kafka.session_timeout,
        broker_heartbeat_interval=settings.kafka.session_timeout / 3,
        broker_rebalance_timeout=30.0,
        broker_request_timeout=max(10.0, settings.kafka.session_timeout * 2),
        broker_commit_interval=0.5,
        broker_max_poll_records=2000,
        stream_buffer_maxsize=BUFFERED,
        producer_request_timeout=10.0,
        worker_redirect_stdouts=False,
        TableManager=_NoTables,
    )
    app.transport = _Transport(app.conf.broker_consumer, app)
    app.positions = positions
    app.early = early
    for topic, take in agents.items():
        source = app.topic(topic, value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw")
        app.agent(source, name=f"take-{topic}")(_agent(take))
    if background is not None:
        app.task(or_crash(background))
    if on_stopping is not None:
        stopping = on_stopping

        async def before_shutdown(*_: object, **__: object) -> None:
            await or_crash(stopping)()

        app.on_before_shutdown.connect(before_shutdown, weak=False)
    return app


def _agent(take: Take) -> Callable[[Any], Awaitable[None]]:
    async def agent(stream: Any) -> None:  # Any: Faust's stream
        async for event in stream.events():
            try:
                for one in event.message.value.records:
                    take(Record(one.topic, one.partition, one.offset, one.timestamp, one.value))
            except BaseException as error:
                crash(error)

    return agent


async def seek(app: App, topic: str, partition: int, offset: int) -> None:
    """Read on at `offset`. Does nothing if the partition was revoked meanwhile."""
    tp = faust.types.TP(topic, partition)
    if tp in app.consumer.assignment():
        await app.consumer.seek_wait({tp: offset})


def end_of(app: App, topic: str, partition: int) -> int | None:
    """The offset behind its last record when it was last asked for; None if that is not known."""
    return known_end(app.consumer, faust.types.TP(topic, partition))


def has_crashed(app: App) -> bool:
    """Faust gave up, which leaves a process that does nothing."""
    return bool(app.crashed)


def run_worker(app: App, *, loglevel: str = "WARNING") -> None:
    """Run until SIGTERM or SIGINT; does not return."""
    uvloop.install()
    forks.set_free()
    sys.setswitchinterval(0.001)  # code of users in threads shall not make the loop wait 5 ms for each turn
    gc.enable()  # who starts a process may have done without it so far
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # a large state of frozen values without cycles: the collector finds nothing, and looks often
    app.on_worker_init.send()  # only Faust's own command line does so by itself; the watchdog waits for it
    worker = faust.Worker(app, loglevel=loglevel, loop=asyncio.new_event_loop(), redirect_stdouts=False, quiet=True, override_logging=False)
    worker.spinner = None  # it writes to stdout between our lines, also where that is a file
    worker.execute_from_commandline()

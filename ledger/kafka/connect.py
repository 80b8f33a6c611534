"""Kafka connections with our settings in one place: durable, idempotent, compressed, bounded in time."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from ledger.core.refusal import Misconfigured, Unavailable
from ledger.core.wire import LARGEST_RECORD

REQUEST_TIMEOUT_MS = 10_000
LONGEST_POLL_MS = 50
SMALL = 1024  # bytes
ENDING = 1.0  # seconds
logging.getLogger("aiokafka").setLevel(logging.WARNING)  # at DEBUG, where Faust leaves it, it costs 12 % of the CPU


def _say_it_is_lost(send: Callable[..., Any]) -> Callable[..., Any]:  # Any: aiokafka's own
    """A connection that its broker has just closed refuses a write: asyncio's by an OSError, for which aiokafka opens another, uvloop's by
    a RuntimeError, of which a background task of a consumer ends, and with it the process and what runs in it (aiokafka issue 1038)."""

    @functools.wraps(send)
    def sending(connection: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return send(connection, *args, **kwargs)
        except RuntimeError as error:
            if isinstance(error, KafkaError) or not connection._writer.is_closing():
                raise
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"the broker at {connection.host}:{connection.port} has closed the connection") from error

    return sending


AIOKafkaConnection.send = _say_it_is_lost(AIOKafkaConnection.send)  # of every client: those that Faust makes too


def new_producer(bootstrap: str, *, linger_ms: int = 0, request_timeout_ms: int = REQUEST_TIMEOUT_MS) -> AIOKafkaProducer:
    """An idempotent producer, not started. Its sends never expire by themselves: put a deadline around them, and take a send that
    ran out as *unknown*. After another produce error replace the producer: one refused record poisons its partition."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        linger_ms=linger_ms,
        max_batch_size=LARGEST_RECORD,
        max_request_size=LARGEST_RECORD + 64 * 1024,
        request_timeout_ms=request_timeout_ms,
        metadata_max_age_ms=60_000,
    )
    _leave_small_ones_plain(producer)
    return producer


def _leave_small_ones_plain(producer: AIOKafkaProducer) -> None:
    """Compressing a lone small record saves nobody anything, and costs producer, broker and consumer a millisecond of an idle submit's
    seven (docs/decisions/0015). A batch is compressed or not by the record that opens it."""
    accumulator = producer._message_accumulator
    compressed, add = accumulator._compression_type, accumulator.add_message

    def add_message(tp: Any, key: bytes | None, value: bytes | None, *args: Any, **kwargs: Any) -> Any:  # Any: aiokafka's own
        accumulator._compression_type = compressed if value is not None and len(value) >= SMALL else 0
        return add(tp, key, value, *args, **kwargs)

    accumulator.add_message = add_message


def new_consumer(bootstrap: str, *topics: str, group: str | None = None) -> AIOKafkaConsumer:
    """A consumer that never commits by itself, not started. Without topics: assign and seek by hand (to 0, not "to the beginning", which
    races with the reset of a fresh assignment)."""
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=LONGEST_POLL_MS,
        max_partition_fetch_bytes=4 * LARGEST_RECORD,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        check_crcs=True,
    )


async def bounds_of(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    """Partition -> its first offset, and the one that its next record gets. The consumer was started and has no partitions yet; these are
    paused then. (Of a topic it was not told of aiokafka knows no broker, and sleeps a tenth of a second before it asks for one.)"""
    consumer.assign(places)
    consumer.pause(*places)
    starts = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    return {place: (starts[place], ends[place]) for place in places}


def known_end(consumer: AIOKafkaConsumer, place: TopicPartition) -> int | None:
    """The offset behind a partition's last record, as of the last fetch; None where that is not known, or the partition is not the
    consumer's. It may be Faust's consumer too."""
    end = consumer.highwater(place) if place in consumer.assignment() else None
    return end if isinstance(end, int) else None


def fetch_promptly(consumer: AIOKafkaConsumer) -> None:
    """Keep a started consumer of several partitions from stalling.

    aiokafka waits 0.1 s for its user to take a partition's records, then asks the broker for the *other* partitions, and the first one has
    to wait until that long poll ends: 1.5 s under Faust, seen at every burst. So: be patient with the user, and poll briefly."""
    fetcher = consumer._fetcher
    fetcher._prefetch_backoff = 1.0
    fetcher._fetch_max_wait_ms = LONGEST_POLL_MS


@asynccontextmanager
async def running(client: AIOKafkaConsumer | AIOKafkaAdminClient) -> AsyncIterator[None]:
    """Started, for the time of the block. Neither its start nor its stop is cut short by who waits no longer: that would leave connections
    open and tasks that never end, and aiokafka's stop would swallow the cancellation. What takes long ends by itself."""
    starting = asyncio.create_task(client.start())
    try:
        await asyncio.shield(starting)
        yield
    finally:
        ending = asyncio.create_task(_end(client, starting))
        await asyncio.wait([ending], timeout=ENDING)


async def _end(client: AIOKafkaConsumer | AIOKafkaAdminClient, starting: asyncio.Task[None]) -> None:
    with suppress(KafkaError, OSError):
        await asyncio.wait([starting])
        starting.exception()  # who waited was told; maybe nobody did
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


@asynccontextmanager
async def admin_client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the time of the block. Raises `Unavailable` with the address if no broker answers."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(running(client))
        except (KafkaConnectionError, OSError) as error:
            raise unavailable(bootstrap, error) from error
        yield client


def no_topic(bootstrap: str, topic: str) -> Misconfigured:
    return Misconfigured(f"{bootstrap} has no topic {topic}: run `jobledger topics apply`, or correct `prefix`")


def unavailable(bootstrap: str, error: BaseException) -> Unavailable:
    """What to say when no broker answers."""
    kind = type(error).__name__ if isinstance(error, KafkaError) else str(error)
    return Unavailable(
        f"no Kafka broker answers at {bootstrap} ({kind}): start one (`jobledger stack start`) or set JOBLEDGER_KAFKA__BOOTSTRAP"
    )

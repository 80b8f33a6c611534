"""The consumer group's share of the log: which partitions are ours, told by Kafka; from where we read them, told by SQL.

Nothing is ever committed to Kafka. A partition that was just assigned is paused until its place is known and sought.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from ledger.config import Settings
from ledger.core.refusal import Unavailable
from ledger.core.wire import LARGEST_RECORD
from ledger.kafka.connect import LONGEST_POLL_MS, REQUEST_TIMEOUT_MS, fetch_promptly, known_end, unavailable
from ledger.kafka.log_reader import Record
from projections.folds import PROJECTION
from projections.patches import Source

LOGS: Final = ("registry", "events")
MOST_RECORDS: Final = 32  # folded at once, so that the event loop is not held for more than about 0.1 s


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """`fresh`: sources to be opened and sought. `gone`: sources that are no longer ours; the caller empties both."""

    def __init__(self, settings: Settings, projection: str) -> None:
        self.fresh: set[Source] = set()
        self.gone: set[Source] = set()
        self._settings = settings
        self._topics = {settings.topic(log): log for log in LOGS}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka.bootstrap,
            group_id=f"{settings.prefix}.projections" if projection == PROJECTION else f"{settings.prefix}.projections.{projection}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.kafka.session_timeout * 1000),
            heartbeat_interval_ms=int(settings.kafka.session_timeout * 1000 / 3),
            fetch_max_wait_ms=LONGEST_POLL_MS,
            max_partition_fetch_bytes=4 * LARGEST_RECORD,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def start(self) -> None:
        """Raises `Unavailable`; try again with another one."""
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise unavailable(self._settings.kafka.bootstrap, error) from error
        fetch_promptly(self._consumer)
        self._consumer.subscribe(list(self._topics), listener=self)

    async def stop(self) -> None:
        await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        sources = set(map(self._source, revoked))
        self.fresh -= sources
        self.gone |= sources

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = list(assigned)
        self._consumer.pause(*places)
        self.fresh |= set(map(self._source, places))

    def hold(self, source: Source) -> None:
        """Take nothing from it until it is sought."""
        if self.has(source):
            self._consumer.pause(self._place(source))

    def reopen(self, source: Source) -> None:
        if self.has(source):
            self.hold(source)
            self.fresh.add(source)

    def seek(self, source: Source, offset: int) -> None:
        """Go on at an offset. A source that was taken away meanwhile is left alone."""
        try:
            self._consumer.seek(self._place(source), offset)
            self._consumer.resume(self._place(source))
        except IllegalStateError:
            self.gone.add(source)

    def has(self, source: Source) -> bool:
        return self._place(source) in self._consumer.assignment()

    async def fetch(self) -> Mapping[Source, Sequence[Record]]:
        """Records, within a tenth of a second; none if there are none. Raises `Unavailable`."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=100, max_records=MOST_RECORDS)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"{self._settings.kafka.bootstrap}: {type(error).__name__} {error}") from error
        return {self._source(place): records for place, records in fetched.items()}

    def behind(self, source: Source, next_offset: int) -> int:
        """How many records are there that were not read yet, as far as is known."""
        end = known_end(self._consumer, self._place(source))
        return 0 if end is None else max(0, end - next_offset)

    def _place(self, source: Source) -> TopicPartition:
        return TopicPartition(self._settings.topic(source[0]), source[1])

    def _source(self, place: TopicPartition) -> Source:
        return self._topics[place.topic], place.partition

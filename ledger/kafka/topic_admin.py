"""Looking at topics and creating them, as a broker lets a client do it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NotControllerError, TopicAlreadyExistsError, for_code

from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka.connect import admin_client, unavailable

_COMES_RIGHT: Final = frozenset({7, 41, 89})  # timed out, not the controller, too many at once


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic has to be. `config` holds Kafka's own names and texts."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(slots=True)
class FoundTopic:
    """What the broker says of a topic. `config` is empty while the broker that was asked does not know the topic yet."""

    partitions: int
    replication: set[int]
    has_leaders: bool
    config: dict[str, str] = field(default_factory=dict)


class TopicAdmin:
    """Open for the time of an `async with`; a server that goes away meanwhile leaves it as `Unavailable`."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._connection = admin_client(bootstrap)

    async def __aenter__(self) -> Self:
        self._admin = await self._connection.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        await self._connection.__aexit__(None, None, None)
        if isinstance(error, KafkaError | OSError):
            raise unavailable(self._bootstrap, error) from error

    async def look(self, names: set[str]) -> dict[str, FoundTopic]:
        """Those of the topics that the broker has."""
        # All are listed, not asked for by name: a broker with `auto.create.topics.enable` creates what a client asks for.
        found = {
            topic["topic"]: FoundTopic(
                partitions=len(topic["partitions"]),
                replication={len(partition["replicas"]) for partition in topic["partitions"]},
                has_leaders=topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"]),
            )
            for topic in await self._admin.describe_topics()
            if topic["topic"] in names
        }
        if found:
            wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
            for response in await self._admin.describe_configs(wanted):
                for code, _, _, name, entries in response.resources:
                    if code == 0:
                        found[name].config = {entry[0]: entry[1] for entry in entries}
        return found

    async def create(self, wanted: Sequence[TopicSpec], deadline: float, *, only_ask: bool = False) -> None:
        """Create these, or `only_ask` whether they would be; one that exists by now is left as it is. `deadline` is a reading of the
        monotonic clock. Raises `Misconfigured`, `Unavailable`."""
        while wanted:
            failed = await self._try_to_create(wanted, only_ask)
            for topic, (kind, text) in failed.items():
                if kind.errno not in _COMES_RIGHT and not kind.retriable:
                    raise Misconfigured(self._refusal(next(spec for spec in wanted if spec.name == topic), kind, text))
            if failed and time.monotonic() > deadline:
                reasons = ", ".join(f"{topic} ({kind.__name__})" for topic, (kind, _) in failed.items())
                raise Unavailable(
                    f"{self._bootstrap} did not create {reasons} in time: see whether its brokers are well, then run it again"
                )
            wanted = [spec for spec in wanted if spec.name in failed]
            await asyncio.sleep(0.1 if wanted else 0)

    async def _try_to_create(self, wanted: Sequence[TopicSpec], only_ask: bool) -> dict[str, tuple[type[KafkaError], str | None]]:
        topics = [NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.config)) for spec in wanted]
        try:
            response = await self._admin.create_topics(topics, validate_only=only_ask)
        except AttributeError:  # aiokafka's, of a None: the cluster has no controller at this moment
            return {spec.name: (NotControllerError, None) for spec in wanted}
        errors = {topic: (for_code(code), text) for topic, code, text in response.topic_errors if code}
        return {topic: error for topic, error in errors.items() if error[0] is not TopicAlreadyExistsError}

    def _refusal(self, spec: TopicSpec, kind: type[KafkaError], text: str | None) -> str:
        return (
            f"{self._bootstrap} refuses to create {spec.name} with {spec.partitions} partitions and replication {spec.replication}: "
            f"{text or kind.description} ({kind.__name__}); set kafka.replication to what the cluster has, or ask its operator"
        )

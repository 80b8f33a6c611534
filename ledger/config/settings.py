"""What can be set. Names here are the keys of `jobledger.yaml`; `JOBLEDGER_KAFKA__BOOTSTRAP` sets `kafka.bootstrap`."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from ledger.core.durations import parse_duration_ms
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule


def _duration(value: object) -> object:
    """A duration stays as written; a bare number is refused, as nobody knows its unit."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("say its unit, as in '90s', '15m' or 'PT15M'")
    try:
        parse_duration_ms(value)
    except Refused as refused:
        raise ValueError(refused.detail) from refused
    return value


def _crons(value: object) -> object:
    """One expression or several: a list either way."""
    return [value] if isinstance(value, str) else value


Duration = Annotated[str, BeforeValidator(_duration)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:~/@-]{1,200}$")]
TopicPart = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(Part):
    bootstrap: str = "127.0.0.1:9092"
    replication: Annotated[int, Field(ge=1, le=9)] = 1
    min_insync_replicas: Annotated[int, Field(ge=1, le=9)] = 1
    session_timeout: Annotated[float, Field(ge=1, le=300)] = 6.0  # seconds until a dead member's partitions are taken over


class Redis(Part):
    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")


class Database(Part):
    url: SecretStr = SecretStr("postgresql://jobledger@127.0.0.1:5432/postgres")
    table_schema: Annotated[str, Field(alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "jobledger"


class Queue(Part):
    partitions: Annotated[int, Field(ge=1, le=1000)] = 4


class Limits(Part):
    """Bounds of the running system. Durations in seconds."""

    lease: Annotated[float, Field(ge=0.3, le=600)] = 10.0  # of a worker; renewed at a third of it
    max_lost_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    version_grace: Annotated[float, Field(ge=0, le=30 * 86_400)] = 600.0  # until what no worker has the code for is skipped
    deduplication_window: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    remembered: Annotated[int, Field(ge=1000, le=5_000_000)] = 500_000  # ended executions and keys kept per partition for repeats
    offer_window: Annotated[int, Field(ge=1, le=10_000)] = 1000  # offers outstanding per partition and queue, at most
    slots: Annotated[int, Field(ge=1, le=10_000)] = 200  # attempts a runner process performs at the same time
    pace: Annotated[float, Field(ge=0, le=1)] = 0.01  # between the commits of a partition under load
    shutdown_grace: Annotated[float, Field(ge=0, le=3600)] = 10.0  # for running attempts, after SIGTERM
    snapshot_events: Annotated[int, Field(ge=100)] = 200_000
    snapshot_interval: Annotated[float, Field(ge=1)] = 300.0


class Execution(Part):
    """How an execution is run; absent: as the handler declares, else the defaults of the handler's declaration."""

    timeout: Duration | None = None
    start_deadline: Duration | None = None
    attempts: Annotated[int, Field(ge=1, le=1000)] | None = None
    backoff: Literal["exponential", "fixed"] | None = None
    backoff_first: Duration | None = None
    backoff_max: Duration | None = None


class Job(Part):
    """A handler that users may submit to (`jobs:`)."""

    name: Name
    version: Annotated[int, Field(ge=1, le=2_000_000_000)] | None = None  # of its options; absent: the handler's
    queue: TopicPart | None = None  # absent: the handler's
    exclusive: Literal["none", "job", "tenant", "key"] | None = None  # absent: as the handler declares, else "none"
    options: Execution = Execution()


class SystemJob(Part):
    """A job that the platform itself runs on a schedule (`system_jobs:`)."""

    name: Name
    job: Name | None = None  # the handler, if it is not called like the job
    version: Annotated[int, Field(ge=1, le=2_000_000_000)] = 1
    cron: Annotated[list[str] | None, BeforeValidator(_crons)] = None
    every: Duration | None = None
    offset: Duration | None = None
    timezone: str | None = None  # absent: UTC
    data: object = None
    options: Execution = Execution()

    @property
    def schedule(self) -> Schedule:
        return Schedule(cron=self.cron, every=self.every, offset=self.offset, timezone=self.timezone)

    @model_validator(mode="after")
    def _fires(self) -> Self:
        try:
            self.schedule  # noqa: B018  # it refuses what cannot be
        except Refused as refused:
            raise ValueError(f"{self.name}: {refused.detail}") from refused
        return self


class Settings(Part):
    prefix: TopicPart = "jobledger"
    partitions: Annotated[int, Field(ge=1, le=1000)] = 4
    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    database: Database = Database()
    queues: dict[TopicPart, Queue] = {"default": Queue()}
    limits: Limits = Limits()
    jobs: list[Job] = []
    system_jobs: list[SystemJob] = []
    app: str | None = None  # where the handlers are: `module:attribute` of a `Jobs`

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        counted = Counter([one.name for one in self.jobs] + [one.name for one in self.system_jobs])
        twice = [name for name, times in counted.items() if times > 1]
        if twice:
            raise ValueError(
                f"two jobs are called {', '.join(map(repr, twice))} (in `jobs` and `system_jobs` together): rename one of them"
            )
        return self

    def topic(self, name: str) -> str:
        """The full name of a topic: `topic("work.default")` is `jobledger.work.default.v1`."""
        return f"{self.prefix}.{name}.v1"

    def redis_key(self, *parts: str) -> str:
        """A key or channel of ours: `redis_key("worker", id)` is `jobledger:worker:ID`."""
        return ":".join((self.prefix, *parts))

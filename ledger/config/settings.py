"""What can be set. Names here are the keys of `jobledger.yaml`; `JOBLEDGER_KAFKA__BOOTSTRAP` sets `kafka.bootstrap`."""

from collections.abc import Mapping
from typing import Annotated, Self, get_args

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ledger.config.addresses import Brokers, DatabaseUrl, RedisUrl
from ledger.config.fields import Part, Positive, RateText, Section, TopicPart, comma_separated, filled
from ledger.config.jobs import Concurrency, Defaults, Execution, Job, SystemJob
from ledger.config.yaml_text import Place
from ledger.core.backlogs import ANY, BacklogLimits
from ledger.core.limits import Limit, Rate, parse_rate

__all__ = ["Database", "Defaults", "Execution", "Job", "Kafka", "Limits", "Queue", "Redis", "Settings", "SystemJob", "Tenant"]


class Kafka(Part):
    bootstrap: Brokers = "127.0.0.1:9092"
    """Brokers to begin with: `host:port`, several with commas."""
    replication: Annotated[int, Field(ge=1, le=9)] = 1
    """How many brokers keep each topic; in production 3."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=9)] = 1
    """How many of them have to have a record before it is acknowledged; in production 2."""
    session_timeout: Annotated[float, Field(ge=1, le=300)] = 6.0
    """Seconds until the partitions of a process that died are taken over."""


class Redis(Part):
    url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    """The server of leases, claims and answers."""
    lock_urls: Annotated[list[RedisUrl], Field(max_length=15), BeforeValidator(comma_separated)] = Field(default_factory=list)
    """Independent servers over which exclusivity locks are taken by majority, three or five of them; none: `url` keeps them."""

    @field_validator("lock_urls")
    @classmethod
    def _majority_is_worth_it(cls, urls: list[SecretStr]) -> list[SecretStr]:
        if len(urls) == 2:
            raise ValueError("two servers bear the loss of neither: name one, or three or more, at best an odd number")
        if len({url.get_secret_value() for url in urls}) < len(urls):
            raise ValueError("a server is named twice: a majority of one server proves nothing")
        return urls


class Database(Part):
    url: DatabaseUrl = SecretStr("postgresql://jobledger@127.0.0.1:5432/postgres")
    """The database of the tables."""
    table_schema: Annotated[str, Field(alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "jobledger"
    """The schema in it; each log needs its own."""


class Bounded(Part):
    """What a queue or a tenant may take up, over all workers."""

    concurrency: Concurrency | None = None
    """How many attempts run at the same time. Default: no bound."""
    rate: RateText | None = None
    """How many attempts start in a time: `100/s`, `10/m`. Default: no bound."""
    backlog: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """How many executions may wait; a submit beyond is refused. Each partition of the log takes an equal part. Default: no bound."""


class Queue(Bounded):
    partitions: Annotated[int, Field(ge=1, le=1000)] = 4
    """Of its topic: at most so many processes serve it."""


class Tenant(Bounded):
    """Of each tenant by itself; `'*'` stands for every one that is not named."""


TenantName = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,200}$")]


class Limits(Part):
    """Bounds of the running system."""

    lease: Annotated[float, Field(ge=0.3, le=600)] = 10.0
    """Seconds until a worker that is not heard of has lost its attempts; renewed at a third of it."""
    max_lost_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """An execution that lost its worker so often is `lost`."""
    version_grace: Annotated[float, Field(ge=0, le=30 * 86_400)] = 600.0
    """Seconds until what is too new for the workers that know its job is skipped."""
    deduplication_window: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    """Seconds for which a repeat is known as one."""
    remembered: Annotated[int, Field(ge=1000, le=5_000_000)] = 500_000
    """Ended executions, and keys, that a partition knows for repeats, at most."""
    offer_window: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Offers of a queue that are outstanding in a partition, at most."""
    slots: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Attempts that a runner performs at the same time; of plain functions at most 1000."""
    processes: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Those of them with `run_in="process"`. Default: one per CPU."""
    process_memory_mb: Annotated[int, Field(ge=0)] = 4096
    """Address space of such a process; 0: unlimited."""
    pace: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Seconds between the commits of a partition under load."""
    shutdown_grace: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Seconds that what runs has after SIGTERM."""
    cancel_grace: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Seconds that what runs has once somebody cancels it; then it is made to stop."""
    snapshot_events: Annotated[int, Field(ge=100)] = 200_000
    """A snapshot of a partition is written after so many events."""
    snapshot_interval: Annotated[float, Field(ge=1)] = 300.0
    """Seconds after which it is written if there were a twentieth of them."""


class Keep(Part):
    """How long rows of executions stay in the tables after their end, by state; absent: for ever. The log keeps all of them."""

    completed: Positive | None = None
    failed: Positive | None = None
    timed_out: Positive | None = None
    lost: Positive | None = None
    missed: Positive | None = None
    skipped: Positive | None = None
    cancelled: Positive | None = None


class Settings(Part):
    prefix: TopicPart = "jobledger"
    """Of topics in Kafka and keys in Redis."""
    partitions: Annotated[int, Field(ge=1, le=1000)] = 4
    """Of the event log; fixed once the log exists."""
    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    database: Database = Database()
    queues: dict[TopicPart, Annotated[Queue, Section]] = Field(default_factory=lambda: {"default": Queue()})
    """Where executions wait, by name."""
    tenants: dict[TenantName, Annotated[Tenant, Section]] = Field(default_factory=dict)
    """What a tenant may take up; `'*'`: each that is not named here."""
    limits: Limits = Limits()
    keep: Annotated[Keep, Section] = Keep()
    defaults: Defaults = Defaults()
    jobs: list[Job] = Field(default_factory=list)
    """Handlers that users may submit or schedule."""
    system_jobs: list[SystemJob] = Field(default_factory=list)
    """What the platform runs by itself; one that is taken out is retired."""
    app: str | None = None
    """Where the handlers are: `module:attribute` of a `Jobs`."""
    projections: Annotated[list[str], BeforeValidator(comma_separated)] = Field(default_factory=list)
    """Projections of one's own, beside the tables of jobledger: `module:attribute` of each."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: object) -> object:
        """Jobs say what `defaults` says, where they say nothing. A section with nothing in it is as if it were not there."""
        if not isinstance(values, Mapping):
            return values
        said = {key: value for key, value in values.items() if value is not None}
        defaults = _defaults(said.get("defaults"))
        for name, keys in (("jobs", ("options",)), ("system_jobs", tuple(Defaults.model_fields))):
            jobs = said.get(name)
            given = {key: value for key in keys if (value := defaults.get(key)) is not None}
            if isinstance(jobs, list) and given:
                said[name] = [filled(one, _fitting(one, given)) if isinstance(one, Mapping) else one for one in jobs]
        return said

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        named: list[tuple[Place, str]] = [(("jobs", index, "name"), one.name) for index, one in enumerate(self.jobs)]
        named += [(("system_jobs", index, "name"), one.name) for index, one in enumerate(self.system_jobs)]
        first = {name: place for place, name in reversed(named)}
        twice = {name: place for place, name in reversed(named) if place != first[name]}
        if twice:
            said = f"two jobs are called {', '.join(map(repr, sorted(twice)))} (in `jobs` and `system_jobs` together): rename one of them"
            raise PydanticCustomError("twice", "{said}", {"said": said, "place": min(twice.values())})
        return self

    @property
    def concurrency(self) -> dict[str, int]:
        """Bounds by handler."""
        said = [(job.name, job.concurrency) for job in self.jobs] + [(job.job or job.name, job.concurrency) for job in self.system_jobs]
        return {name: min(most for one, most in said if one == name and most is not None) for name, most in said if most is not None}

    @property
    def rates(self) -> dict[str, Rate]:
        """Of handlers; of several the slowest."""
        said = [(job.name, job.rate) for job in self.jobs] + [(job.job or job.name, job.rate) for job in self.system_jobs]
        found: dict[str, Rate] = {}
        for name, text in said:
            if text is not None:
                found[name] = max(filter(None, (found.get(name), parse_rate(text))), key=lambda rate: rate.interval_us)
        return found

    def limit_of_queue(self, queue: str) -> Limit | None:
        """Over all workers."""
        bounded = self.queues.get(queue)
        return None if bounded is None else _limit(Limit("queue", queue), bounded)

    def limit_of_tenant(self, tenant: str) -> Limit | None:
        """Over all workers, by itself also where only `'*'` says it."""
        bounded = self.tenants.get(tenant) or self.tenants.get(ANY)
        return None if bounded is None else _limit(Limit("tenant", tenant), bounded)

    @property
    def backlog_limits(self) -> BacklogLimits:
        return BacklogLimits(
            {name: queue.backlog for name, queue in self.queues.items() if queue.backlog is not None},
            {name: tenant.backlog for name, tenant in self.tenants.items()},
        )

    def topic(self, name: str) -> str:
        """The full name of a topic: `topic("work.default")` is `jobledger.work.default.v1`."""
        return f"{self.prefix}.{name}.v1"

    def redis_key(self, *parts: str) -> str:
        """A key or channel of ours: `redis_key("worker", id)` is `jobledger:worker:ID`."""
        return ":".join((self.prefix, *parts))


def secret_keys() -> frozenset[Place]:
    """The settings that may hold credentials."""
    return frozenset(
        (section, known.alias or key)
        for section, part in Settings.model_fields.items()
        if isinstance(part.annotation, type) and issubclass(part.annotation, Part)
        for key, known in part.annotation.model_fields.items()
        if _may_hold_a_secret(known.annotation)
    )


def _may_hold_a_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_may_hold_a_secret, get_args(annotation)))


def _limit(limit: Limit, bounded: Bounded) -> Limit | None:
    if bounded.concurrency is None and bounded.rate is None:
        return None
    return limit._replace(concurrency=bounded.concurrency, rate=None if bounded.rate is None else parse_rate(bounded.rate))


def _defaults(written: object) -> Mapping[str, object]:
    """What there is to fill in; nothing where it is wrong, which is told once and not for every job."""
    try:
        return Defaults.model_validate(written or {}).model_dump(exclude_none=True)
    except ValidationError:
        return {}


def _fitting(job: Mapping[str, object], defaults: Mapping[str, object]) -> Mapping[str, object]:
    """Not what a job without cron expressions has no use for."""
    return defaults if job.get("cron") is not None else {key: value for key, value in defaults.items() if key != "dst"}

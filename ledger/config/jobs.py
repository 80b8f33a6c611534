"""Jobs as the settings declare them. Durations stay as written (`90s`); the schedule is checked as a whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Annotated, Literal, Self

from msgspec import structs
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ledger.config.fields import Duration, Name, OneOrMany, Part, Positive, RateText, Section, TopicPart, Version
from ledger.core.cron import Dst
from ledger.core.definition import AUTO
from ledger.core.durations import parse_duration_ms
from ledger.core.ids import Micros
from ledger.core.invalid import Invalid
from ledger.core.options import LAST_PRIORITY, Busy
from ledger.core.policies import LARGEST_LIMIT, MOST_FAILURES, check_policies, check_schedule
from ledger.core.schedule import REFERENCE, Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tick import Coalesce, Overlap
from ledger.core.zones import zone_of

Concurrency = Annotated[int, Field(ge=1, le=10_000)]


class Execution(Part):
    """How an execution is run; absent: as the handler declares, else the defaults of the handler's declaration."""

    timeout: Positive | None = None
    """Budget of one attempt. Default: that of the handler, 15m."""
    start_deadline: Positive | None = None
    """An execution that did not start within this time is missed."""
    attempts: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How often it is tried, the first time included. Default: that of the handler, 3."""
    backoff: Literal["exponential", "fixed"] | None = None
    """Whether the pause between attempts doubles."""
    backoff_first: Duration | None = None
    """The first pause between attempts."""
    backoff_max: Duration | None = None
    """The longest pause between attempts."""
    busy: Busy | None = None
    """What becomes of an execution that comes while what it excludes is running. Default: wait."""
    priority: Annotated[int, Field(ge=0, le=LAST_PRIORITY)] | None = None
    """0 is first, 9 is last. Default: 5; a submit that names another goes before."""


class Catchup(Part):
    """Ticks that are decided late, because nothing ran at their time."""

    window: Duration | None = None
    """Late ticks are made up if not older than this; at least 10s, by default 1h."""
    coalesce: Coalesce | None = None
    """Which of several late ticks are made up. Default: latest."""

    @field_validator("window")
    @classmethod
    def _is_within_bounds(cls, window: str | None) -> str | None:
        if window is not None:
            with _told_as_a_value():
                check_policies(ScheduleSpec(catchup_window_ms=parse_duration_ms(window)))
        return window


class Defaults(Part):
    """What holds for every job that does not say it itself. It is part of what a job's version says, as if written there."""

    options: Annotated[Execution, Section] = Execution()
    timezone: str | None = None
    """Of schedules: an IANA name."""
    dst: Dst | None = None
    """Of cron expressions: what happens where the clock changes."""
    overlap: Overlap | None = None
    """When the former execution still runs."""
    catchup: Annotated[Catchup, Section] = Catchup()
    pause_on_failure: Annotated[int, Field(ge=1, le=MOST_FAILURES)] | None = None
    """After so many executions in a row that failed a job pauses itself."""

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, timezone: str | None) -> str | None:
        """Of a job it is told with the schedule."""
        if timezone is not None:
            with _told_as_a_value():
                zone_of(timezone)
        return timezone


class Job(Part):
    """A handler that users may schedule or submit to (`jobs:`)."""

    name: Name
    """The handler's name."""
    version: Version | None = None
    """Of its options; `auto` numbers by content. Default: the handler's."""
    queue: TopicPart | None = None
    """Where its executions wait. Default: the handler's."""
    exclusive: Literal["none", "job", "tenant", "key"] | None = None
    """What excludes another execution while one runs; fixed for the job's life. Default: as the handler declares, else none."""
    concurrency: Concurrency | None = None
    """How many attempts of the handler run at the same time, over all workers. Default: as the handler declares, else no bound."""
    rate: RateText | None = None
    """How many attempts of the handler start in a time, over all workers. Default: as the handler declares, else no bound."""
    options: Annotated[Execution, Section] = Execution()


class SystemJob(Part):
    """A job that the platform itself runs on a schedule (`system_jobs:`). One of `cron`, `every` and `at`."""

    name: Name
    """The job's id."""
    job: Name | None = None
    """The handler, if it is not called like the job."""
    version: Version = 1
    """Raise it when anything below changes; `auto` numbers by content."""
    cron: OneOrMany | None = None
    """One expression or several: five fields, or six with the seconds first."""
    every: Duration | None = None
    """An interval of at least 1s, aligned to 1970-01-01 UTC."""
    at: str | None = None
    """One instant: '2026-10-25T09:00:00' in the time zone, or with Z."""
    offset: Duration | None = None
    """Moves an interval: less than `every`."""
    timezone: str | None = None
    """An IANA name. Default: UTC."""
    dst: Dst | None = None
    """What happens where the clock changes. Default: vixie."""
    start: str | None = None
    """No firing before this local date or instant."""
    end: str | None = None
    """No firing after this local date or instant."""
    exclude: OneOrMany | None = None
    """Local dates, or cron expressions, that do not fire."""
    limit: Annotated[int, Field(ge=1, le=LARGEST_LIMIT)] | None = None
    """How often this version fires."""
    jitter: Duration | None = None
    """Moves all firings of the job by the same part of this; less than the shortest interval."""
    overlap: Overlap | None = None
    """When the former execution still runs. Default: skip."""
    catchup: Annotated[Catchup, Section] = Catchup()
    pause_on_failure: Annotated[int, Field(ge=1, le=MOST_FAILURES)] | None = None
    """After so many executions in a row that failed the job pauses itself."""
    immediately: bool = False
    """Run once as soon as a version is accepted, beside the schedule."""
    exclusive: Literal["job", "none"] | None = None
    """Whether one execution at a time runs in the whole system; fixed for the job's life. Default: job."""
    concurrency: Concurrency | None = None
    """How many attempts of the handler run at the same time, over all workers; of several jobs with one handler the least counts."""
    rate: RateText | None = None
    """How many attempts of the handler start in a time, over all workers; of several jobs with one handler the least counts."""
    data: object = None
    """What the handler is given; it stays in the log for ever, so no secrets."""
    options: Annotated[Execution, Section] = Execution()

    @cached_property
    def schedule(self) -> Schedule:
        """The engine: when it fires, and what is probably not meant. Raises `Invalid`."""
        return Schedule(
            cron=self.cron,
            every=self.every,
            at=self.at,
            offset=self.offset,
            timezone=self.timezone,
            dst=self.dst or "vixie",
            start=self.start,
            end=self.end,
            exclude=self.exclude or (),
        )

    @cached_property
    def spec(self) -> ScheduleSpec:
        """The schedule as written and normalised, with its policies; what is not said stays at its default. Raises `Invalid`."""
        spec = structs.replace(
            self.schedule.spec,
            overlap=self.overlap or "skip",
            coalesce=self.catchup.coalesce or "latest",
            limit=self.limit,
            jitter_ms=0 if self.jitter is None else parse_duration_ms(self.jitter),
            pause_on_failure=self.pause_on_failure,
        )
        if self.catchup.window is not None:
            spec = structs.replace(spec, catchup_window_ms=parse_duration_ms(self.catchup.window))
        if spec.jitter_ms and spec.at is None:
            # its shortest interval; an `at` that is past is no mistake in a file
            check_schedule(Schedule.from_spec(spec), Micros(REFERENCE))
        check_policies(spec)
        return spec

    @model_validator(mode="after")
    def _fires(self) -> Self:
        try:
            self.spec  # noqa: B018  # it refuses what cannot be
        except Invalid as refused:
            said = {"said": f"job {self.name!r}: {refused.detail}", "field": refused.field}
            raise PydanticCustomError("schedule", "{said}", said) from refused
        return self


@contextmanager
def _told_as_a_value() -> Iterator[None]:
    try:
        yield
    except Invalid as refused:
        raise ValueError(refused.detail) from refused


def number_of(version: Version) -> int:
    """As a command carries it."""
    return AUTO if version == "auto" else version

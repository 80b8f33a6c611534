"""What should be: jobs, their versions and the manifest, decided in one order in the registry.

Read in this order: events, state, `evolve`, commands; `decide` is in `registering.py`. Pauses are in `pause.py`.
Source: architecture.md, section 3; scheduling.md, sections 1, 3 and 4.
"""

from bisect import bisect_left
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from operator import attrgetter
from sys import intern
from typing import Final, Literal, assert_never

from msgspec import Raw, Struct, structs

from ledger.core.bodies import NOTHING
from ledger.core.execution import Kind
from ledger.core.ids import BEFORE_ALL, Address, Micros, partition_for, routing_key
from ledger.core.options import KeptOptions, Options
from ledger.core.pause import Pauses
from ledger.core.schedule_spec import KeptSchedule, ScheduleSpec, read_schedule, written_of

Scope = Literal["none", "job", "tenant", "key"]
STALE_MANIFESTS_KEPT = 1000
LARGEST_VERSION = 2_000_000_000
AUTO = 0  # in the place of a version's number: it is numbered by its content


# Events


class Registered(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="job.registered.v1"):
    """A job is known. What stands here is fixed for its life."""

    job_id: str
    job_name: str
    kind: Kind
    queue: str
    exclusive_scope: Scope = "none"
    tenant: str | None = None
    actor: str | None = None
    reason: str | None = None
    name: str | None = None  # the user's own, of a scheduled job
    exclusive_key: str | None = None  # its value, where the scope is `key` and the job has a schedule
    exclusive_field: str | None = None  # where in a submit's data the value is, if none is given


class Versioned(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="job.versioned.v1"):
    """A version's body, immutable. `in_force`: at once (jobs without a manifest); a system job's follows with the manifest."""

    job_id: str
    job_version: int
    content_hash: str
    in_force: bool = False
    data: Raw = NOTHING
    options: KeptOptions | None = None
    schedule: KeptSchedule | None = None
    actor: str | None = None
    reason: str | None = None
    engine: int | None = None  # which engine, and which zone data, accepted the schedule
    tzdata: str | None = None
    by_content: bool = False  # a user's job was numbered by its content: the number says nothing about what a handler understands


class Retired(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="job.retired.v1"):
    """Unscheduled and kept in history. What was requested of it runs; it returns with its next version."""

    job_id: str
    actor: str | None = None
    reason: str | None = None


class ManifestApplied(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="manifest.applied.v1"):
    """The set of system jobs: these versions are in force from now on, these jobs are retired, every other one stays as it is."""

    digest: str
    in_force: tuple[tuple[str, int], ...] = ()
    retired: tuple[str, ...] = ()
    actor: str | None = None
    reason: str | None = None


Event = Registered | Versioned | Retired | ManifestApplied


# State


class Version(Struct, frozen=True, omit_defaults=True, gc=False):
    """Its bodies are bytes of its own: a hundred thousand schedules as objects take three times the memory, and a body that is a view
    keeps the whole commit it came in."""

    number: int
    content_hash: str
    accepted_at: Micros
    data: Raw = NOTHING
    options: KeptOptions | None = None
    written: bytes = b""  # its schedule, encoded
    by_content: bool = False

    @property
    def schedule(self) -> ScheduleSpec | None:
        return read_schedule(self.written) if self.written else None


_number: Final = attrgetter("number")


class Job(Struct, frozen=True, omit_defaults=True, gc=False):
    job_id: str
    job_name: str
    kind: Kind
    queue: str
    exclusive_scope: Scope = "none"
    tenant: str | None = None
    state: Literal["declared", "active", "retired"] = "declared"  # declared: no version of it was in force yet
    current_version: int | None = None
    in_force_at: Micros = Micros(0)
    retired_at: Micros = Micros(0)  # the last time, also of a job that returned
    name: str | None = None
    exclusive_key: str | None = None
    exclusive_field: str | None = None
    home: int = 0  # see `home_of`
    versions: tuple[Version, ...] = ()  # by number

    @property
    def current(self) -> Version | None:
        return None if self.current_version is None else self.version(self.current_version)

    @property
    def newest(self) -> Version | None:
        return self.versions[-1] if self.versions else None

    def version(self, number: int) -> Version | None:
        versions = self.versions
        if versions and versions[-1].number == number:
            return versions[-1]
        nth = bisect_left(versions, number, key=_number)
        return versions[nth] if nth < len(versions) and versions[nth].number == number else None


@dataclass(slots=True)
class Registry:
    """The fold of the registry. `at` is the place of the commit folded last; actors decide with it and name it."""

    at: Address = BEFORE_ALL
    jobs: MutableMapping[str, Job] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)  # digests, the one in force last
    pauses: Pauses = field(default_factory=Pauses)
    partitions: int = 0  # of the events, as the log says since its first commit

    @property
    def scheduled(self) -> list[Job]:
        """The jobs that a home partition has to fire."""
        return [job for job in self.jobs.values() if fires(job)]


def fires(job: Job) -> bool:
    """A schedule of it is in force."""
    return job.state == "active" and (current := job.current) is not None and current.written != b""


def evolve(state: Registry, event: Event, at: Micros) -> None:
    """Fold one event into `state`, in place: a process holds one registry for all its actors."""
    match event:
        case Registered():
            state.jobs[intern(event.job_id)] = _job_of(event, state.partitions)
        case Versioned(job_id, number):
            job = state.jobs[job_id]
            versions = _with(job.versions, _version_of(event, at))
            if event.in_force:
                job = structs.replace(job, versions=versions, state="active", current_version=number, in_force_at=at)
            else:
                job = structs.replace(job, versions=versions)
            state.jobs[job_id] = job
        case ManifestApplied(digest, in_force, retired):
            state.manifests = [*(one for one in state.manifests if one != digest), digest][-STALE_MANIFESTS_KEPT:]
            for job_id, number in in_force:
                _put_in_force(state, job_id, number, at)
            for job_id in retired:
                _retire(state, job_id, at)
        case Retired(job_id):
            _retire(state, job_id, at)
        case _:
            assert_never(event)


def home_of(job: Registered | Job, partitions: int) -> int:
    """The partition where a job's ticks and executions live, with whatever they exclude."""
    key = routing_key(job.job_id, job.job_name, job.tenant, job.exclusive_scope, job.exclusive_key, True, "")
    return partition_for(key, partitions)


def _job_of(event: Registered, partitions: int) -> Job:
    return Job(
        intern(event.job_id),
        intern(event.job_name),
        event.kind,
        intern(event.queue),
        event.exclusive_scope,
        None if event.tenant is None else intern(event.tenant),
        name=event.name,
        exclusive_key=event.exclusive_key,
        exclusive_field=event.exclusive_field,
        home=home_of(event, partitions) if partitions else 0,
    )


def _version_of(event: Versioned, at: Micros) -> Version:
    data = NOTHING if event.data is NOTHING else event.data.copy()
    return Version(event.job_version, event.content_hash, at, data, event.options, written_of(event.schedule), event.by_content)


def jobs_of(event: Event) -> list[str]:
    """The jobs an event concerns."""
    match event:
        case Registered(job_id) | Versioned(job_id) | Retired(job_id):
            return [job_id]
        case ManifestApplied(_, in_force, retired):
            return [job_id for job_id, _ in in_force] + list(retired)
        case _:
            assert_never(event)


def _with(versions: tuple[Version, ...], new: Version) -> tuple[Version, ...]:
    if not versions or versions[-1].number < new.number:
        return (*versions, new)
    return tuple(sorted((*(one for one in versions if one.number != new.number), new), key=_number))


def _retire(state: Registry, job_id: str, at: Micros) -> None:
    state.jobs[job_id] = structs.replace(state.jobs[job_id], state="retired", in_force_at=at, retired_at=at)


def _put_in_force(state: Registry, job_id: str, number: int, at: Micros) -> None:
    state.jobs[job_id] = structs.replace(state.jobs[job_id], state="active", current_version=number, in_force_at=at)


# Commands


class Register(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="job.register.v1"):
    """Make a job and a version of it known. Repeating it changes nothing; another body under the same number is drift.

    With `job_version` 0 it is numbered by its content: a body that is known keeps its number, another gets the next.
    """

    command_id: str
    job_id: str
    job_name: str
    kind: Kind
    queue: str
    job_version: int
    content_hash: str
    exclusive_scope: Scope = "none"
    tenant: str | None = None
    data: Raw = NOTHING
    options: Options | None = None
    schedule: ScheduleSpec | None = None
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None
    exclusive_field: str | None = None  # of an on-demand job that is exclusive by `key`


class ScheduleJob(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="job.schedule.v1"):
    """Make a user's job with a schedule, or a new version of it, in force at once. Its id is given, or follows from (job name, tenant,
    name). The queue is that of the handler's own job where none is given. `job_version` 0 (the default) numbers by content: what is in
    force already changes nothing, anything else gets the next number."""

    command_id: str
    job_name: str
    content_hash: str
    schedule: ScheduleSpec
    job_id: str | None = None
    name: str | None = None
    tenant: str | None = None
    queue: str | None = None
    job_version: int = AUTO
    exclusive_scope: Scope = "tenant"
    exclusive_key: str | None = None
    data: Raw = NOTHING
    options: Options | None = None
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


class Retire(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="job.retire.v1"):
    """Unschedule a job. A system job is retired by taking it out of the configuration."""

    command_id: str
    job_id: str
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


class ApplyManifest(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="manifest.apply.v1"):
    """These are the system jobs, by (job id, version, content hash). The bodies were registered before. A digest that was
    superseded is stale, and so is one with a lower version of a job than was in force last: it changes nothing, unless `rollback` says
    that going back is meant. Version 0 is the newest with that hash."""

    command_id: str
    digest: str
    jobs: tuple[tuple[str, int, str], ...]
    rollback: bool = False
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


Command = Register | ScheduleJob | Retire | ApplyManifest

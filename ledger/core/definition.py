"""What should be: jobs, their versions and the manifest, decided in one order in the registry.

Read in this order: events, state, `evolve`, commands, `decide`. Source: architecture.md, section 3; scheduling.md, sections 1, 3 and 4.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never

from msgspec import Raw, Struct, structs

from ledger.core.bodies import NOTHING
from ledger.core.cron import Dst
from ledger.core.execution import KeptOptions, Kind, Options, kept
from ledger.core.ids import BEFORE_ALL, Address, Micros
from ledger.core.refusal import Refused

Scope = Literal["none", "job", "tenant", "key"]
STALE_MANIFESTS_KEPT = 1000
LARGEST_VERSION = 2_000_000_000
LONGEST_NAME = 200


class ScheduleSpec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A schedule as written and normalised: one of `cron` (a union), `every_ms` and `at`. The engine is `ledger.core.schedule`.

    `at`, `start` and `end` stay texts: without an offset from UTC they are read in `timezone`, whose rules may change.
    """

    cron: tuple[str, ...] | None = None
    every_ms: int | None = None
    offset_ms: int = 0
    timezone: str = "UTC"
    dst: Dst = "vixie"
    at: str | None = None
    start: str | None = None
    end: str | None = None
    exclude: tuple[str, ...] = ()


class KeptSchedule(ScheduleSpec, frozen=True, omit_defaults=True, forbid_unknown_fields=False):
    """The same in an event: a reader that is older than one of its fields reads the rest."""


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


class ManifestApplied(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="manifest.applied.v1"):
    """The set of system jobs: these versions are in force from now on, these jobs are retired, every other one stays as it is."""

    digest: str
    in_force: tuple[tuple[str, int], ...] = ()
    retired: tuple[str, ...] = ()
    actor: str | None = None
    reason: str | None = None


Event = Registered | Versioned | ManifestApplied


# State


class Version(Struct, frozen=True, omit_defaults=True):
    number: int
    content_hash: str
    accepted_at: Micros
    data: Raw = NOTHING
    options: Options | None = None
    schedule: ScheduleSpec | None = None


class Job(Struct, frozen=True, omit_defaults=True):
    job_id: str
    job_name: str
    kind: Kind
    queue: str
    exclusive_scope: Scope = "none"
    tenant: str | None = None
    state: Literal["declared", "active", "retired"] = "declared"  # declared: no version of it was in force yet
    current_version: int | None = None
    in_force_since: Address | None = None
    in_force_at: Micros = Micros(0)
    versions: Mapping[int, Version] = {}

    @property
    def current(self) -> Version | None:
        return None if self.current_version is None else self.versions.get(self.current_version)


@dataclass(slots=True)
class Registry:
    """The fold of the registry. `at` is the place of the commit folded last; actors decide with it and name it."""

    at: Address = BEFORE_ALL
    jobs: dict[str, Job] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)  # digests, the one in force last

    @property
    def scheduled(self) -> list[Job]:
        """The jobs that a home partition has to fire."""
        return [job for job in self.jobs.values() if job.state == "active" and job.current is not None and job.current.schedule is not None]


def evolve(state: Registry, event: Event, address: Address, at: Micros) -> None:
    """Fold one event into `state`, in place: a process holds one registry for all its actors."""
    match event:
        case Registered():
            state.jobs[event.job_id] = Job(event.job_id, event.job_name, event.kind, event.queue, event.exclusive_scope, event.tenant)
        case Versioned(job_id, number):
            job = state.jobs[job_id]
            body = Version(number, event.content_hash, at, event.data, event.options, event.schedule)
            state.jobs[job_id] = structs.replace(job, versions={**job.versions, number: body})
            if event.in_force:
                _put_in_force(state, job_id, number, address, at)
        case ManifestApplied(digest, in_force, retired):
            state.manifests = [*(one for one in state.manifests if one != digest), digest][-STALE_MANIFESTS_KEPT:]
            for job_id, number in in_force:
                _put_in_force(state, job_id, number, address, at)
            for job_id in retired:
                state.jobs[job_id] = structs.replace(state.jobs[job_id], state="retired", in_force_since=address, in_force_at=at)
        case _:
            assert_never(event)


def jobs_of(event: Event) -> list[str]:
    """The jobs an event concerns."""
    match event:
        case Registered(job_id) | Versioned(job_id):
            return [job_id]
        case ManifestApplied(_, in_force, retired):
            return [job_id for job_id, _ in in_force] + list(retired)
        case _:
            assert_never(event)


def _put_in_force(state: Registry, job_id: str, number: int, address: Address, at: Micros) -> None:
    state.jobs[job_id] = structs.replace(state.jobs[job_id], state="active", current_version=number, in_force_since=address, in_force_at=at)


# Commands


class Register(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="job.register.v1"):
    """Make a job and a version of it known. Repeating it changes nothing; another body under the same number is drift."""

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


class ApplyManifest(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="manifest.apply.v1"):
    """These are the system jobs, by (job id, version, content hash). The bodies were registered before. A digest that was
    superseded is stale: it changes nothing, unless `rollback` says that going back is meant."""

    command_id: str
    digest: str
    jobs: tuple[tuple[str, int, str], ...]
    rollback: bool = False
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


Command = Register | ApplyManifest


def decide(command: Command, state: Registry) -> list[Event]:
    """The events that `command` leads to; none where it is so already or stale. Raises `Refused`."""
    match command:
        case Register():
            return _decide_register(command, state.jobs.get(command.job_id))
        case ApplyManifest():
            return _decide_manifest(command, state)
        case _:
            assert_never(command)


def _decide_register(command: Register, job: Job | None) -> list[Event]:
    _check_bounds(command)
    events: list[Event] = []
    if job is None:
        events.append(
            Registered(
                command.job_id, command.job_name, command.kind, command.queue, command.exclusive_scope, command.tenant, command.actor
            )
        )
    else:
        _refuse_another_identity(command, job)
        if (known := job.versions.get(command.job_version)) is not None:
            if known.content_hash != command.content_hash:
                raise Refused(
                    "drift",
                    f"{command.job_id} version {command.job_version} is stored with content {known.content_hash[:12]}, "
                    f"not {command.content_hash[:12]}: a changed body needs a new version",
                )
            return []
        if job.versions and command.job_version < max(job.versions):
            return []  # stale: a node with an older configuration; the answer says so
    in_force = command.kind != "system"
    events.append(
        Versioned(
            command.job_id,
            command.job_version,
            command.content_hash,
            in_force,
            command.data,
            kept(command.options),
            None if command.schedule is None else KeptSchedule(**structs.asdict(command.schedule)),
            command.actor,
            command.reason,
        )
    )
    return events


def _refuse_another_identity(command: Register, job: Job) -> None:
    stored = (job.job_name, job.kind, job.queue, job.exclusive_scope, job.tenant)
    wanted = (command.job_name, command.kind, command.queue, command.exclusive_scope, command.tenant)
    for name, is_stored, is_wanted in zip(("job_name", "kind", "queue", "exclusive_scope", "tenant"), stored, wanted, strict=True):
        if is_stored != is_wanted:
            reason = "scope_changed" if name == "exclusive_scope" else "identity_changed"
            raise Refused(reason, f"{job.job_id} has {name} {is_stored!r} for its life, not {is_wanted!r}: register another job")


def _decide_manifest(command: ApplyManifest, state: Registry) -> list[Event]:
    if not command.rollback and command.digest in state.manifests:
        return []  # in force already, or superseded by a newer one: an old node changes nothing
    if command.rollback and state.manifests[-1:] == [command.digest]:
        return []
    listed = set()
    in_force = []
    for job_id, number, content_hash in command.jobs:
        job = state.jobs.get(job_id)
        known = job.versions.get(number) if job is not None else None
        if job is None or job.kind != "system" or known is None or known.content_hash != content_hash:
            raise Refused("unknown_version", f"the manifest names {job_id} version {number} ({content_hash[:12]}), which is not registered")
        listed.add(job_id)
        if job.state != "active" or job.current_version != number:
            in_force.append((job_id, number))
    retired = tuple(
        job.job_id for job in state.jobs.values() if job.kind == "system" and job.state == "active" and job.job_id not in listed
    )
    return [ManifestApplied(command.digest, tuple(in_force), retired, command.actor, command.reason)]


def _check_bounds(command: Register) -> None:
    """What the tables and topics can hold."""
    if not 1 <= command.job_version <= LARGEST_VERSION:
        raise Refused("invalid", f"job_version {command.job_version}: 1 to {LARGEST_VERSION}")
    check_names(
        (("job_name", command.job_name), ("queue", command.queue), ("content_hash", command.content_hash), ("tenant", command.tenant))
    )


def check_names(names: Iterable[tuple[str, str | None]]) -> None:
    """Refuses a name that is there and empty, or longer than an index entry may be."""
    for name, value in names:
        if value is not None and not 0 < len(value) <= LONGEST_NAME:
            raise Refused("invalid", f"{name} has {len(value)} characters: 1 to {LONGEST_NAME}")

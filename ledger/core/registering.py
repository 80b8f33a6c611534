"""Decisions on jobs, versions and manifests. Source: scheduling.md, sections 1, 3, 4 and 7.

A job of a user (`scheduled`, `on_demand`) is in force with its newest version at once; a system job with the manifest that lists it.
"""

from typing import assert_never

from msgspec import structs

from ledger.core.definition import (
    AUTO,
    LARGEST_VERSION,
    ApplyManifest,
    Command,
    Event,
    Job,
    ManifestApplied,
    Register,
    Registered,
    Registry,
    Retire,
    Retired,
    ScheduleJob,
    Versioned,
)
from ledger.core.ids import job_id_of
from ledger.core.options import check_options, kept
from ledger.core.refusal import Refused
from ledger.core.said import check_names
from ledger.core.schedule_spec import KeptSchedule, ScheduleSpec


def decide(command: Command, state: Registry) -> list[Event]:
    """The events that `command` leads to; none where it is so already or stale. Raises `Refused`."""
    match command:
        case Register():
            return _decide_register(command, state.jobs.get(command.job_id))
        case ScheduleJob():
            return _decide_schedule(command, state)
        case Retire():
            return _decide_retire(command, state.jobs.get(command.job_id))
        case ApplyManifest():
            return _decide_manifest(command, state)
        case _:
            assert_never(command)


def _decide_register(command: Register, job: Job | None) -> list[Event]:
    _check_bounds(command)
    number = command.job_version
    if job is None:
        registered = Registered(
            command.job_id,
            command.job_name,
            command.kind,
            command.queue,
            command.exclusive_scope,
            command.tenant,
            command.actor,
            exclusive_field=command.exclusive_field,
        )
        return [registered, _versioned(command, command.job_id, number or 1, command.kind != "system")]
    wanted = (command.job_name, command.kind, command.queue, command.exclusive_scope, command.tenant, job.exclusive_key)
    _refuse_another_identity(job, (*wanted, command.exclusive_field))
    if number == AUTO:
        if any(version.content_hash == command.content_hash for version in job.versions):
            return []
        number = _next_number(job)
    elif _is_known(job, number, command.content_hash):
        return []
    elif job.newest is not None and number < job.newest.number:
        return []  # stale: a node with an older configuration; the answer says so
    return [_versioned(command, command.job_id, number, command.kind != "system")]


def _decide_schedule(command: ScheduleJob, state: Registry) -> list[Event]:
    _check_bounds(command)
    job_id = command.job_id or job_id_of(command.job_name, command.tenant, command.name)
    job = state.jobs.get(job_id)
    if job is None:
        return [_registered(command, job_id, state), _versioned(command, job_id, command.job_version or 1, True)]
    queue = command.queue or job.queue
    wanted = (command.job_name, "scheduled", queue, command.exclusive_scope, command.tenant, command.exclusive_key)
    _refuse_another_identity(job, (*wanted, None))
    number = command.job_version
    if number == AUTO:
        current = job.current
        if job.state == "active" and current is not None and current.content_hash == command.content_hash:
            return []
        return [_versioned(command, job_id, _next_number(job), True)]
    if _is_known(job, number, command.content_hash) or number < _next_number(job) - 1:
        if job.state == "retired":
            raise Refused("retired", f"{job_id} is retired and returns with its next version: {_next_number(job)}, not {number}")
        return []
    return [_versioned(command, job_id, number, True)]


def _registered(command: ScheduleJob, job_id: str, state: Registry) -> Registered:
    handler = state.jobs.get(command.job_name)
    if handler is None or handler.kind != "on_demand" or handler.state != "active":
        raise Refused("unknown_job", f"no handler is called {command.job_name}: `jobledger jobs list` shows what may be scheduled")
    if (command.exclusive_scope == "key") != (command.exclusive_key is not None):
        raise Refused(
            "invalid", f"exclusive_key {command.exclusive_key!r}: it belongs to the exclusive_scope `key`, and has to be given there"
        )
    return Registered(
        job_id,
        command.job_name,
        "scheduled",
        command.queue or handler.queue,
        command.exclusive_scope,
        command.tenant,
        command.actor,
        command.reason,
        command.name,
        command.exclusive_key,
    )


def _decide_retire(command: Retire, job: Job | None) -> list[Event]:
    if job is None:
        raise Refused("unknown_job", f"no job is called {command.job_id}: `jobledger jobs list` shows what there is")
    if job.kind == "system":
        raise Refused("read_only", f"{job.job_id} is a system job: take it out of `system_jobs` and run `jobledger apply`")
    return [] if job.state == "retired" else [Retired(job.job_id, command.actor, command.reason)]


def _decide_manifest(command: ApplyManifest, state: Registry) -> list[Event]:
    if not command.rollback and command.digest in state.manifests:
        return []  # in force already, or superseded by a newer one: an old node changes nothing
    if command.rollback and state.manifests[-1:] == [command.digest]:
        return []
    listed = set()
    in_force = []
    is_older = False
    for job_id, number, content_hash in command.jobs:
        job = state.jobs.get(job_id)
        found = _listed_number(job, number, content_hash) if job is not None and job.kind == "system" else None
        if job is None or found is None:
            raise Refused("unknown_version", f"the manifest names {job_id} version {number} ({content_hash[:12]}), which is not registered")
        listed.add(job_id)
        is_older |= number != AUTO and number < (job.current_version or 0)
        if job.state != "active" or job.current_version != found:
            in_force.append((job_id, found))
    if is_older and not command.rollback:
        return []  # a node with an older configuration, whose set of jobs nobody has seen
    retired = tuple(
        job.job_id for job in state.jobs.values() if job.kind == "system" and job.state == "active" and job.job_id not in listed
    )
    return [ManifestApplied(command.digest, tuple(in_force), retired, command.actor, command.reason)]


def _listed_number(job: Job, number: int, content_hash: str) -> int | None:
    """The version that a manifest means, or None if it is not registered."""
    if number == AUTO:
        return max((one.number for one in job.versions if one.content_hash == content_hash), default=None)
    known = job.version(number)
    return number if known is not None and known.content_hash == content_hash else None


def _next_number(job: Job) -> int:
    return 1 if job.newest is None else job.newest.number + 1


def _is_known(job: Job, number: int, content_hash: str) -> bool:
    known = job.version(number)
    if known is not None and known.content_hash != content_hash:
        raise Refused(
            "drift",
            f"{job.job_id} version {number} is stored with content {known.content_hash[:12]}, "
            f"not {content_hash[:12]}: a changed body needs a new version",
        )
    return known is not None


def _versioned(command: Register | ScheduleJob, job_id: str, number: int, in_force: bool) -> Versioned:
    return Versioned(
        job_id,
        number,
        command.content_hash,
        in_force,
        command.data,
        kept(command.options),
        kept_schedule(command.schedule),
        command.actor,
        command.reason,
        by_content=isinstance(command, ScheduleJob) and command.job_version == AUTO,
    )


def kept_schedule(schedule: ScheduleSpec | None) -> KeptSchedule | None:
    """A schedule on its way from a command into an event."""
    return None if schedule is None else KeptSchedule(**structs.asdict(schedule))


def _refuse_another_identity(job: Job, wanted: tuple[object, ...]) -> None:
    stored = (job.job_name, job.kind, job.queue, job.exclusive_scope, job.tenant, job.exclusive_key, job.exclusive_field)
    names = ("job_name", "kind", "queue", "exclusive_scope", "tenant", "exclusive_key", "exclusive_field")
    for name, is_stored, is_wanted in zip(names, stored, wanted, strict=True):
        if is_stored != is_wanted:
            reason = "scope_changed" if name.startswith("exclusive_") else "identity_changed"
            raise Refused(reason, f"{job.job_id} has {name} {is_stored!r} for its life, not {is_wanted!r}: register another job")


def _check_bounds(command: Register | ScheduleJob) -> None:
    """What the tables and topics can hold."""
    if not AUTO <= command.job_version <= LARGEST_VERSION:
        raise Refused("invalid", f"job_version {command.job_version}: 1 to {LARGEST_VERSION}, or {AUTO} to number by content")
    check_options(command.options)
    names: list[tuple[str, str | None]] = [
        ("job_name", command.job_name),
        ("queue", command.queue),
        ("content_hash", command.content_hash),
        ("tenant", command.tenant),
    ]
    if isinstance(command, Register):
        names.append(("exclusive_field", command.exclusive_field))
    else:
        names += [("name", command.name), ("exclusive_key", command.exclusive_key)]
    check_names(names)

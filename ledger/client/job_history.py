"""Histories from the logs themselves: of a job from the registry and its home partition, of an execution's version, of a command.

The rows of the tables say where to read; records that do not name the job are walked for their chain and not decoded.
"""

from collections import deque
from contextlib import aclosing
from typing import Final

from msgspec import structs

from ledger.client.as_of_reading import REGISTRY, commits_until
from ledger.client.names import check_name
from ledger.config import Settings
from ledger.core import backfill, definition, execution, outcome, pause, tick, wire
from ledger.core.causes import Cause, cause_of_job, first_of_act
from ledger.core.moment import PRESENT, Moment
from ledger.core.pause import Paused, names_of
from ledger.core.refusal import ChainBroken, Refused
from ledger.core.wire import Commit, Event
from ledger.kafka import history
from ledger.kafka.log_reader import LogReader
from projections.cursors import check_limit
from projections.history import commits_naming
from projections.reads import Reads
from projections.rows import Address, CommandOutcome, Execution, JobDefinition, PastEvent
from projections.schedule_rows import TickFilter

MOST: Final = 200  # events of a home partition
_PAUSES: Final = b'"pause.'
_OfHome = tick.Event | backfill.Event | outcome.Accepted | outcome.Rejected


async def job_history(settings: Settings, reads: Reads, job_id: str, most: int = MOST, moment: Moment = PRESENT) -> list[PastEvent]:
    """Everything that the registry says of a job and of pauses that concern it, and the last `most` events of its home partition: ticks and
    what came of them, requests, acts; all up to a moment. The oldest first. Raises `Refused`, and what reading the log raises."""
    job = await reads.definition(check_name(job_id, "job_id"))
    if job is None:
        raise Refused("unknown_job", f"there is no job {job_id}, or the tables do not have it yet: `jobledger jobs list` shows them")
    said = await _of_registry(settings, reads, job, moment)
    if job.kind == "on_demand":
        return said
    happened = await _at_home(settings, reads, job, most, moment, said)
    return sorted([*said, *happened], key=lambda one: (one.at, one.log == "events", one.address.seq, one.address.index))


async def _of_registry(settings: Settings, reads: Reads, job: JobDefinition, moment: Moment) -> list[PastEvent]:
    versions = await reads.versions(job.job_id, limit=200)
    start = 0 if versions.next is not None or not versions.items else versions.items[-1].address.offset
    names = set(names_of(job.job_id, job.queue, job.tenant, job.exclusive_key))
    words = (wire.quoted(job.job_id), _PAUSES)
    return [
        _past(commit, place.offset, index, _alone(event, job.job_id), cause_of_job(commit.events, index))
        async for commit, place in commits_until(
            settings, REGISTRY, moment, lambda record: any(word in record for word in words), start=start
        )
        for index, event in enumerate(moment.covered(commit, commit.events))
        if (isinstance(event, pause.Event) and Paused(event.scope, event.name) in names)
        or (isinstance(event, definition.Event) and job.job_id in definition.jobs_of(event))
    ]


def _alone(event: Event, job_id: str) -> Event:
    """A manifest, as far as it speaks of this job."""
    if not isinstance(event, definition.ManifestApplied):
        return event
    in_force = tuple(one for one in event.in_force if one[0] == job_id)
    return structs.replace(event, in_force=in_force, retired=tuple(one for one in event.retired if one == job_id))


async def _at_home(
    settings: Settings, reads: Reads, job: JobDefinition, most: int, moment: Moment, said: list[PastEvent]
) -> list[PastEvent]:
    """The last `most` rows of ticks say where so many of its events begin at the latest; of those up to a moment nothing does."""
    ticks = await reads.ticks(TickFilter(job=job.job_id), limit=most) if moment == PRESENT else None
    start = 0 if ticks is None or ticks.next is None else ticks.items[-1].address.offset
    home, named = ("events", job.home_partition), wire.quoted(job.job_id)
    found: deque[PastEvent] = deque(maxlen=check_limit(most))
    async for commit, place in commits_until(settings, home, moment, lambda record: named in record, start=start):
        for index, event in enumerate(moment.covered(commit, commit.events)):
            if isinstance(event, execution.Requested | _OfHome) and event.job_id == job.job_id:
                cause = cause_of_job(commit.events, index)
                if cause.kind == "registry":
                    cause = cause._replace(name=_followed(event, commit, said))
                found.append(_past(commit, place.offset, index, event, cause))
    return list(found)


def _followed(event: Event, commit: Commit, said: list[PastEvent]) -> str | None:
    """The name of the registry's event that the home partition acted on."""
    known = [one for one in said if commit.registry is None or one.address.seq <= commit.registry.seq]
    found = next((one.address for one in reversed(known) if _leads_to(one.event, event)), None)
    return None if found is None else f"{found.seq}-{found.index}"


def _leads_to(said: Event, event: Event) -> bool:
    match event:
        case tick.Adopted(job_id, number):
            return _puts_in_force(said, job_id, number)
        case tick.AutoResumed():
            return isinstance(said, pause.Ended) and said.scope == "job"
        case _:
            return isinstance(said, definition.Event)


def _puts_in_force(event: Event, job_id: str, number: int) -> bool:
    match event:
        case definition.Versioned(in_force=True):
            return (event.job_id, event.job_version) == (job_id, number)
        case definition.ManifestApplied():
            return (job_id, number) in event.in_force
        case _:
            return False


async def origin(settings: Settings, reads: Reads, one: Execution) -> list[PastEvent]:
    """Where the version of an execution comes from: who wrote it, and what put it in force, a manifest or an act."""
    version = await reads.version(one.job_id, one.job_version)
    if version is None:
        return []
    found: list[PastEvent] = []
    wanted = (one.job_id, one.job_version)
    async with aclosing(commits_naming(settings, "registry", 0, version.address.offset, None, (wire.quoted(one.job_id),))) as commits:
        async for commit, offset in commits:
            for index, event in enumerate(commit.events):
                in_force = _puts_in_force(event, one.job_id, one.job_version)
                if in_force or (isinstance(event, definition.Versioned) and (event.job_id, event.job_version) == wanted):
                    found.append(_past(commit, offset, index, _alone(event, one.job_id), cause_of_job(commit.events, index)))
                if in_force:
                    return found
    return found


async def command_events(settings: Settings, reads: Reads, found: CommandOutcome) -> list[PastEvent]:
    """What a command led to: the events of its decision; of one that asked for an execution that one's history."""
    if found.execution_id is not None:
        return await reads.history(found.execution_id)
    async with LogReader(settings, found.log, found.address.partition) as reader:
        accepted = await history.at_offset(reader, found.address.offset)
    if accepted is None:
        raise ChainBroken(found.log, found.address.partition, found.address.offset, "the commit that the tables name is not there")
    commit, last = accepted.commit(), found.address.index
    cause = Cause(found.actor, "command", found.command_id)
    first = first_of_act(commit.events, last)
    return [_past(commit, accepted.offset, index, commit.events[index], cause) for index in range(first, last + 1)]


def _past(commit: Commit, offset: int, index: int, event: Event, cause: Cause) -> PastEvent:
    return PastEvent(Address(commit.partition, commit.seq, index, offset), commit.at, event, cause, commit.log)

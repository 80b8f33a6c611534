"""`diff`: what two moments of the registry, and of the schedules in their home partitions, have otherwise. Reads the logs alone."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final, Literal

from ledger.client.as_of_reading import REGISTRY, Progress, commits_until, quietly
from ledger.client.as_of_rows import objects_of
from ledger.client.content import Difference, compared
from ledger.client.history import document_of
from ledger.config import Settings
from ledger.core import tick
from ledger.core.moment import Moment
from ledger.core.refusal import Refused
from ledger.kafka.opening import check_identity
from projections import forms
from projections.folds import fold_of
from projections.patches import Changes
from projections.rows import JobDefinition, JobVersion
from projections.schedule_rows import Pause

_SCHEDULE: Final = b'"schedule.'
_LEFT_OUT: Final = frozenset({"address", "updated_at", "created_at"})  # of a job: when, not what

Kind = Literal["job", "version", "pause", "schedule"]


@dataclass(frozen=True, slots=True)
class Change:
    """`what` became of it between the two moments. `at`, `actor` and `reason`: of what happened last to it, as far as that is known."""

    kind: Kind
    name: str
    what: Literal["added", "changed", "removed"]
    differences: tuple[Difference, ...] = ()
    at: datetime | None = None
    actor: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """A schedule as its home partition has it."""

    job_version: int | None
    paused_itself: str | None = None


@dataclass(frozen=True, slots=True)
class Then:
    """What stood at a moment."""

    jobs: dict[str, JobDefinition]
    versions: dict[tuple[str, int], JobVersion]
    pauses: dict[tuple[str, str], Pause]
    schedules: dict[str, InForce]


async def diff(settings: Settings, first: Moment, second: Moment, progress: Progress = quietly) -> list[Change]:
    """What is there at the second moment and was not, or otherwise, at the first. Raises `Refused` if the second comes before the first,
    and what reading the logs raises."""
    if second.is_before(first):
        raise Refused("invalid_range", "from is after to: say the earlier moment first")
    identity = await check_identity(settings)
    jobs = await _registry(settings, identity.partitions, (first, second), progress)
    schedules: tuple[dict[str, InForce], ...] = ({}, {})
    for partition in range(identity.partitions):
        for known, found in zip(schedules, await _schedules(settings, partition, (first, second), progress), strict=True):
            known.update(found)
    before, after = (Then(*found, known) for found, known in zip(jobs, schedules, strict=True))
    return list(changes_between(before, after))


Registry = tuple[dict[str, JobDefinition], dict[tuple[str, int], JobVersion], dict[tuple[str, str], Pause]]


async def _registry(settings: Settings, partitions: int, moments: tuple[Moment, Moment], progress: Progress) -> list[Registry]:
    """At both moments, in one reading. A commit of which only the first part is covered is the last of its moment."""
    changes, fold, found = Changes(), fold_of("registry", partitions), list[Registry]()
    first, second = moments
    async with aclosing(commits_until(settings, REGISTRY, second, progress=progress)) as commits:
        async for commit, place in commits:
            covered = len(first.covered(commit, commit.events)) if first.covers(commit) else 0
            for index, event in enumerate(second.covered(commit, commit.events)):
                if index >= covered and not found:
                    found.append(_stood(changes))
                fold(changes, event, place, index)
    last = _stood(changes)
    return [*(found or [last]), last]


def _stood(changes: Changes) -> Registry:
    jobs = objects_of(JobDefinition, forms.DEFINITIONS, changes.definitions)
    versions = objects_of(JobVersion, forms.VERSIONS, changes.versions)
    pauses = objects_of(Pause, forms.PAUSES, changes.pauses)
    return (
        {one.job_id: one for one in jobs},
        {(one.job_id, one.job_version): one for one in versions},
        {(one.scope, one.name): one for one in pauses},
    )


async def _schedules(
    settings: Settings, partition: int, moments: tuple[Moment, Moment], progress: Progress
) -> tuple[dict[str, InForce], dict[str, InForce]]:
    before, after = dict[str, InForce](), dict[str, InForce]()
    first, second = moments
    commits = commits_until(settings, ("events", partition), second, lambda record: _SCHEDULE in record, progress=progress)
    async with aclosing(commits):
        async for commit, _ in commits:
            _fold(after, second.covered(commit, commit.events))
            if first.covers(commit):
                _fold(before, first.covered(commit, commit.events))
    return before, after


def _fold(known: dict[str, InForce], events: Sequence[object]) -> None:
    for event in events:
        match event:
            case tick.Adopted(job_id, number):
                known[job_id] = InForce(number, known[job_id].paused_itself if job_id in known else None)
            case tick.Dropped(job_id):
                known.pop(job_id, None)
            case tick.AutoPaused(job_id, note=note) if job_id in known:
                known[job_id] = InForce(known[job_id].job_version, note)
            case tick.AutoResumed(job_id) if job_id in known:
                known[job_id] = InForce(known[job_id].job_version)
            case _:
                pass


def changes_between(before: Then, after: Then) -> Iterator[Change]:
    """Pure. By kind, then by name."""
    yield from _jobs(before, after)
    yield from _versions(before, after)
    yield from _pauses(before, after)
    for job_id in sorted(before.schedules.keys() | after.schedules.keys()):
        was, is_ = before.schedules.get(job_id), after.schedules.get(job_id)
        if was != is_:
            what: Literal["added", "changed", "removed"] = "added" if was is None else "removed" if is_ is None else "changed"
            yield Change("schedule", job_id, what, tuple(compared(_said(was), _said(is_))))


def _jobs(before: Then, after: Then) -> Iterator[Change]:
    for job_id, job in sorted(after.jobs.items()):
        was = before.jobs.get(job_id)
        found = tuple(compared(_said(was), _said(job)))
        if found:
            yield Change("job", job_id, "added" if was is None else "changed", found, job.updated_at)


def _versions(before: Then, after: Then) -> Iterator[Change]:
    """A version never changes: what is told is its difference to the one before it."""
    for (job_id, number), version in sorted(after.versions.items()):
        if (job_id, number) in before.versions:
            continue
        older = max((one for name, one in after.versions if name == job_id and one < number), default=None)
        found = compared({} if older is None else document_of(after.versions[job_id, older]), document_of(version))
        yield Change("version", f"{job_id} {number}", "added", tuple(found), version.created_at, version.actor, version.reason)


def _pauses(before: Then, after: Then) -> Iterator[Change]:
    for key in sorted(before.pauses.keys() | after.pauses.keys()):
        was, is_ = before.pauses.get(key), after.pauses.get(key)
        name = " ".join(key)
        if is_ is None:
            yield Change("pause", name, "removed", tuple(compared(_said(was), {})))
        elif was is None or was.since != is_.since:
            yield Change(
                "pause", name, "added" if was is None else "changed", tuple(compared(_said(was), _said(is_))), is_.since, is_.actor
            )


def _said(one: JobDefinition | Pause | InForce | None) -> dict[str, object]:
    """What it says, without what it leaves open."""
    if one is None:
        return {}
    said = {field.name: getattr(one, field.name) for field in fields(one) if field.name not in _LEFT_OUT}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in said.items() if value is not None}

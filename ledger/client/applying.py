"""`apply`: makes the registry say what settings and handlers declare. Idempotent; eight nodes at once leave one version of each job.

The registry's log is read first, so a start that changes nothing sends nothing. Source: scheduling.md, section 3.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ledger.client.at_once import Moment, owed, run_at_once
from ledger.client.content import content_of, differences, manifest_digest
from ledger.client.declared import Declared, declared
from ledger.client.ledger import Ledger
from ledger.client.line import DECISION
from ledger.client.registry_now import registry_now
from ledger.client.who import who
from ledger.config import Settings
from ledger.core import definition, wire
from ledger.core.definition import AUTO, Job, Registry, Version
from ledger.core.ids import Micros
from ledger.core.outcome import Answer
from ledger.core.refusal import Conflict, Misconfigured
from ledger.handlers import Jobs
from ledger.submitting.naming import fresh_command_id

ROOM_TO_SAY: Final = 16 * 1024  # bytes of a manifest's command: who applies it, and why
Verdict = Literal["added", "changed", "unchanged", "stale", "retired", "drift", "refused"]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one job. `details`: field by field where something differs. `is_new`: the version is not stored yet."""

    job_id: str
    verdict: Verdict
    job_version: int | None = None
    details: tuple[str, ...] = ()
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between what is declared and the registry. `manifest`: what becomes of the set of system jobs."""

    changes: tuple[Change, ...]
    manifest: Literal["applied", "unchanged", "stale"]
    digest: str

    @property
    def changes_something(self) -> bool:
        return self.manifest == "applied" or any(one.verdict in ("added", "changed") for one in self.changes)

    def refuse(self) -> None:
        """Raises `Conflict` where what is declared contradicts what is stored."""
        wrong = [one for one in self.changes if one.verdict in ("drift", "refused")]
        if wrong:
            raise Conflict("nothing was applied:\n" + "\n".join(_said(one) for one in wrong))


ApplyReport = Plan


def _said(change: Change) -> str:
    if change.verdict == "drift":
        number = change.job_version
        head = f"  {change.job_id} version {number} is stored with another content: give the new content version {(number or 0) + 1}"
    else:
        head = f"  {change.job_id} is refused"
    return "\n".join([head, *(f"    {detail}" for detail in change.details)])


def plan(wanted: Sequence[Declared], registry: Registry, *, rollback: bool = False) -> Plan:
    """What `apply` would do. Pure. Raises `Misconfigured` for more system jobs than a manifest takes."""
    manifest = _manifest(wanted)
    _check_size(manifest)
    digest = manifest_digest(manifest)
    in_force = registry.manifests[-1:] == [digest]
    superseded = digest in registry.manifests and not in_force and not rollback
    changes = [_understood(one, _change(one, registry, superseded, rollback)) for one in wanted]
    if in_force or superseded:
        return Plan(tuple(changes), "unchanged" if in_force else "stale", digest)
    if any(change.verdict == "stale" and one.kind == "system" for one, change in zip(wanted, changes, strict=True)):
        changes = [_ignored(one, change) for one, change in zip(wanted, changes, strict=True)]
        return Plan(tuple(changes), "stale", digest)  # an older node: its manifest would be refused, or change nothing
    if not manifest and not registry.manifests:
        return Plan(tuple(changes), "unchanged", digest)  # there never was a system job
    listed = {one.job_id for one in wanted}
    retired = [job for job in registry.jobs.values() if job.kind == "system" and job.state == "active" and job.job_id not in listed]
    changes += [Change(job.job_id, "retired", job.current_version) for job in retired]
    return Plan(tuple(changes), "applied", digest)


def _understood(one: Declared, change: Change) -> Change:
    """Settings and handlers were compared before; what is numbered by content has its number only now. Where nothing changed, a newer
    number is no mistake of older code in a rolling deploy; an older one is: what it asks for would be skipped as too old."""
    low, high = one.understood
    number = change.job_version or low
    is_wrong = number < low or (number > high and change.verdict != "unchanged")
    if one.job_version != AUTO or change.verdict not in ("added", "changed", "unchanged") or not is_wrong:
        return change
    fix = f"declare it with version={number}" if number > high else f"say `version: {low}` instead of auto"
    said = f"`version: auto` gives this content the number {number}, but the handler at {one.place} understands {low} to {high}: {fix}"
    return Change(one.job_id, "refused", number, (said,))


def _ignored(one: Declared, change: Change) -> Change:
    """Of an older node nothing that belongs to the manifest is done."""
    return replace(change, verdict="stale") if one.kind == "system" and change.verdict in ("added", "changed") else change


def _manifest(wanted: Sequence[Declared]) -> tuple[tuple[str, int, str], ...]:
    return tuple(sorted((one.job_id, one.job_version, one.content_hash) for one in wanted if one.kind == "system"))


def _check_size(manifest: tuple[tuple[str, int, str], ...]) -> None:
    """Before anything is registered: a manifest is one command."""
    size, most = len(wire.encode(definition.ApplyManifest("", "", manifest))), wire.LARGEST_COMMAND - ROOM_TO_SAY
    if size > most:
        raise Misconfigured(
            f"{len(manifest)} system jobs do not fit into a manifest: that takes {size} bytes, at most {most}, which is about "
            f"{most * len(manifest) // size} such jobs; let an application give the others their schedules (`ledger.schedule`)"
        )


def _change(one: Declared, registry: Registry, superseded: bool, rollback: bool) -> Change:
    job = registry.jobs.get(one.job_id)
    if job is None:
        return Change(one.job_id, "added", one.job_version or 1, is_new=True)
    stored_as = {"job_name": job.job_name, "kind": job.kind, "queue": job.queue, "exclusive_scope": job.exclusive_scope}
    wanted_as = {"job_name": one.job_name, "kind": one.kind, "queue": one.queue, "exclusive_scope": one.exclusive_scope}
    stored_as |= {"exclusive_field": job.exclusive_field} if job.exclusive_field else {}
    wanted_as |= {"exclusive_field": one.exclusive_field} if one.exclusive_field else {}
    if stored_as != wanted_as or job.tenant is not None:
        fixed = (*differences(dict(stored_as), dict(wanted_as)), "these are fixed for its life: register another job")
        return Change(one.job_id, "refused", one.job_version, fixed)
    if one.job_version == AUTO:
        return _numbered_by_content(one, job, superseded)
    known = job.version(one.job_version)
    if known is not None and known.content_hash != one.content_hash:
        stored = content_of(known.data, known.options, known.schedule)
        return Change(one.job_id, "drift", one.job_version, tuple(differences(stored, one.content)))
    if known is not None:
        if one.kind == "system" and known.number < (job.current_version or 0) and not rollback:
            return Change(one.job_id, "stale", known.number, (f"version {job.current_version} was in force last: this node is older",))
        return Change(one.job_id, _verdict(one, job, known, superseded), one.job_version, _of_retired(one, job))
    newest = job.newest
    if newest is not None and newest.number > one.job_version:
        return Change(one.job_id, "stale", one.job_version, (f"version {newest.number} is stored: this node is older",))
    return Change(one.job_id, "changed", one.job_version, tuple(differences(_content_of(newest), one.content)), is_new=True)


def _numbered_by_content(one: Declared, job: Job, superseded: bool) -> Change:
    """`version: auto`: a content that is known keeps its number, another one gets the next."""
    same = [version for version in job.versions if version.content_hash == one.content_hash]
    if same:
        known = max(same, key=lambda version: version.number)
        return Change(one.job_id, _verdict(one, job, known, superseded), known.number, _of_retired(one, job))
    newest = job.newest
    number = 1 if newest is None else newest.number + 1
    return Change(one.job_id, "changed", number, tuple(differences(_content_of(newest), one.content)), is_new=True)


def _verdict(one: Declared, job: Job, known: Version, superseded: bool) -> Verdict:
    """What becomes of a job whose wanted version is stored."""
    if one.kind != "system" or (job.state == "active" and job.current_version == known.number):
        return "unchanged"
    return "stale" if superseded else "changed"


def _of_retired(one: Declared, job: Job) -> tuple[str, ...]:
    """A system job comes back with the manifest; what somebody retired stays so under the same content."""
    if one.kind == "system" or job.state != "retired" or job.newest is None:
        return ()
    return (f"it was retired and takes no submits: version {job.newest.number + 1} brings it back",)


def _content_of(version: Version | None) -> dict[str, object]:
    return {} if version is None else content_of(version.data, version.options, version.schedule)


async def plan_configuration(settings: Settings, jobs: Jobs, *, rollback: bool = False) -> Plan:
    """What `apply_configuration` would do now, and nothing done. Raises `Misconfigured` if settings and handlers do not fit."""
    wanted = declared(settings, jobs)
    return plan(wanted, (await registry_now(settings)).registry, rollback=rollback)


async def apply_configuration(
    settings: Settings,
    jobs: Jobs,
    *,
    rollback: bool = False,
    actor: str | None = None,
    reason: str | None = None,
    timeout: float = DECISION,
) -> ApplyReport:
    """Register what is new, then put the manifest in force. Raises `Misconfigured`, `Conflict` (drift; nothing is applied then),
    `Unavailable`, `Undecided` if no control decides within `timeout`."""
    actor = actor or who()
    wanted = declared(settings, jobs)
    fold = await registry_now(settings)
    registry = fold.registry
    found = plan(wanted, registry, rollback=rollback)
    found.refuse()
    moment = Moment(Micros(fold.head.at), Micros(time.time_ns() // 1000))
    to_run = owed(_immediate(wanted, found), registry, moment, settings.limits.deduplication_window)
    if not found.changes_something and not to_run:
        return found
    moved = {one.job_id for one in found.changes if one.verdict in ("added", "changed")}
    after = None
    async with Ledger.connect(settings, jobs=jobs, actor=actor) as ledger:
        await asyncio.gather(*(_act(ledger, _register(one, actor, reason), timeout) for one in wanted if one.job_id in moved))
        if found.manifest == "applied":
            command = definition.ApplyManifest(fresh_command_id(), found.digest, _manifest(wanted), rollback, actor, reason)
            after = (await _act(ledger, command, timeout)).address
        await asyncio.gather(*(run_at_once(ledger, job_id, number, after, reason, timeout) for job_id, number in to_run))
    return found


def _immediate(wanted: Sequence[Declared], found: Plan) -> list[tuple[str, int]]:
    """The versions that say so and are in force once this is applied."""
    changes = zip(wanted, found.changes, strict=False)  # those that are retired come last
    done = ("added", "changed", "unchanged") if found.manifest != "stale" else ("unchanged",)
    return [(one.job_id, change.job_version or 1) for one, change in changes if one.immediately and change.verdict in done]


async def _act(ledger: Ledger, command: definition.Command, timeout: float) -> Answer:
    answer = await ledger.act(command, timeout)
    if answer.outcome == "rejected":
        what = command.job_id if isinstance(command, definition.Register) else "the manifest"
        raise Conflict(f"{what} was refused ({answer.reason}): {answer.detail}")
    return answer


def _register(one: Declared, actor: str | None, reason: str | None) -> definition.Register:
    return definition.Register(
        fresh_command_id(),
        one.job_id,
        one.job_name,
        one.kind,
        one.queue,
        one.job_version,
        one.content_hash,
        one.exclusive_scope,
        exclusive_field=one.exclusive_field,
        data=one.data,
        options=one.options,
        schedule=one.schedule,
        actor=actor,
        reason=reason,
    )

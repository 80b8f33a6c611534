"""`whatif`: the recorded past of some jobs replayed under another policy. The logs are read; nothing is written anywhere."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.client.as_of_reading import REGISTRY, Progress, accepted_until, commits_until, quietly
from ledger.client.moments import datetime_of
from ledger.client.whatif_facts import RegistryCommit
from ledger.client.whatif_tape import Cast, Tape, books, has_other_ticks, registry_under
from ledger.config import Settings
from ledger.core import definition
from ledger.core.definition import Registered
from ledger.core.ids import exclusive_key, partition_for, routing_key
from ledger.core.moment import PRESENT, Moment
from ledger.core.policies import check_policies
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tzif import tzdata_version
from ledger.core.whatif import JobWhatIf, Policy, compared
from ledger.core.wire import Commit
from ledger.kafka.opening import check_identity

MOST_JOBS: Final = 100


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The range is (from_, until], in whole commits. `is_same`: the policy would have changed nothing."""

    from_: datetime
    until: datetime
    policy: Policy
    jobs: tuple[JobWhatIf, ...]
    warnings: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        return all(one.is_same for one in self.jobs)


async def whatif(
    settings: Settings, job_ids: Sequence[str], first: Moment, second: Moment, policy: Policy, progress: Progress = quietly
) -> WhatIf:
    """Raises `Refused`: no such job, one without a schedule, a policy that cannot be, a range the wrong way round or too long; and what
    reading the logs raises."""
    if first.at >= second.at:
        raise Refused("invalid_range", "from is not before to: nothing happened between them")
    if not 1 <= len(job_ids) <= MOST_JOBS:
        raise Refused("invalid", f"{len(job_ids)} jobs: 1 to {MOST_JOBS} can be replayed together")
    identity = await check_identity(settings)
    registry = await _registry(settings, progress)
    known = {event.job_id: event for commit in registry for event in commit.events if isinstance(event, Registered)}
    specs = {job_id: _checked(policy, registry, known, job_id) for job_id in job_ids}
    changed = [job_id for job_id, found in specs.items() if any(has_other_ticks(policy, spec) for spec in found)]
    jobs: list[JobWhatIf] = []
    for cast, mine in _casts(known, list(dict.fromkeys(job_ids)), identity.partitions):
        tape = Tape(cast, first, capped=policy.concurrency is not None)
        async with aclosing(accepted_until(settings, ("events", cast.partition), second, progress=progress)) as commits:
            async for accepted in commits:
                tape.feed(accepted.header, accepted.record, accepted.offset)
        tape.end()
        under = list(registry_under(policy, registry, cast, frozenset(mine)))
        # It may take minutes, and the caller's event loop owes others their turns.
        jobs += await asyncio.to_thread(_replayed, tape, under, policy, mine, [one for one in mine if one in changed])
    return WhatIf(datetime_of(first.at), datetime_of(second.at), policy, tuple(jobs), _warnings(registry))


def _replayed(
    tape: Tape, registry: Sequence[RegistryCommit], policy: Policy, job_ids: Sequence[str], changed: Sequence[str]
) -> list[JobWhatIf]:
    recorded, replayed = books(tape, registry, policy, changed)
    return [compared(job_id, recorded, replayed) for job_id in job_ids]


async def _registry(settings: Settings, progress: Progress) -> list[Commit]:
    """All of it: a commit of events may name any place of it that was there by then."""
    async with aclosing(commits_until(settings, REGISTRY, PRESENT, progress=progress)) as commits:
        return [commit async for commit, _ in commits]


def _checked(policy: Policy, registry: Sequence[Commit], known: dict[str, Registered], job_id: str) -> list[ScheduleSpec]:
    """The schedules of all its versions, each of which the policy has to fit."""
    if job_id not in known:
        raise Refused("unknown_job", f"there is no job {job_id}: `jobledger jobs list` shows what there is")
    events = (event for commit in registry for event in commit.events if isinstance(event, definition.Versioned))
    specs: list[ScheduleSpec] = [event.schedule for event in events if event.job_id == job_id and event.schedule is not None]
    if not specs:
        raise Refused("no_schedule", f"{job_id} has no schedule, so no policy decides when it runs")
    for spec in specs:
        after = policy.applied(spec)
        Schedule.from_spec(after)
        check_policies(after)
    return specs


def _casts(known: dict[str, Registered], job_ids: Sequence[str], partitions: int) -> list[tuple[Cast, list[str]]]:
    """By home partition: those that are looked at, and with them whoever shares an exclusivity key of theirs."""
    homes: dict[int, list[str]] = {}
    for job_id in job_ids:
        one = known[job_id]
        route = routing_key(job_id, one.job_name, one.tenant, one.exclusive_scope, one.exclusive_key, True, "")
        homes.setdefault(partition_for(route, partitions), []).append(job_id)
    casts: list[tuple[Cast, list[str]]] = []
    for home, mine in homes.items():
        keys = frozenset(key for job_id in mine if (key := _key(known[job_id])) is not None)
        others = (job_id for job_id, one in known.items() if one.kind != "on_demand" and _key(one) in keys)
        casts.append((Cast(home, frozenset((*mine, *others)), keys), mine))
    return casts


def _key(one: Registered) -> str | None:
    return exclusive_key(one.job_id, one.job_name, one.tenant, one.exclusive_scope, one.exclusive_key)


def _warnings(registry: Sequence[Commit]) -> tuple[str, ...]:
    mine = tzdata_version()
    said = {event.tzdata for commit in registry for event in commit.events if isinstance(event, definition.Versioned)}
    others = sorted(one for one in said if one is not None and one != mine)
    return (f"schedules were taken with tzdata {', '.join(others)}, this program has {mine}: instants may differ",) if others else ()

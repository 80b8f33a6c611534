"""What a pause holds, said of rows as they are read: a pause of a tenant does not rewrite its ten thousand, and its end neither."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import select, tuple_

from ledger.config import Settings
from ledger.core.execution import Requested
from ledger.core.pause import Paused, names_of
from projections import schedule_tables as tables
from projections.history import read_history
from projections.querying import Queries
from projections.rows import Execution, JobDefinition


def may_hold(one: Execution) -> list[Paused]:
    """The pauses that would hold an execution, the one that is told first; none of one that waits for something else, or does not wait."""
    return names_of(one.job_id, one.queue, one.tenant, one.exclusive_key) if one.state == "waiting" and one.waiting_reason is None else []


def held(one: Execution, standing: Container[Paused]) -> Execution:
    """`paused(job)`, `paused(queue)`, `paused(tenant)` or `paused(key)` as the waiting reason of what waits for that alone."""
    cause = next((name for name in may_hold(one) if name in standing), None)
    return one if cause is None else replace(one, waiting_reason=f"paused({cause.scope})")


def as_paused(one: JobDefinition, note: str | None) -> JobDefinition:
    """A job that paused itself, and `note` says why, is shown as one that somebody paused: its own row is the registry's, which does not
    know."""
    return one if note is None or one.state != "active" else replace(one, state="paused", paused_note=note)


async def with_pauses(settings: Settings, queries: Queries, found: Sequence[Execution]) -> tuple[Execution, ...]:
    """As it is now."""
    names = {name for one in found for name in may_hold(one)}
    standing = await _standing(queries, names) if names else frozenset[Paused]()
    if not standing:
        return tuple(found)
    told: list[Execution] = []
    for one in found:
        holds = held(one, standing)
        told.append(one if holds is not one and await _ignores_pauses(settings, one) else holds)
    return tuple(told)


async def _standing(queries: Queries, names: Iterable[Paused]) -> frozenset[Paused]:
    """Those of the pauses that stand: by an act, or by a job itself after failures."""
    wanted = sorted(names)
    acts, jobs = tables.pauses.c, tables.job_status.c
    of_acts = select(acts.scope, acts.name).where(tuple_(acts.scope, acts.name).in_(wanted))
    named = [name for scope, name in wanted if scope == "job"]
    by_themselves = select(jobs.job_id).where(jobs.job_id.in_(named), jobs.auto_paused_note.is_not(None))
    found = await queries.rows(of_acts, lambda row: Paused(row["scope"], row["name"]))
    found += await queries.rows(by_themselves, lambda row: Paused("job", row["job_id"]))
    return frozenset(found)


async def _ignores_pauses(settings: Settings, one: Execution) -> bool:
    """Only a run by hand may, and only its request says so: the log knows."""
    if one.trigger != "run_now":
        return False
    return any(isinstance(past.event, Requested) and past.event.ignore_pause for past in await read_history(settings, one))

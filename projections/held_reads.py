"""What a pause holds, said of rows as they are read: a pause of a tenant does not rewrite its ten thousand, and its end neither."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import select, tuple_

from ledger.config import Settings
from ledger.core.execution import Requested
from ledger.core.pause import Paused, names_of
from projections import schedule_tables as tables
from projections.history import read_history
from projections.querying import Queries
from projections.rows import Execution


async def with_pauses(settings: Settings, queries: Queries, found: Sequence[Execution]) -> tuple[Execution, ...]:
    """`paused(job)`, `paused(queue)`, `paused(tenant)` or `paused(key)` as the waiting reason of what waits for that alone."""
    waiting = {
        one.execution_id: names_of(one.job_id, one.queue, one.tenant, one.exclusive_key)
        for one in found
        if one.state == "waiting" and one.waiting_reason is None
    }
    standing = await _standing(queries, {name for names in waiting.values() for name in names}) if waiting else frozenset[Paused]()
    if not standing:
        return tuple(found)
    causes = {one: next((name for name in names if name in standing), None) for one, names in waiting.items()}
    told: list[Execution] = []
    for one in found:
        cause = causes.get(one.execution_id)
        is_held = cause is not None and not await _ignores_pauses(settings, one)
        told.append(replace(one, waiting_reason=f"paused({cause.scope})") if cause is not None and is_held else one)
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

"""`why`: what became of each expected tick of a job; why an execution waits, or ended so."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from ledger.client.line import Line
from ledger.client.moments import datetime_of
from ledger.client.redis_reads import Standing
from ledger.client.waits_for import WaitsFor, reached_limits, waits_for
from ledger.client.why_execution import Around, WhyExecution, explain_execution
from ledger.client.why_job import WhyJob, why_job
from ledger.client.why_late import lateness
from ledger.client.why_words import Spent
from ledger.client.why_workers import takers, unserved
from ledger.config import Settings
from ledger.core.pause import Paused, names_of
from ledger.core.refusal import Refused
from ledger.core.tick import ON_TIME
from ledger.core.workers import About
from projections.paging import micros_of
from projections.reads import Reads
from projections.rows import Execution
from projections.schedule_past import Held, read_registry


class WhyActs:
    """A part of `Ledger`."""

    _line: Line

    async def why(
        self, job_id: str, *, at: datetime | str | None = None, from_: datetime | str | None = None, to: datetime | str | None = None
    ) -> WhyJob:
        """Every tick that the schedules of a job expected, with exactly one class. One tick (`at`) or a range, both ends inclusive; without
        any the last day. Instants without an offset are read in the schedule's zone. Raises `Refused`, and what reading the log raises."""
        reads = await self._line.tables.reads()
        return await why_job(self._line.settings, reads, job_id, _now(), at=at, from_=from_, to=to)

    async def why_execution(self, execution_id: str) -> WhyExecution:
        """Why it waits now, and behind what; or why it ended so. Raises `Refused` if the tables have no such execution."""
        reads = await self._line.tables.reads()
        one = await _found(reads, execution_id)
        return explain_execution(await _around(self._line.settings, reads, one, _now()))

    async def waits_for(self, execution: Execution | str) -> tuple[WaitsFor, ...]:
        """Who holds what it waits for at this moment: its exclusivity key, a former run, or limits over all workers, as Redis has them.
        Nothing of one that does not wait. Raises `Refused` if the tables have no such execution."""
        reads = await self._line.tables.reads()
        one = await _found(reads, execution) if isinstance(execution, str) else execution
        return await waits_for(self._line.settings, reads, one)


async def _found(reads: Reads, execution_id: str) -> Execution:
    one = await reads.execution(execution_id)
    if one is None:
        raise Refused("unknown_execution", f"the tables have no execution {execution_id}, or do not have it yet")
    return one


async def _around(settings: Settings, reads: Reads, one: Execution, now: int) -> Around:
    attempts, events = await reads.attempts(one.execution_id), await reads.history(one.execution_id)
    spent = await _spent(settings, reads, one, now)
    if one.state != "waiting":
        return Around(one, now, attempts, events, spent=spent)
    since = one.eligible_at or one.requested_at
    line = [] if one.exclusive_key is None else await reads.line(one.exclusive_key)
    limits: Sequence[Standing] = ()
    workers: Sequence[About] | None = None
    if one.blocked_by is None:  # together: each waits for a Redis that is silent
        limits, workers = await asyncio.gather(reached_limits(settings, one), takers(settings))
    return Around(
        one,
        now,
        attempts,
        events,
        await _standing(reads, one),
        line,
        None if one.blocked_by is None else await reads.execution(one.blocked_by),
        await reads.running_in(one.queue),
        await reads.started_in(one.queue, since, datetime_of(now)),
        spent,
        limits,
        unserved(one, workers, settings.limits.version_grace) if one.blocked_by is None else None,
    )


async def _standing(reads: Reads, one: Execution) -> list[Held]:
    """The pauses in force that concern it."""
    held: list[Held] = []
    for scope, name in _names(one):
        if (found := await reads.pause(scope, name)) is not None:
            held.append(Held(scope, name, micros_of(found.since), None, found.note, found.actor))
    status = await reads.status(one.job_id)
    if status is not None and status.auto_paused_note is not None:
        since = status.last_finished_at or one.requested_at
        held.append(Held("itself", one.job_id, micros_of(since), None, status.auto_paused_note))
    return held


def _names(one: Execution) -> list[Paused]:
    return names_of(one.job_id, one.queue, one.tenant, one.exclusive_key)


async def _spent(settings: Settings, reads: Reads, one: Execution, now: int) -> tuple[Spent, ...]:
    """Of one that started late, or was missed: what the time went into."""
    until = one.finished_at if one.state == "missed" else one.first_started_at
    if until is None:
        return ()
    due_at = micros_of(one.run_at or one.requested_at)
    if one.trigger == "schedule" and one.tick_at is not None:
        tick = await reads.tick(one.job_id, one.tick_at)
        due_at = micros_of(one.tick_at if tick is None or tick.due_at is None else tick.due_at)
    if one.state != "missed" and micros_of(until) - due_at <= ON_TIME:
        return ()
    past = await read_registry(settings, one.job_id, _names(one))
    return await lateness(settings, reads, one, due_at, past.held, now)


def _now() -> int:
    return time.time_ns() // 1000

"""The read services: definitions, versions, executions, what became of commands, the history of an execution from the log itself; and
what `schedule_reads.py` adds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from psycopg.rows import DictRow
from sqlalchemy import Select, case, func, select, tuple_

from ledger.config import Settings
from projections import tables
from projections.acting_reads import ActingReads
from projections.bulk_reads import BulkReads
from projections.cursors import cursor_of, read_cursor
from projections.filters import check_definitions, conditions
from projections.folds import PROJECTION
from projections.held_reads import as_paused, with_pauses
from projections.history import read_history
from projections.load_reads import LoadReads
from projections.paging import instant_of, micros_of, page_of, with_address
from projections.querying import Queries, open_queries
from projections.rows import (
    Attempt,
    CommandOutcome,
    Execution,
    ExecutionFilter,
    JobDefinition,
    JobVersion,
    Page,
    PastEvent,
    PositionRow,
    Running,
)
from projections.schedule_reads import ScheduleReads
from projections.schedule_tables import job_status
from projections.why_reads import WhyReads

COMMAND_OF: Final = {"submit": "execution.submit.v1", "run_now": "job.run_now.v1", "retry": "execution.retry.v1"}  # by trigger
FIRST_LOOK: Final = 0.005
LONGEST_LOOK: Final = 0.1
EVERYTHING: Final = ExecutionFilter()


@asynccontextmanager
async def open_reads(settings: Settings) -> AsyncIterator["Reads"]:
    """For the time of the block."""
    async with open_queries(settings) as queries:
        yield Reads(settings, queries)


class Reads(ScheduleReads, WhyReads, ActingReads, BulkReads, LoadReads):
    """Every method raises `Unavailable` if Postgres is away, `Misconfigured` if it has no tables. Lists raise `Unfit` for a limit, a
    cursor, a kind or a state that cannot be."""

    def __init__(self, settings: Settings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries

    async def definitions(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        job_name: str | None = None,
        tenant: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[JobDefinition]:
        """By job id."""
        columns = tables.job_definitions.c
        check_definitions(kind, state)
        by_itself = (columns.state == "active") & job_status.c.auto_paused_note.is_not(None)
        shown = case((by_itself, "paused"), else_=columns.state)  # as `as_paused` has it
        wanted = ((columns.kind, kind), (shown, state), (columns.job_name, job_name), (columns.tenant, tenant))
        query = _definitions().where(*(column == value for column, value in wanted if value is not None))
        if cursor is not None:
            query = query.where(columns.job_id > read_cursor(cursor, "definitions", str)[0])
        query = query.order_by(columns.job_id)
        return await page_of(self._queries, query, limit, _definition, lambda one: cursor_of("definitions", one.job_id))

    async def definition(self, job_id: str) -> JobDefinition | None:
        return await self._queries.one(_definitions().where(tables.job_definitions.c.job_id == job_id), _definition)

    async def versions(self, job_id: str, *, cursor: str | None = None, limit: int = 50) -> Page[JobVersion]:
        """The newest first."""
        columns = tables.job_versions.c
        query = select(tables.job_versions).where(columns.job_id == job_id)
        if cursor is not None:
            query = query.where(columns.job_version < read_cursor(cursor, "versions", int)[0])
        query = query.order_by(columns.job_version.desc())
        return await page_of(self._queries, query, limit, _version, lambda one: cursor_of("versions", one.job_version))

    async def version(self, job_id: str, job_version: int) -> JobVersion | None:
        columns = tables.job_versions.c
        return await self._queries.one(
            select(tables.job_versions).where(columns.job_id == job_id, columns.job_version == job_version), _version
        )

    async def executions(self, where: ExecutionFilter = EVERYTHING, *, cursor: str | None = None, limit: int = 50) -> Page[Execution]:
        """The newest request first."""
        columns = tables.job_executions.c
        query = select(tables.job_executions).where(*conditions(where))
        if cursor is not None:
            requested, execution_id = read_cursor(cursor, "executions", int, str)
            query = query.where(tuple_(columns.requested_at, columns.execution_id) < tuple_(instant_of(requested), execution_id))
        query = query.order_by(columns.requested_at.desc(), columns.execution_id.desc())
        page = await page_of(
            self._queries, query, limit, _execution, lambda one: cursor_of("executions", micros_of(one.requested_at), one.execution_id)
        )
        return Page(await with_pauses(self._settings, self._queries, page.items), page.next)

    async def execution(self, execution_id: str) -> Execution | None:
        columns = tables.job_executions.c
        found = await self._queries.one(select(tables.job_executions).where(columns.execution_id == execution_id), _execution)
        return None if found is None else (await with_pauses(self._settings, self._queries, [found]))[0]

    async def execution_of_command(self, command_id: str, tenant: str | None = None) -> Execution | None:
        """The execution that a command asked for. Several tenants may use one id: without a tenant the newest is meant. A backfill asks
        for many and is an act: see `bulk_act`."""
        columns = tables.job_executions.c
        query = select(tables.job_executions).where(columns.command_id == command_id, columns.trigger != "backfill")
        if tenant is not None:
            query = query.where(columns.tenant == tenant)
        return await self._queries.one(query.order_by(columns.requested_at.desc()), _execution)

    async def running_by_worker(self) -> dict[str, Running]:
        """Who performs how many, as far as the tables know."""
        columns = tables.job_executions.c
        counted = select(columns.worker, func.min(columns.queue).label("queue"), func.count().label("running"))
        query = counted.where(columns.state.in_(("active", "processing"))).group_by(columns.worker)
        return dict(await self._queries.rows(query, lambda row: (row["worker"], Running(row["queue"], row["running"]))))

    async def attempts(self, execution_id: str) -> list[Attempt]:
        """The first one first."""
        columns = tables.execution_attempts.c
        query = select(tables.execution_attempts).where(columns.execution_id == execution_id).order_by(columns.attempt)
        return await self._queries.rows(query, _attempt)

    async def history(self, execution_id: str) -> list[PastEvent]:
        """Its events from the log, the oldest first; none if there is no such execution. Raises also what reading the log raises."""
        row = await self.execution(execution_id)
        return [] if row is None else await read_history(self._settings, row)

    async def command(self, command_id: str) -> CommandOutcome | None:
        """What became of a command, as far as the tables know; the latest word if there are several."""
        columns = tables.command_outcomes.c
        query = select(tables.command_outcomes).where(columns.command_id == command_id)
        found = await self._queries.one(query.order_by(columns.decided_at.desc(), columns.log_seq.desc()), _outcome)
        if (execution := await self.execution_of_command(command_id)) is None:
            return found
        return _accepted(command_id, execution)

    async def accepted(self, command_ids: Sequence[str]) -> list[CommandOutcome]:
        """Those of these acts that were decided and not refused."""
        columns = tables.command_outcomes.c
        query = select(tables.command_outcomes).where(columns.command_id.in_(list(command_ids)), columns.outcome != "rejected")
        return await self._queries.rows(query.order_by(columns.decided_at), _outcome)

    async def positions(self, projection: str = PROJECTION) -> list[PositionRow]:
        columns = tables.projection_positions.c
        query = select(tables.projection_positions).where(columns.projection == projection)
        return await self._queries.rows(query.order_by(columns.log, columns.log_partition), lambda row: PositionRow(**row))

    async def wait_for(self, log: str, partition: int, seq: int, timeout: float) -> bool:
        """True once the tables hold that commit; False if they do not within `timeout` seconds."""
        columns = tables.projection_positions.c
        query = select(columns.log_seq).where(columns.projection == PROJECTION, columns.log == log, columns.log_partition == partition)
        pause, loop = FIRST_LOOK, asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (await self._queries.one(query, _first_number) or 0) < seq:
            if loop.time() + pause > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)
        return True


def _first_number(row: DictRow) -> int:
    return int(next(iter(row.values())))


def _definitions() -> "Select[tuple[object, ...]]":
    jobs, statuses = tables.job_definitions, job_status
    return select(*jobs.c, statuses.c.auto_paused_note).select_from(jobs.outerjoin(statuses, statuses.c.job_id == jobs.c.job_id))


def _definition(row: DictRow) -> JobDefinition:
    note = row.pop("auto_paused_note")
    return as_paused(JobDefinition(**with_address(row)), note)


def _version(row: DictRow) -> JobVersion:
    return JobVersion(**with_address(row))


def _execution(row: DictRow) -> Execution:
    return Execution(**with_address(row))


def _attempt(row: DictRow) -> Attempt:
    return Attempt(**with_address(row))


def _outcome(row: DictRow) -> CommandOutcome:
    return CommandOutcome(**with_address(row))


def _accepted(command_id: str, execution: Execution) -> CommandOutcome:
    """An accepted submit has no row of its own: its execution is the answer."""
    kind = COMMAND_OF.get(execution.trigger)
    return CommandOutcome(
        command_id,
        kind,
        "accepted",
        None,
        None,
        "events",
        execution.job_id,
        execution.tenant,
        execution.actor,
        execution.requested_at,
        execution.address,
        execution.execution_id,
    )

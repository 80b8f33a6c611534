"""The read services: `ledger.definitions`, `ledger.versions`, `ledger.executions`, `ledger.ticks`, `ledger.statuses`, `ledger.pauses`,
`ledger.bulk_acts`, `ledger.commands`, `ledger.queues`, `ledger.tenants`, `ledger.keys`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.client import job_history
from ledger.client.tables import Tables
from ledger.core.pause import PauseScope
from projections.rows import Attempt, CommandOutcome, Execution, ExecutionFilter, JobDefinition, JobVersion, Load, Page, PastEvent
from projections.schedule_rows import Bulk, BulkAct, BulkFilter, JobStatus, Pause, Tick, TickFilter


@dataclass(frozen=True, slots=True)
class Definitions:
    _tables: Tables

    async def list(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        job_name: str | None = None,
        tenant: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[JobDefinition]:
        reads = await self._tables.reads()
        return await reads.definitions(kind=kind, state=state, job_name=job_name, tenant=tenant, cursor=cursor, limit=limit)

    async def get(self, job_id: str) -> JobDefinition | None:
        return await (await self._tables.reads()).definition(job_id)

    async def history(self, job_id: str, *, most: int = 200) -> Sequence[PastEvent]:
        """What became of a job, oldest first, read from the logs: all that the registry says of it, and the last `most` events of its home
        partition. Raises `Refused` if the tables have no such job."""
        return await job_history.job_history(self._tables.settings, await self._tables.reads(), job_id, most)


@dataclass(frozen=True, slots=True)
class Versions:
    _tables: Tables

    async def list(self, job_id: str, *, cursor: str | None = None, limit: int = 50) -> Page[JobVersion]:
        """Newest first."""
        return await (await self._tables.reads()).versions(job_id, cursor=cursor, limit=limit)

    async def get(self, job_id: str, job_version: int) -> JobVersion | None:
        return await (await self._tables.reads()).version(job_id, job_version)


@dataclass(frozen=True, slots=True)
class Executions:
    _tables: Tables

    async def list(
        self,
        *,
        job: str | None = None,
        job_name: str | None = None,
        state: str | tuple[str, ...] | None = None,
        tenant: str | None = None,
        version: int | None = None,
        worker: str | None = None,
        backfill: str | None = None,
        labels: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Execution]:
        """Newest first. `data`: a path such as `account.id` and its value; `from_` and `to` bound the time of the request."""
        where = ExecutionFilter(
            job=job,
            job_name=job_name,
            state=state,
            tenant=tenant,
            version=version,
            worker=worker,
            backfill=backfill,
            labels=labels or {},
            data=data or {},
            from_=from_,
            to=to,
        )
        return await self.find(where, cursor=cursor, limit=limit)

    async def find(self, where: ExecutionFilter, *, cursor: str | None = None, limit: int = 50) -> Page[Execution]:
        """`list` with a filter that is made already."""
        return await (await self._tables.reads()).executions(where, cursor=cursor, limit=limit)

    async def get(self, execution_id: str) -> Execution | None:
        return await (await self._tables.reads()).execution(execution_id)

    async def retry_of(self, execution_id: str) -> str | None:
        """The execution that retries this one by hand."""
        return await (await self._tables.reads()).retry_of(execution_id)

    async def attempts(self, execution_id: str) -> Sequence[Attempt]:
        return await (await self._tables.reads()).attempts(execution_id)

    async def history(self, execution_id: str) -> Sequence[PastEvent]:
        """Its events, oldest first, read from the log itself."""
        return await (await self._tables.reads()).history(execution_id)

    async def origin(self, execution_id: str) -> Sequence[PastEvent]:
        """Where its version comes from, read from the registry: who wrote it, and what put it in force."""
        reads = await self._tables.reads()
        one = await reads.execution(execution_id)
        return [] if one is None else await job_history.origin(self._tables.settings, reads, one)


@dataclass(frozen=True, slots=True)
class Ticks:
    _tables: Tables

    async def list(
        self,
        *,
        job: str | None = None,
        job_name: str | None = None,
        tenant: str | None = None,
        version: int | None = None,
        outcome: str | tuple[str, ...] | None = None,
        reason: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Tick]:
        """Expected ticks and what became of each (`fired`, `skipped`, `missed`), newest first; a row may stand for many that were
        skipped or missed in a row. `from_` and `to` bound their nominal time."""
        where = TickFilter(job, job_name, tenant, version, outcome, reason, from_, to)
        return await (await self._tables.reads()).ticks(where, cursor=cursor, limit=limit)

    async def get(self, job_id: str, at: datetime) -> Tick | None:
        """What became of the tick of this nominal time; None if it is no tick, or has no outcome yet."""
        return await (await self._tables.reads()).tick(job_id, at)


@dataclass(frozen=True, slots=True)
class Statuses:
    _tables: Tables

    async def list(
        self,
        *,
        last_state: str | None = None,
        failing: bool | None = None,
        auto_paused: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[JobStatus]:
        """Scheduled jobs as their home partitions see them, by id. `failing`: it failed since it completed last."""
        reads = await self._tables.reads()
        return await reads.statuses(last_state=last_state, failing=failing, auto_paused=auto_paused, cursor=cursor, limit=limit)

    async def get(self, job_id: str) -> JobStatus | None:
        """None of a job that never had a schedule in force."""
        return await (await self._tables.reads()).status(job_id)


@dataclass(frozen=True, slots=True)
class BulkActs:
    _tables: Tables

    async def list(
        self, *, kind: str | None = None, going_on: bool | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[BulkAct]:
        """The share of each partition in backfills and other acts that go on in steps, newest first."""
        return await (await self._tables.reads()).bulk_acts(kind=kind, going_on=going_on, cursor=cursor, limit=limit)

    async def get(self, bulk_id: str) -> Sequence[BulkAct]:
        """Its share in each partition that has one."""
        return await (await self._tables.reads()).bulk_act(bulk_id)

    async def acts(
        self,
        *,
        kind: str | None = None,
        actor: str | None = None,
        going_on: bool | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Bulk]:
        """Whole acts, each over all of its partitions, newest first. `going_on`: also those that broke off. `from_` and `to` bound when
        they began."""
        return await (await self._tables.reads()).bulks(BulkFilter(kind, actor, going_on, from_, to), cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class Commands:
    _tables: Tables

    async def get(self, command_id: str) -> CommandOutcome | None:
        """What became of a command; None if it is not decided, or the tables are behind."""
        return await (await self._tables.reads()).command(command_id)

    async def history(self, found: CommandOutcome) -> Sequence[PastEvent]:
        """What it led to, oldest first, read from the log itself; of one that asked for an execution the events of that."""
        return await job_history.command_events(self._tables.settings, await self._tables.reads(), found)


@dataclass(frozen=True, slots=True)
class Loads:
    """Of queues, of tenants or of exclusivity keys."""

    _tables: Tables
    _scope: PauseScope

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[Load]:
        """Those with executions that have not ended, and those that are paused, by name."""
        return await (await self._tables.reads()).loads(self._scope, cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class Pauses:
    _tables: Tables

    async def list(self, *, scope: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Pause]:
        """Those in force, by scope and name."""
        return await (await self._tables.reads()).pauses(scope=scope, cursor=cursor, limit=limit)

    async def get(self, scope: str, name: str) -> Pause | None:
        """None if it is not paused. The name of a key is an `exclusive_key` of executions."""
        return await (await self._tables.reads()).pause(scope, name)

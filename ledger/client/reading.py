"""The read services: `ledger.definitions`, `ledger.versions`, `ledger.executions`, `ledger.commands`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.client.tables import Tables
from projections.rows import Attempt, CommandOutcome, Execution, ExecutionFilter, JobDefinition, JobVersion, Page, PastEvent, Pause


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
            labels=labels or {},
            data=data or {},
            from_=from_,
            to=to,
        )
        return await (await self._tables.reads()).executions(where, cursor=cursor, limit=limit)

    async def get(self, execution_id: str) -> Execution | None:
        return await (await self._tables.reads()).execution(execution_id)

    async def attempts(self, execution_id: str) -> Sequence[Attempt]:
        return await (await self._tables.reads()).attempts(execution_id)

    async def history(self, execution_id: str) -> Sequence[PastEvent]:
        """Its events, oldest first, read from the log itself."""
        return await (await self._tables.reads()).history(execution_id)


@dataclass(frozen=True, slots=True)
class Commands:
    _tables: Tables

    async def get(self, command_id: str) -> CommandOutcome | None:
        """What became of a command; None if it is not decided, or the tables are behind."""
        return await (await self._tables.reads()).command(command_id)


@dataclass(frozen=True, slots=True)
class Pauses:
    _tables: Tables

    async def list(self, *, scope: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Pause]:
        """Those in force, by scope and name."""
        return await (await self._tables.reads()).pauses(scope=scope, cursor=cursor, limit=limit)

"""`ledger.as_of(moment)`: jobs and executions as they stood then, folded from the logs; the tables are asked for nothing but the way."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ledger.client.as_of_executions import Newest, One
from ledger.client.as_of_pauses import Told, self_pauses, with_pauses_at
from ledger.client.as_of_reading import LOOKED_FOR, Progress, commits_until, quietly, registry_at
from ledger.client.as_of_rows import object_of, objects_of
from ledger.client.job_history import MOST, job_history, origin
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core import tick, wire
from ledger.core.execution import Event as OfExecution
from ledger.core.execution import Requested
from ledger.core.ids import partition_of
from ledger.core.moment import Moment
from ledger.core.pause import Paused
from ledger.core.wire import Event
from ledger.kafka.opening import check_identity
from projections import forms
from projections.cursors import check_limit, cursor_of, read_cursor
from projections.filters import check_definitions, conditions
from projections.folds import statuses
from projections.held_reads import as_paused
from projections.history import read_history
from projections.paging import micros_of
from projections.patches import Patch, Place, Rows
from projections.rows import Attempt, Execution, ExecutionFilter, JobDefinition, JobVersion, Page, PastEvent
from projections.schedule_rows import JobStatus

_OF_THE_REGISTRY: Final = frozenset({"declared", "retired"})  # states that do not depend on what a job did by itself


@dataclass(frozen=True, slots=True)
class JobThen:
    """A job, how its schedule stood (None if none had been in force) and its versions, the newest first. `versions_next`: a cursor to go on
    with, where these are not all of them."""

    definition: JobDefinition
    status: JobStatus | None
    versions: tuple[JobVersion, ...]
    versions_next: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionThen:
    """An execution, and its attempts, the first one first."""

    execution: Execution
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class AsOf:
    """A moment of the past, to be asked. Each question reads the log anew, from its first commit up to then; memory holds what was live
    then. Raises what reading a log raises: `ChainBroken`, `Conflict`, `Unavailable`."""

    moment: Moment
    _settings: Settings
    _tables: Tables
    _progress: Progress = quietly

    async def jobs(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        job_name: str | None = None,
        tenant: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[JobDefinition]:
        """By id. Raises `Unfit` as the list of the present does."""
        check_definitions(kind, state)
        behind = "" if cursor is None else str(read_cursor(cursor, "definitions", str)[0])
        wanted = (kind, job_name, tenant)
        asked_for = [
            one
            for one in sorted(await self._definitions(), key=lambda one: one.job_id)
            if one.job_id > behind
            and all(want in (None, had) for want, had in zip(wanted, (one.kind, one.job_name, one.tenant), strict=True))
        ]
        shown = asked_for if state in _OF_THE_REGISTRY else await self._shown(asked_for)
        found = [one for one in shown if state in (None, one.state)]
        more = len(found) > check_limit(limit)
        return Page(tuple(found[:limit]), cursor_of("definitions", found[limit - 1].job_id) if more else None)

    async def job(self, job_id: str) -> JobThen | None:
        """None if nobody had registered it."""
        rows = await registry_at(self._settings, (await check_identity(self._settings)).partitions, self.moment, self._progress)
        row = rows.definitions.get(job_id)
        if not row:
            return None
        definition = object_of(JobDefinition, forms.DEFINITIONS, row)
        versions = [object_of(JobVersion, forms.VERSIONS, row) for row in rows.versions.values() if row[0] == job_id]
        versions.sort(key=lambda one: one.job_version, reverse=True)
        status = None if definition.kind == "on_demand" else await self._status(definition)
        return JobThen(as_paused(definition, None if status is None else status.auto_paused_note), status, tuple(versions))

    async def executions(self, where: ExecutionFilter | None = None, *, cursor: str | None = None, limit: int = 50) -> Page[Execution]:
        """The newest request first. Raises `Refused` as the list of the present does."""
        where = where or ExecutionFilter()
        conditions(where)  # refuses what cannot be asked
        before = None if cursor is None else read_cursor(cursor, "executions", int, str)
        newest, told = Newest(where, check_limit(limit) + 1, None if before is None else (int(before[0]), str(before[1]))), Told()
        for partition in await self._partitions(where.job):
            async with aclosing(commits_until(self._settings, ("events", partition), self.moment, progress=self._progress)) as commits:
                async for commit, place in commits:
                    covered = self.moment.covered(commit, commit.events)
                    newest.fold(covered, place)
                    told.fold(covered)
        rows = newest.newest()
        items = [object_of(Execution, forms.EXECUTIONS, row) for row in rows[:limit]]
        more = len(rows) > limit
        held = await with_pauses_at(self._settings, self.moment, told, items, self._progress)
        return Page(held, cursor_of("executions", micros_of(items[-1].requested_at), items[-1].execution_id) if more else None)

    async def execution(self, execution_id: str) -> ExecutionThen | None:
        """None if nobody had asked for it."""
        partition = partition_of(execution_id)
        if partition is None or partition >= (await check_identity(self._settings)).partitions:
            return None
        known = await (await self._tables.reads()).execution(execution_id)
        start = 0 if known is None else known.requested_offset
        one, told = await self._one(execution_id, partition, start)
        if start and not one.executions:  # asked for once more since then: the tables have only that
            one, told = await self._one(execution_id, partition, 0)
        row = one.executions.get(execution_id)
        if row is None:
            return None
        attempts = sorted(objects_of(Attempt, forms.ATTEMPTS, one.attempts), key=lambda attempt: attempt.attempt)
        return ExecutionThen(await self._held(object_of(Execution, forms.EXECUTIONS, row), told), tuple(attempts))

    async def execution_history(self, then: ExecutionThen) -> list[PastEvent]:
        """What had happened to it, the oldest first."""
        return [one for one in await read_history(self._settings, then.execution) if self._had(one)]

    async def origin(self, then: ExecutionThen) -> list[PastEvent]:
        """Where its version comes from, as `executions.origin` tells it."""
        return await origin(self._settings, await self._tables.reads(), then.execution)

    async def job_history(self, job_id: str, *, most: int = MOST) -> list[PastEvent]:
        """What had become of a job, as `definitions.history` tells it of the present."""
        return await job_history(self._settings, await self._tables.reads(), job_id, most, self.moment)

    def _had(self, one: PastEvent) -> bool:
        name = self.moment.name
        if name is None or (name.log, name.partition) != (one.log, one.address.partition):
            return one.at <= self.moment.at
        return one.address.seq < name.seq or (one.address.seq == name.seq and (name.index is None or one.address.index <= name.index))

    async def _one(self, execution_id: str, partition: int, start: int) -> tuple[One, Told]:
        """Read from its request on, or from before that."""
        name, one, told = execution_id.encode(), One(execution_id), Told()
        commits = commits_until(
            self._settings, ("events", partition), self.moment, lambda record: name in record, start=start, progress=self._progress
        )
        async with aclosing(commits):
            async for commit, place in commits:
                covered = self.moment.covered(commit, commit.events)
                one.fold(covered, place)
                told.fold(covered)
        return one, told

    async def _held(self, one: Execution, told: Told) -> Execution:
        """Its partition was read where it is named: whether its job had paused itself stands elsewhere."""
        if told.may_be_held(one) and one.kind != "on_demand":
            await self._fold_self_pauses(told, one.address.partition)
        return (await with_pauses_at(self._settings, self.moment, told, [one], self._progress))[0]

    async def _fold_self_pauses(self, told: Told, partition: int) -> None:
        async with aclosing(self_pauses(self._settings, partition, self.moment, self._progress)) as commits:
            async for commit, _ in commits:
                told.fold(self.moment.covered(commit, commit.events))

    async def _shown(self, found: Sequence[JobDefinition]) -> list[JobDefinition]:
        """Whether one had paused itself stands in its home partition."""
        told = Told()
        for partition in sorted({one.home_partition for one in found if one.kind != "on_demand" and one.state == "active"}):
            await self._fold_self_pauses(told, partition)
        return [as_paused(one, told.by_themselves.get(Paused("job", one.job_id))) for one in found]

    async def _definitions(self) -> list[JobDefinition]:
        partitions = (await check_identity(self._settings)).partitions
        rows = await registry_at(self._settings, partitions, self.moment, self._progress)
        return objects_of(JobDefinition, forms.DEFINITIONS, rows.definitions)

    async def _partitions(self, job_id: str | None) -> list[int]:
        """Where executions of a job may be: of one with a schedule all are at home."""
        identity = await check_identity(self._settings)
        job = None
        if job_id is not None:
            job = next((one for one in await self._definitions() if one.job_id == job_id), None)
        return list(range(identity.partitions)) if job is None or job.kind == "on_demand" else [job.home_partition]

    async def _status(self, job: JobDefinition) -> JobStatus | None:
        status = Status(job.job_id)
        commits = commits_until(self._settings, ("events", job.home_partition), self.moment, status.is_in, progress=self._progress)
        async with aclosing(commits):
            async for commit, place in commits:
                status.fold(self.moment.covered(commit, commit.events), place)
        return None if status.row is None else object_of(JobStatus, forms.STATUSES, status.row)


class Status:
    """The row of one job in `job_status`."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._named = wire.quoted(job_id)
        self._runs: dict[str, bytes] = {}  # that are live, and how records name them
        self._rows: Rows = {}

    @property
    def row(self) -> Patch | None:
        return self._rows.get(self._job_id)

    def is_in(self, record: bytes) -> bool:
        """It may say something of the job: the end of a run names only that."""
        return len(self._runs) > LOOKED_FOR or self._named in record or any(name in record for name in self._runs.values())

    def fold(self, events: Sequence[Event], place: Place) -> None:
        for index, event in enumerate(events):
            if isinstance(event, tick.Event) and event.job_id == self._job_id:
                statuses.fold(self._rows, self._rows, event, place, index)
            elif isinstance(event, Requested) and event.job_id == self._job_id:
                self._runs[event.execution_id] = event.execution_id.encode()
                if event.trigger == "schedule":
                    statuses.fold(self._rows, self._rows, event, place, index)
            elif isinstance(event, OfExecution) and type(event) in statuses.ENDS and self._runs.pop(event.execution_id, b""):
                statuses.end(self._rows, self._rows, self._job_id, event, place, index)

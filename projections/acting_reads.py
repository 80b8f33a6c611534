"""What acts on executions ask: whom a bulk act concerns, what was asked for at first, whether it was retried already."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, assert_never

from psycopg.rows import DictRow
from sqlalchemy import ColumnElement, func, literal, select, tuple_

from ledger.config import Settings
from ledger.core.bulk import OnExecutions
from ledger.core.execution import Requested
from projections import tables
from projections.filters import conditions
from projections.querying import Queries
from projections.requested import read_requests
from projections.rows import Count, Execution, ExecutionFilter, Target

MOST_TARGETS: Final = 500


class ActingReads:
    """Raises as `Reads` does, which has these methods too."""

    _settings: Settings
    _queries: Queries

    async def retry_of(self, execution_id: str) -> str | None:
        """The execution that retries this one."""
        columns = tables.job_executions.c
        query = select(columns.execution_id).where(columns.retry_of == execution_id).order_by(columns.requested_at)
        return await self._queries.one(query, lambda row: str(row["execution_id"]))

    async def requests(self, targets: Sequence[Target | Execution]) -> dict[str, Requested]:
        """Their first events, from the log itself: there all that was asked for stands as it was written. Raises also what reading the
        log raises."""
        places = {one.execution_id: (_partition(one), one.requested_offset) for one in targets}
        return await read_requests(self._settings, places)

    async def counted(self, kind: OnExecutions, where: ExecutionFilter) -> list[Count]:
        """How many executions a bulk act concerns, by partition and state."""
        columns = tables.job_executions.c
        query = select(
            columns.log_partition.label("partition"),
            columns.state.label("state"),
            func.count().label("count"),
            func.max(columns.requested_at).label("newest"),
        )
        grouped = query.where(*conditions(where), *_concerned(kind)).group_by(columns.log_partition, columns.state)
        return await self._queries.rows(grouped.order_by(columns.log_partition, columns.state), lambda row: Count(**row))

    async def targets(
        self,
        kind: OnExecutions,
        where: ExecutionFilter,
        partitions: Collection[int],
        *,
        after: Target | None = None,
        undecided_of: str | None = None,
    ) -> list[Target]:
        """The next ones behind `after`, at most `MOST_TARGETS`. What is cancelled comes newest first, so that nobody gets a turn by it who
        is to be cancelled too; what is retried comes oldest first, so that it queues as it did. `undecided_of`: a bulk act; what it has
        a decision on is left out."""
        columns = tables.job_executions.c
        query = select(columns.execution_id, columns.log_partition, columns.requested_at, columns.requested_offset).where(
            *conditions(where), *_concerned(kind), columns.log_partition.in_(list(partitions))
        )
        key = tuple_(columns.requested_at, columns.execution_id)
        if after is not None:
            last = tuple_(literal(after.requested_at), literal(after.execution_id))
            query = query.where(key < last if kind == "cancel" else key > last)
        if undecided_of is not None:
            query = query.where(~_is_decided(undecided_of))
        order = [column.desc() if kind == "cancel" else column.asc() for column in (columns.requested_at, columns.execution_id)]
        return await self._queries.rows(query.order_by(*order).limit(MOST_TARGETS), _target)


def command_of(bulk_id: str, execution_id: str) -> str:
    """The name of a bulk act's command for an execution: the same again is the same command."""
    return f"{bulk_id}:{execution_id}"


def _concerned(kind: OnExecutions) -> list[ColumnElement[bool]]:
    columns = tables.job_executions.c
    match kind:
        case "cancel":
            return [columns.finished_at.is_(None)]
        case "retry":
            retries = tables.job_executions.alias("retries")
            retried = select(literal(1)).where(retries.c.retry_of == columns.execution_id).exists()
            return [columns.finished_at.is_not(None), ~retried]
        case _:
            assert_never(kind)


def _is_decided(bulk_id: str) -> ColumnElement[bool]:
    outcomes = tables.command_outcomes.c
    name = literal(command_of(bulk_id, "")).concat(tables.job_executions.c.execution_id)
    return select(literal(1)).where(outcomes.command_id == name).exists()


def _target(row: DictRow) -> Target:
    requested_at = row["requested_at"]
    assert isinstance(requested_at, datetime)
    return Target(str(row["execution_id"]), int(row["log_partition"]), requested_at, int(row["requested_offset"]))


def _partition(one: Target | Execution) -> int:
    return one.partition if isinstance(one, Target) else one.address.partition

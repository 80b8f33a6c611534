"""The tables, opened when they are first asked, and what the client itself asks them."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Final, TypeVar

from ledger.client.belonging import Belonging
from ledger.client.routes import Route
from ledger.config import Settings
from ledger.core.ids import ExecutionId
from ledger.core.outcome import Answer
from ledger.core.refusal import LedgerError, Unavailable
from ledger.kafka.verify import LogName
from projections.reads import Reads, open_reads

LOOKUP: Final = 2.0  # seconds for a question that is only a help

T = TypeVar("T")


class Tables:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.belonging = Belonging()
        self._stack = AsyncExitStack()
        self._reads: Reads | None = None
        self._opening = asyncio.Lock()

    async def reads(self) -> Reads:
        self.belonging.check()
        async with self._opening:
            if self._reads is None:
                self._reads = await self._stack.enter_async_context(open_reads(self.settings))
            return self._reads

    async def close(self) -> None:
        await self._stack.aclose()

    async def route(self, job_id: str) -> Route | None:
        """What decides the partition of a job; None if the tables do not know it. Raises `Unavailable`."""
        job = await _quickly((await self.reads()).definition(job_id))
        if job is None:
            return None
        scope, has_schedule = job.exclusive_scope, job.kind != "on_demand"
        may_have_field = scope == "key" and not has_schedule
        return Route(job.job_id, job.job_name, scope, has_schedule, job.tenant, job.home_partition, may_have_field=may_have_field)

    async def decision(self, command_id: str, tenant: str | None) -> Answer | None:
        """What became of a command, as far as the tables know. Raises `Unavailable`."""
        reads = await self.reads()
        execution = await _quickly(reads.execution_of_command(command_id, tenant))
        if execution is not None:
            return Answer(command_id, "accepted", ExecutionId(execution.execution_id))
        found = await _quickly(reads.command(command_id))
        match None if found is None else found.outcome:
            case "rejected" | "applied" | "unchanged" | "stale" as decided if found is not None:
                if decided == "rejected" or found.detail is None:
                    return Answer(command_id, decided, reason=found.reason, detail=found.detail)
                return Answer(command_id, decided, ExecutionId(found.detail))
        return None

    async def stopped(self, log: LogName, partition: int) -> str | None:
        """Why it is not read any further, if the tables know that. Control stops where they do."""
        try:
            positions = await _quickly((await self.reads()).positions())
        except LedgerError:
            return None
        return next((one.stopped_note for one in positions if (one.log, one.log_partition) == (log, partition)), None)


async def _quickly(question: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(LOOKUP):
            return await question
    except TimeoutError as error:
        raise Unavailable(f"the tables did not answer within {LOOKUP:g} s") from error

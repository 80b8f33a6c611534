"""An execution as the one who asked for it sees it: its progress, its end, its result."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ledger.client.errors import ExecutionCancelled, ExecutionEnded, ExecutionFailed, ExecutionSkipped
from ledger.client.news import News, Reader
from ledger.client.questions import Decided
from ledger.core.execution import TERMINAL
from ledger.core.ids import ExecutionId
from ledger.core.outcome import Answer
from ledger.core.refusal import Refused, Unavailable
from projections.rows import Execution

FIRST_LOOK: Final = 0.02  # seconds until the tables are looked at again, without news
LONGEST_LOOK: Final = 0.5
FOLLOWED_LOOK: Final = 2.0  # ... with news, in case some is not heard
PATIENCE: Final = 5.0  # seconds that the tables may be away while somebody waits for them

BEHIND: Final = 30.0  # seconds that the tables may be behind the news, or have nothing of an execution whose id alone is known

FindExecution = Callable[[str], Awaitable[Execution | None]]


@dataclass(frozen=True, slots=True)
class Update:
    """What is new of an execution. `progress` is a percentage, `note` what the handler says about it."""

    state: str
    attempt: int | None = None
    progress: int | None = None
    note: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL


class ExecutionHandle:
    """`was_known`: the submit repeated an earlier one, or was not unique and ignored: this is the earlier one's execution."""

    def __init__(
        self,
        execution_id: ExecutionId,
        find: FindExecution,
        *,
        command_id: str | None = None,
        was_known: bool = False,
        news: News | None = None,
        behind: float = BEHIND,
    ) -> None:
        self.execution_id = execution_id
        self.command_id = command_id
        self.was_known = was_known
        self._find = find
        self._news = news
        self._behind = behind

    def __repr__(self) -> str:
        return f"ExecutionHandle({self.execution_id!r})"

    async def row(self) -> Execution | None:
        """As the tables have it now; None while they are behind."""
        return await self._find(self.execution_id)

    async def progress(self) -> AsyncGenerator[Update, None]:
        """What happens, up to and including the end. Submit with `follow=True` to hear it at once; else the tables are looked at.
        Any number may listen, beside each other and beside `result`. Raises `Refused` if the tables do not have it for long, and it is
        known by its id alone: of another log, or removed from them."""
        deadline = asyncio.get_running_loop().time() + self._behind
        news = None if self._news is None else self._news.reader()
        last: Update | None = None
        pause = FIRST_LOOK
        while last is None or not last.is_terminal:
            update = await self._next(news, pause)
            if update is not None and update != last:
                last, pause = update, FIRST_LOOK
                yield update
            elif last is None and self.command_id is None and asyncio.get_running_loop().time() > deadline:
                raise self._unknown()
            pause = min(LONGEST_LOOK, pause * 1.5)

    async def result(self, timeout: float | None = None) -> object:
        """The result, once it is completed. Raises `ExecutionFailed`, `ExecutionSkipped`, `ExecutionCancelled`, or `TimeoutError` after
        `timeout` seconds; the execution goes on then. Raises `Refused` as `progress` does."""
        async with asyncio.timeout(timeout):
            async with aclosing(self.progress()) as updates:
                async for _ in updates:
                    pass
            return outcome_of(await self.ended())

    def _unknown(self) -> Refused:
        return Refused(
            "unknown_execution",
            f"the tables have no execution {self.execution_id}, for {self._behind:g} s now: it is of another log (`prefix`), it ended "
            "long ago and was removed (`keep`), or they are far behind (`jobledger projections status`)",
        )

    async def _next(self, news: Reader | None, pause: float) -> Update | None:
        if news is not None:
            told = await news.next(FOLLOWED_LOOK)
            if told is not None:
                return _update_of_news(told)
        else:
            await asyncio.sleep(pause)
        row = await self._row_patiently()
        return None if row is None else Update(row.state, row.attempt, row.progress, row.progress_note)

    async def ended(self) -> Execution:
        """The row with the end in it. Call it once the end was told: the news may be ahead of the tables, but not for ever."""
        pause = FIRST_LOOK
        deadline = asyncio.get_running_loop().time() + self._behind
        while True:
            row = await self._row_patiently()
            if row is not None and row.state in TERMINAL:
                return row
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    f"execution {self.execution_id} is over, but the tables did not get its end within {self._behind:g} s: "
                    "see whether `jobledger projections run` runs and how far it is (`jobledger projections status`)"
                )
            await asyncio.sleep(pause)
            pause = min(LONGEST_LOOK, pause * 1.5)

    async def _row_patiently(self) -> Execution | None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                return await self._find(self.execution_id)
            except Unavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(LONGEST_LOOK)


def _update_of_news(answer: Answer) -> Update:
    return Update(answer.state or "", answer.attempt, answer.progress, answer.note)


def outcome_of(row: Execution) -> object:
    """The result of a terminal execution, or the exception that says how it ended."""
    match row.state:
        case "completed":
            return row.result
        case "failed" | "timed_out" | "lost":
            raise ExecutionFailed(row.execution_id, row.state, row.error_type or "", row.error_message or "")
        case "skipped" | "missed":
            raise ExecutionSkipped(row.execution_id, row.state, row.reason or "")
        case "cancelled":
            raise ExecutionCancelled(row.execution_id, row.state, row.reason or "")
    raise ExecutionEnded(row.execution_id, row.state, row.reason or "")


def handle_of(decided: Decided, command_id: str, find: FindExecution) -> ExecutionHandle:
    """The execution that a decided command asked for. Raises `Refused`."""
    answer, news = decided
    return ExecutionHandle(accepted(answer, command_id), find, command_id=command_id, was_known=answer.outcome != "accepted", news=news)


def accepted(answer: Answer, command_id: str) -> ExecutionId:
    """The execution that a decided command asked for. Raises `Refused`."""
    if answer.outcome == "rejected" or answer.execution_id is None:
        raise Refused(answer.reason or "rejected", answer.detail or f"command {command_id} was refused")
    return answer.execution_id

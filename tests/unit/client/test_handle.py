"""An execution as who waits for it sees it: by news, by the tables, and how each end is told."""

import asyncio

import pytest

from ledger.client.errors import ExecutionCancelled, ExecutionEnded, ExecutionFailed, ExecutionSkipped
from ledger.client.handle import ExecutionHandle, Update
from ledger.client.news import News
from ledger.core.ids import ExecutionId
from ledger.core.outcome import Answer
from ledger.core.refusal import Refused, Unavailable
from projections.rows import Execution
from tests.unit.client.client_rows import execution_row


class Rows:
    """What the tables say, one look after the other; the last one stays. None: not there yet, or away."""

    def __init__(self, *rows: Execution | Unavailable | None) -> None:
        self.rows = list(rows)
        self.looks = 0

    async def __call__(self, execution_id: str) -> Execution | None:
        self.looks += 1
        row = self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]
        if isinstance(row, Unavailable):
            raise row
        return row


def handle(rows: Rows, news: News | None = None) -> ExecutionHandle:
    return ExecutionHandle(ExecutionId("e1-0"), rows, news=news)


async def test_the_result_is_that_of_the_row() -> None:
    rows = Rows(None, execution_row("waiting"), execution_row("active"), execution_row("completed", result={"a": 1}))
    assert await handle(rows).result(5) == {"a": 1}


@pytest.mark.parametrize(
    ("row", "expected", "words"),
    [
        (execution_row("failed", error=("ValueError", "no")), ExecutionFailed, "e1-0 failed: ValueError: no"),
        (execution_row("timed_out", error=("TimedOut", "15 min")), ExecutionFailed, "e1-0 timed out"),
        (execution_row("lost"), ExecutionFailed, "e1-0 lost its worker"),
        (execution_row("skipped", reason="overlap"), ExecutionSkipped, "was skipped: overlap"),
        (execution_row("missed", reason="start_deadline"), ExecutionSkipped, "was missed: start_deadline"),
        (execution_row("cancelled"), ExecutionCancelled, "was cancelled"),
    ],
)
async def test_every_other_end_is_an_error(row: Execution, expected: type[ExecutionEnded], words: str) -> None:
    with pytest.raises(expected, match=words) as error:
        await handle(Rows(row)).result(5)
    assert error.value.state == row.state


async def test_time_runs_out_while_it_goes_on() -> None:
    with pytest.raises(TimeoutError):
        await handle(Rows(execution_row("active"))).result(0.1)


async def test_progress_is_told_by_news_without_a_look_at_the_tables() -> None:
    rows, news = Rows(execution_row("completed")), News()
    for state, percent in (("active", None), ("processing", 40), ("completed", None)):
        news.tell(Answer(execution_id=ExecutionId("e1-0"), state=state, attempt=1, progress=percent))
    told = [update async for update in handle(rows, news).progress()]
    assert told == [Update("active", 1), Update("processing", 1, 40), Update("completed", 1)]
    assert rows.looks == 0


async def test_who_listens_beside_the_result_and_who_comes_later_are_told_the_same() -> None:
    rows, news = Rows(execution_row("completed", result=7)), News()
    execution = handle(rows, news)

    async def listen() -> list[str]:
        return [update.state async for update in execution.progress()]

    listeners, result = [asyncio.create_task(listen()) for _ in range(2)], asyncio.create_task(execution.result(5))
    for state in ("active", "processing", "completed"):
        await asyncio.sleep(0)  # all of them wait by now
        news.tell(Answer(execution_id=ExecutionId("e1-0"), state=state, attempt=1))
    told = await asyncio.gather(*listeners, listen())
    assert told == [["active", "processing", "completed"]] * 3
    assert await result == 7
    assert rows.looks == 1


async def test_the_result_waits_for_tables_that_are_behind_the_news() -> None:
    news = News()
    news.tell(Answer(execution_id=ExecutionId("e1-0"), state="completed", attempt=1))
    rows = Rows(None, execution_row("active"), execution_row("completed", result=7))
    assert await handle(rows, news).result(5) == 7


async def test_tables_that_never_get_the_end_are_told() -> None:
    news = News()
    news.tell(Answer(execution_id=ExecutionId("e1-0"), state="completed", attempt=1))
    waiting = ExecutionHandle(ExecutionId("e1-0"), Rows(None), news=news, behind=0.1)
    with pytest.raises(Unavailable, match="jobledger projections run"):
        await waiting.result(5)


async def test_what_the_tables_do_not_have_is_not_awaited_for_ever_if_its_id_alone_is_known() -> None:
    with pytest.raises(Refused, match="the tables have no execution e1-0"):
        async with asyncio.timeout(5):
            await ExecutionHandle(ExecutionId("e1-0"), Rows(None), behind=0.1).result()


async def test_what_was_accepted_is_awaited_however_far_the_tables_are_behind() -> None:
    rows = Rows(*[None] * 8, execution_row("completed", result=1))
    assert await ExecutionHandle(ExecutionId("e1-0"), rows, command_id="c1", behind=0.01).result(5) == 1


async def test_without_news_each_change_is_told_once() -> None:
    rows = Rows(execution_row("waiting"), execution_row("waiting"), execution_row("active"), execution_row("completed"))
    assert [update.state async for update in handle(rows).progress()] == ["waiting", "active", "completed"]


async def test_tables_that_are_away_for_a_moment_are_waited_for() -> None:
    assert await handle(Rows(Unavailable("away"), execution_row("completed", result=1))).result(5) == 1


async def test_unread_news_are_bounded() -> None:
    news = News()
    for percent in range(10_000):
        news.tell(Answer(execution_id=ExecutionId("e1-0"), state="processing", progress=percent % 100))
    first = await news.reader().next(0)
    assert first is not None
    assert first.progress == 0  # of the last hundred

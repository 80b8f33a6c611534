"""What has to be told goes out in few records, in order, one at a time per partition."""

import asyncio

import pytest

from ledger.core.execution import Report
from ledger.core.request import Return
from processors.runner.attempt import Attempt
from processors.runner.outbox import MOST_BYTES, MOST_ITEMS, Outbox
from tests.unit.runner.runner_fakes import WORKER, FakeSender, attempt_of, offer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender()


@pytest.fixture
def outbox(sender: FakeSender) -> Outbox:
    def bug(error: BaseException) -> None:
        raise error

    return Outbox(WORKER, "default", sender, bug, Clock())


def started(nth: int) -> Attempt:
    attempt = attempt_of(offer(nth))
    attempt.started, attempt.timeout_ms = 99.9, 60_000
    return attempt


def end(attempt: Attempt) -> None:
    attempt.outcome, attempt.ended = "completed", 99.95


async def test_a_start_and_an_end_at_the_same_moment_are_one_report(outbox: Outbox, sender: FakeSender) -> None:
    attempt = started(2)
    outbox.tell(attempt)
    end(attempt)
    outbox.tell(attempt)
    await outbox.flush()
    assert sender.reports == [Report(attempt.offer.execution_id, attempt.offer.token, WORKER, 100, 60_000, outcome="completed", run_ms=50)]


async def test_a_start_is_told_at_once_and_the_end_when_it_comes(outbox: Outbox, sender: FakeSender) -> None:
    attempt = started(2)
    outbox.tell(attempt)
    await outbox.flush()
    end(attempt)
    outbox.tell(attempt)
    await outbox.flush()
    assert [report.outcome for report in sender.reports] == [None, "completed"]


async def test_news_of_the_same_moment_travel_in_one_record_per_partition(outbox: Outbox, sender: FakeSender) -> None:
    for nth in range(10):
        outbox.tell(started(nth))
    await outbox.flush()
    assert sorted((partition, len(items)) for partition, items in sender.records) == [(0, 5), (1, 5)]


async def test_while_a_record_is_under_way_the_next_one_grows(outbox: Outbox, sender: FakeSender) -> None:
    sender.hold()
    outbox.tell(started(0))
    await sender.until(lambda: len(sender.records) == 1)
    for nth in (2, 4, 6):
        outbox.tell(started(nth))
    await asyncio.sleep(0)
    assert len(sender.records) == 1
    assert len(outbox) == 4
    sender.release()
    await outbox.flush()
    assert [len(items) for _, items in sender.records] == [1, 3]
    assert len(outbox) == 0


async def test_the_last_progress_is_told_before_the_end(outbox: Outbox, sender: FakeSender) -> None:
    attempt = started(2)
    attempt.progress, attempt.note, attempt.untold_progress = 90, "nearly", True
    end(attempt)
    outbox.tell(attempt)
    await outbox.flush()
    assert [(report.progress, report.note, report.outcome) for report in sender.reports] == [
        (90, "nearly", None),
        (None, None, "completed"),
    ]


async def test_a_record_is_bounded_in_number_and_in_size(outbox: Outbox, sender: FakeSender) -> None:
    for nth in range(0, 3000, 2):
        attempt = started(nth)
        attempt.error_type, attempt.error_message = "Error", "x" * (4096 if nth < 400 else 0)
        attempt.outcome, attempt.ended = "failed", 100.0
        outbox.tell(attempt)
    await outbox.flush()
    assert len(sender.reports) == 1500
    assert [report.execution_id for report in sender.reports] == [f"{nth:032x}-0" for nth in range(0, 3000, 2)]
    assert all(len(items) <= MOST_ITEMS for _, items in sender.records)
    assert all(size <= MOST_BYTES + 2 for size in sender.sizes)


async def test_offers_are_given_back_together_by_reason(outbox: Outbox, sender: FakeSender) -> None:
    for nth in (0, 2):
        outbox.give_back(attempt_of(offer(nth)), "no_slot")
    outbox.give_back(attempt_of(offer(4)), "no_handler")
    await outbox.flush()
    assert [item for _, items in sender.records for item in items] == [
        Return(WORKER, "default", (offer(0).execution_id, offer(2).execution_id), "no_slot"),
        Return(WORKER, "default", (offer(4).execution_id,), "no_handler"),
    ]

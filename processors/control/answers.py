"""Answers and news for those who wait: Redis publish, best effort, one pipeline a batch. Who hears nothing asks again."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.core import execution, wire
from ledger.core.ids import ExecutionId
from ledger.core.offers import Hint
from ledger.core.orders import Order
from ledger.core.outcome import Answer

log = structlog.get_logger(__name__)
MOST_FOLLOWED = 100_000
LONGEST_CHANNEL = 200

Addressed = tuple[str, Answer]
Told = Answer | Order | Hint


class Followers:
    """Who wants to hear of an execution's life. Volatile and bounded; who is forgotten reads the tables."""

    def __init__(self) -> None:
        self._channels: OrderedDict[ExecutionId, str] = OrderedDict()

    def add(self, followers: Iterable[tuple[ExecutionId, str]]) -> None:
        for execution_id, channel in followers:
            self._channels[execution_id] = channel
            if len(self._channels) > MOST_FOLLOWED:
                self._channels.popitem(last=False)

    def news(self, events: Iterable[wire.Event]) -> list[Addressed]:
        """What the events mean for those who follow."""
        if not self._channels:
            return []
        told: list[Addressed] = []
        for event in events:
            channel = self._channels.get(getattr(event, "execution_id", ExecutionId("")))
            if channel is not None and (answer := news_of(event)) is not None:
                told.append((channel, answer))
                if answer.state in execution.TERMINAL and answer.execution_id is not None:
                    del self._channels[answer.execution_id]
        return told


def news_of(event: wire.Event) -> Answer | None:
    """An event as news of its execution."""
    match event:
        case execution.Started(execution_id, attempt):
            return Answer(execution_id=execution_id, state="active", attempt=attempt)
        case execution.Progressed(execution_id, attempt, progress, note):
            return Answer(execution_id=execution_id, state="processing", attempt=attempt, progress=progress, note=note)
        case execution.Completed(execution_id, attempt):
            return Answer(execution_id=execution_id, state="completed", attempt=attempt)
        case execution.Failed(execution_id, attempt, state):
            return Answer(execution_id=execution_id, state=state, attempt=attempt)
        case execution.AttemptFailed(execution_id, attempt) | execution.Snoozed(execution_id, attempt):
            return Answer(execution_id=execution_id, state="delayed", attempt=attempt)
        case execution.Lost(execution_id, attempt):
            return Answer(execution_id=execution_id, state="lost", attempt=attempt)
        case execution.AttemptLost(execution_id, attempt) | execution.HandedBack(execution_id, attempt):
            return Answer(execution_id=execution_id, state="waiting", attempt=attempt)
        case execution.Missed(execution_id):
            return Answer(execution_id=execution_id, state="missed")
        case execution.Skipped(execution_id):
            return Answer(execution_id=execution_id, state="skipped")
        case execution.Cancelled(execution_id, _, attempt):
            return Answer(execution_id=execution_id, state="cancelled", attempt=attempt or None)
    return None


async def publish(redis: "Redis", answers: Sequence[tuple[str, Told]]) -> None:
    """One message a channel, an array of answers, of orders or of hints, in it."""
    if not answers:
        return
    try:
        pipeline = redis.pipeline(transaction=False)
        for channel, group in groupby(sorted(answers, key=itemgetter(0)), key=itemgetter(0)):
            if len(channel) <= LONGEST_CHANNEL:
                pipeline.publish(channel, wire.encode_many([answer for _, answer in group]))
        await pipeline.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.debug("answers were not told", action="answers.unsent", count=len(answers), error=repr(error))

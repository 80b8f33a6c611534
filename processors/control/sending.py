"""Offers on their way to the workers: as records of the work topic, and where it is quiet by a hint before. Nobody waits for it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence

import structlog

from ledger.core import wire
from ledger.core.definition import Registry
from ledger.core.ids import ExecutionId, Micros
from ledger.core.offers import Offers
from ledger.core.partition import Partition
from processors.control import answers
from processors.control.answers import Told
from processors.control.appender import Appended
from processors.control.dispatch import Dispatch
from processors.control.edges import Edges
from processors.control.hints import AFTER_HINT, Hints
from processors.control.offering import into_records, offer_of
from processors.control.work import Work

log = structlog.get_logger(__name__)


class Sending:
    """Of one partition. `at`: the time of its log now. `wake`: something is to be offered again."""

    def __init__(
        self,
        edges: Edges,
        fold: Partition,
        registry: Registry,
        dispatch: Dispatch,
        work: Work,
        *,
        at: Callable[[], Micros],
        wake: Callable[[], None],
    ) -> None:
        self._redis = edges.redis
        self._fold = fold
        self._registry = registry
        self._dispatch = dispatch
        self._work = work
        self._at = at
        self._wake = wake
        self.hints = Hints(lambda queue: edges.settings.redis_key("work", queue))
        self.under_way: set[asyncio.Task[None]] = set()

    def send(self, queue: str, execution_ids: Sequence[ExecutionId]) -> None:
        """Those of them that still wait. They count as outstanding already."""
        fold, registry, again = self._fold, self._registry, self._dispatch.times_again
        offers = [offer for one in execution_ids if (offer := offer_of(fold, registry, one, again(one))) is not None]
        for some in into_records(offers):
            made = Offers(self._fold.number, tuple(some))
            record = wire.encode(made)
            self._begin(self._send(queue, [offer.execution_id for offer in some], record, self._hint(queue, made, len(record))))

    def tell(self, told: Sequence[tuple[str, Told]]) -> None:
        """By Redis, best effort."""
        self._begin(answers.publish(self._redis, told))

    def _begin(self, sending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(sending)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    def _hint(self, queue: str, made: Offers, size: int) -> bool:
        """True if the offers are told by Redis too: with the answers of their commit, or else at once."""
        told_soon, outstanding = bool(self.hints), self._dispatch.windows[queue].outstanding
        hinted = self.hints.consider(queue, made, size=size, outstanding=outstanding, at=self._at(), now=time.monotonic())
        if hinted and not told_soon:
            asyncio.get_running_loop().call_soon(self._tell_hints)
        return hinted

    def _tell_hints(self) -> None:
        if hints := self.hints.take():
            self.tell(hints)

    async def _send(self, queue: str, execution_ids: list[ExecutionId], record: bytes, hinted: bool) -> None:
        if hinted:
            await asyncio.sleep(AFTER_HINT)
            if not any(one in self._dispatch.offered for one in execution_ids):
                return  # all were heard of, and have started
        partition, outcome = await self._work.send(queue, record)
        if isinstance(outcome, Appended):
            self._dispatch.placed(execution_ids, partition, outcome.offset)
        else:
            log.warning("offers may not have gone out", action="offer.unknown", partition=self._fold.number, queue=queue, why=outcome.why)
            self._dispatch.unsent(execution_ids)
            self._wake()

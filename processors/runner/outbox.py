"""The last step: what has to be told goes to its partition, in as few records as the moment allows.

Per partition one record is under way at a time, so nothing overtakes. What an attempt has to say is asked when its record is made: a
short job's start and end so become one report. Idle: sent at once. Busy: records at least 5 ms apart, the more the fuller they are, so
they grow. What an exclusive attempt has to say is hardly delayed: others wait for it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.core import wire
from ledger.core.ids import ExecutionId, WorkerId
from ledger.core.request import Return
from processors.runner.attempt import Attempt
from processors.runner.resolve import ReturnReason
from processors.runner.sender import Sender

PACE: Final = 0.005  # seconds between the records of a partition while it is busy
LEAST_PACE: Final = 0.004  # the same for what others wait for: what ends at the same moment goes together
BUSY: Final = 4  # more items than this in a record
ITEMS_A_PACE: Final = 20  # so many more in a record, and the next one waits a pace longer: each record costs control the same
MOST_PACES: Final = 8
MOST_ITEMS: Final = 1000
MOST_BYTES: Final = 200 * 1024

Bug = Callable[[BaseException], None]


class Back(NamedTuple):
    """Why an offer is not taken up; see `Return`."""

    reason: ReturnReason
    limit: str | None
    wait_ms: int


class Lane:
    """What is to be told to one partition."""

    def __init__(self, partition: int, worker: WorkerId, queue: str, sender: Sender, clock: Callable[[], float], bug: Bug) -> None:
        self._bug = bug
        self._partition = partition
        self._worker = worker
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._attempts: dict[Attempt, None] = {}
        self._returns: dict[Back, list[ExecutionId]] = {}
        self._ready: list[bytes] = []  # encoded, and did not fit into the record before
        self._under_way = 0
        self._next_at = 0.0
        self._sent_at = -LEAST_PACE
        self._hurried = False
        self._nap: asyncio.Future[bool] | None = None
        self.sending: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._attempts) + len(self._ready) + self._under_way + sum(map(len, self._returns.values()))

    def tell(self, attempt: Attempt) -> None:
        self._attempts[attempt] = None
        self._wake()

    def hurry(self) -> None:
        """What there is to be told is hardly delayed: others wait for it."""
        if not self._hurried:
            self._hurried = True
            if self._nap is not None and not self._nap.done():
                self._nap.set_result(True)

    def take_back(self, attempt: Attempt) -> bool:
        """It has nothing to tell after all. False: it told something before."""
        if attempt.said_start:
            return False
        self._attempts.pop(attempt, None)
        return True

    def give_back(self, execution_id: ExecutionId, back: Back) -> None:
        self._returns.setdefault(back, []).append(execution_id)
        self._wake()

    def _wake(self) -> None:
        if self.sending is None:
            self.sending = asyncio.get_running_loop().create_task(self._send_all())
            self.sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        if not sending.cancelled() and (error := sending.exception()) is not None:
            self._bug(error)

    async def _send_all(self) -> None:
        while self._attempts or self._returns or self._ready:
            while (rest := self._may_send_at() - self._clock()) > 0 and len(self._attempts) < MOST_ITEMS:
                if not await self._was_cut(rest):
                    break
            self._hurried = False
            items = self._fill()
            if not items:
                continue
            self._under_way = len(items)
            self._sent_at = self._clock()
            paces = min(MOST_PACES, 1 + len(items) // ITEMS_A_PACE) if len(items) > BUSY else 0
            self._next_at = _beat(self._clock() + PACE * (paces - 0.5), PACE) if paces else 0.0
            await self._sender.send(self._partition, b"[" + b",".join(items) + b"]")
            self._under_way = 0
        self.sending = None

    def _may_send_at(self) -> float:
        return min(self._next_at, _beat(self._sent_at, LEAST_PACE)) if self._hurried else self._next_at

    async def _was_cut(self, seconds: float) -> bool:
        """Rest for so long, or until there is a hurry."""
        loop = asyncio.get_running_loop()
        nap: asyncio.Future[bool] = loop.create_future()
        self._nap = nap
        timer = loop.call_later(seconds, _end, nap)
        try:
            return await nap
        finally:
            timer.cancel()
            self._nap = None

    def _fill(self) -> list[bytes]:
        """The items of the next record. What was said and does not fit stands first in the one after."""
        ready, self._ready = self._ready, []
        size = sum(map(len, ready)) + len(ready)
        now, encode = self._clock(), wire.encode
        while self._attempts and len(ready) < MOST_ITEMS and size < MOST_BYTES:
            attempt = next(iter(self._attempts))
            del self._attempts[attempt]
            for report in attempt.reports(self._worker, now):
                item = encode(report)
                size += len(item) + 1
                ready.append(item)
        while self._returns and len(ready) < MOST_ITEMS and size < MOST_BYTES:
            item = encode(self._next_return())
            size += len(item) + 1
            ready.append(item)
        return self._cut(ready)

    def _next_return(self) -> Return:
        back, execution_ids = next(iter(self._returns.items()))
        chosen, left = execution_ids[:MOST_ITEMS], execution_ids[MOST_ITEMS:]
        if left:
            self._returns[back] = left
        else:
            del self._returns[back]
        return Return(self._worker, self._queue, tuple(chosen), back.reason, back.limit, back.wait_ms)

    def _cut(self, items: list[bytes]) -> list[bytes]:
        """As many as a record may hold, at least one; the others are kept."""
        size = fitting = 0
        for item in items[:MOST_ITEMS]:
            size += len(item) + 1
            if size > MOST_BYTES and fitting:
                break
            fitting += 1
        self._ready = items[fitting:]
        return items[:fitting]


def _beat(after: float, apart: float) -> float:
    """The next of the instants that all lanes have in common: what they send at the same moment is one request to the broker."""
    return (after // apart + 1) * apart


def _end(nap: asyncio.Future[bool]) -> None:
    if not nap.done():
        nap.set_result(False)


class Outbox:
    """`bug` is told of an error that is ours; it does not return in a real process."""

    def __init__(self, worker: WorkerId, queue: str, sender: Sender, bug: Bug, clock: Callable[[], float] = time.monotonic) -> None:
        self._bug = bug
        self._worker = worker
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._lanes: dict[int, Lane] = {}

    def __len__(self) -> int:
        """How much is to be told or is not acknowledged yet."""
        return sum(map(len, self._lanes.values()))

    def _lane(self, partition: int) -> Lane:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(partition, self._worker, self._queue, self._sender, self._clock, self._bug)
        return lane

    def tell(self, attempt: Attempt) -> None:
        """There is news of this attempt."""
        self._lane(attempt.partition).tell(attempt)

    def hurry(self, attempt: Attempt) -> None:
        """What is to be told to its partition is not delayed. An exclusive start or end: others wait for it."""
        self._lane(attempt.partition).hurry()

    def take_back(self, attempt: Attempt) -> bool:
        """Leave its start untold. False: it was told, or is under way."""
        return self._lane(attempt.partition).take_back(attempt)

    def give_back(self, attempt: Attempt, reason: ReturnReason, wait_ms: int = 0) -> None:
        """This offer is not taken up. `wait_ms`: how long it makes no sense to offer it again."""
        limit = attempt.limited_by.key if reason == "limited" and attempt.limited_by is not None else None
        self._lane(attempt.partition).give_back(attempt.offer.execution_id, Back(reason, limit, wait_ms))

    async def flush(self) -> None:
        """Until everything is acknowledged."""
        while sending := [lane.sending for lane in self._lanes.values() if lane.sending is not None]:
            await asyncio.gather(*sending)

    def abandon(self) -> None:
        """Stop sending: what is not told by now is not told by this process."""
        for lane in self._lanes.values():
            if lane.sending is not None:
                lane.sending.cancel()

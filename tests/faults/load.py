"""What is submitted, and what the log has to say about it in the end."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ledger.client.handle import ExecutionHandle
from ledger.client.ledger import Ledger
from ledger.submitting.submission import Submission
from tests.faults.harness import PATIENCE, Cluster

CHUNK: Final = 50


def any_wish(chance: random.Random) -> Submission:
    number = chance.getrandbits(48)
    data = {"n": number, "ms": chance.choice((0, 0, 5, 20, 100, 800)), "fails": int(chance.random() < 0.02)}
    key = f"key-{number:012x}" if chance.random() < 0.3 else None
    job = "blocking" if chance.random() < 0.1 else "probe"
    return Submission(job, data, idempotency_key=key)


@dataclass(slots=True)
class Load:
    """Half of it in bulk, half as single submits in flight together; some with an idempotency key. Ids are known at once or by answer."""

    cluster: Cluster
    wish: Callable[[random.Random], Submission] = any_wish
    executions: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    count: int = 0

    async def submit(self, count: int, pause: Callable[[], float] = lambda: 0.0) -> None:
        """`pause`: seconds between two chunks, so that the load lasts as long as the faults do."""
        async with self.cluster.ledger() as ledger:
            for start in range(0, count, CHUNK):
                await self._chunk(ledger, [self.wish(self.cluster.random) for _ in range(min(CHUNK, count - start))])
                await asyncio.sleep(pause())

    async def submit_these(self, wishes: list[Submission]) -> None:
        async with self.cluster.ledger() as ledger:
            await self._chunk(ledger, wishes)

    async def _chunk(self, ledger: Ledger, wishes: list[Submission]) -> None:
        bulk, singles = wishes[: len(wishes) // 2], wishes[len(wishes) // 2 :]
        many, handles = await asyncio.gather(
            ledger.submit_many(bulk),
            asyncio.gather(*(self._single(ledger, one) for one in singles)),
        )
        self.executions |= {one for one in many if one is not None} | {handle.execution_id for handle in handles}
        self.keys |= {one.idempotency_key for one in wishes if one.idempotency_key is not None}
        self.count += len(wishes)

    @staticmethod
    async def _single(ledger: Ledger, one: Submission) -> ExecutionHandle:
        return await ledger.submit(
            one.job, one.data, idempotency_key=one.idempotency_key, exclusive_key=one.exclusive_key, timeout=PATIENCE
        )

"""Who holds what an execution waits for: its exclusivity key, a former run, a limit over all workers. Asked for one at a time, and live:
what concerns limits is Redis' alone and changes many times a second, so no row of the tables has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ledger.client.redis_reads import Standing, limits_of, open_redis, standing
from ledger.config import Settings
from ledger.core.refusal import Unavailable
from projections.reads import Reads
from projections.rows import Execution

What = Literal["exclusive", "overlap", "limit"]


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """`name`: the exclusivity key, the job whose former run has to end, or the limit (`queue:mail`, `tenant:acme`). `held_by`: executions,
    at most 20 of the `held` that have a place under a limit. `next_start_ms`: until a rate lets one start."""

    what: What
    name: str
    held_by: tuple[str, ...] = ()
    held: int = 0
    next_start_ms: int | None = None

    def __str__(self) -> str:
        if self.next_start_ms is not None:
            return f"{self.what} {self.name}, the next in {self.next_start_ms} ms"
        others = self.held - len(self.held_by)
        return f"{self.what} {self.name}, held by {', '.join(self.held_by) or '-'}{f' and {others} more' if others > 0 else ''}"


async def waits_for(settings: Settings, reads: Reads, one: Execution) -> tuple[WaitsFor, ...]:
    """Nothing of one that does not wait, for which nobody else is asked. Without Redis what is known of limits is nothing, too."""
    if one.state != "waiting":
        return ()
    if one.waiting_reason == "exclusive":
        return (_in_line(one, await reads.line(one.exclusive_key or "")),)
    if one.blocked_by is not None:
        return (WaitsFor("overlap", one.job_id, (one.blocked_by,), 1),)
    return tuple(map(of_limit, await reached_limits(settings, one)))


async def reached_limits(settings: Settings, one: Execution) -> list[Standing]:
    """The limits over all workers that hold it up now; none while Redis, which knows them, is away."""
    try:
        async with open_redis(settings) as redis:
            limits = await limits_of(settings, redis, one.queue, one.job_name, one.tenant)
            found = [await standing(settings, redis, limit) for limit in limits]
    except Unavailable:
        return []
    return [limit for limit in found if limit.is_reached]


def _in_line(one: Execution, line: Sequence[Execution]) -> WaitsFor:
    """Who it began to wait for may have ended since, and others came before it: who holds the key now."""
    holder = next((other.execution_id for other in line if other.waiting_reason is None), one.blocked_by)
    return WaitsFor("exclusive", one.exclusive_key or "", () if holder is None else (holder,), int(holder is not None))


def of_limit(limit: Standing) -> WaitsFor:
    next_start_ms = -(-limit.next_us // 1000) if limit.next_us else None
    return WaitsFor("limit", limit.limit.key, limit.holders, limit.held, next_start_ms)

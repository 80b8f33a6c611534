"""Whether a worker that lives could run what waits. Asked live: who lives, and with which code, is known to Redis alone."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from ledger.client.redis_reads import open_redis, workers_alive
from ledger.client.why_words import long
from ledger.config import Settings
from ledger.core.refusal import Unavailable
from ledger.core.workers import About
from projections.rows import Execution


@dataclass(frozen=True, slots=True)
class Unserved:
    """Why no worker can run it, and what to do."""

    kind: Literal["no_worker", "no_handler", "no_worker_for_version"]
    text: str
    remedy: str


async def takers(settings: Settings) -> tuple[About, ...] | None:
    """The workers that take what they are offered. None where that is not known: Redis is away, or one of them is of a release that
    cannot be read here."""
    try:
        async with open_redis(settings) as redis:
            alive = (await workers_alive(settings, redis)).values()
    except Unavailable:
        return None
    return tuple(one for one in alive if not one.draining) if all(one.queue for one in alive) else None


def unserved(one: Execution, workers: Collection[About] | None, grace: float) -> Unserved | None:
    """Pure. None if a worker can run it, or if that is not known. `grace`: after so many seconds control skips what is too new."""
    if workers is None:
        return None
    of_queue = [about for about in workers if about.queue == one.queue]
    newest = max((about.jobs[one.job_name] for about in of_queue if one.job_name in about.jobs), default=None)
    if newest is not None and (newest >= one.job_version or one.kind == "scheduled"):
        return None  # a user's version is most often numbered by its content, and is for any handler then; tables do not tell which
    if newest is not None:
        text = f"no worker of queue {one.queue} has a handler for version {one.job_version} of {one.job_name} (newest: {newest})"
        skipped = f"after {long(int(grace * 1_000_000))} it is skipped(no_worker_for_version)"
        return Unserved("no_worker_for_version", text, f"deploy one; {skipped}")
    if of_queue:
        return Unserved("no_handler", f"no worker of queue {one.queue} has a handler for {one.job_name}", "deploy one")
    return Unserved("no_worker", f"no worker of queue {one.queue} is heard of", "start one")

"""The long-running consumer: follows both logs and keeps the tables up to date. Crash at any moment: SQL says where to go on.

Kafka or Postgres away: it waits and tries again, as long as it takes, and ends within seconds when it is told to.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Final

import structlog

from ledger.config import Settings
from ledger.core.refusal import Unavailable
from ledger.kafka.opening import LogIdentity, check_identity
from projections.builtin import TABLES
from projections.following import Consumer, Progress, Report, pause
from projections.projection import Projection
from projections.retention import purge_on_and_on
from projections.sql_thread import SqlThread
from projections.subscription import Subscription

__all__ = ["Progress", "Report", "run", "run_all"]
log = structlog.get_logger(__name__)

GRACE: Final = 2.0  # seconds until it is interrupted, where it waits for a server
SHUTDOWN: Final = 6.0  # seconds for the batch that is under way, and to leave the group


async def run(settings: Settings, stop: asyncio.Event, report: Report = lambda progress: None, projection: Projection = TABLES) -> None:
    """Until `stop`. Raises `Conflict` where the tables do not belong to this log, `Misconfigured` where there are no tables."""
    identity = await _identity(settings, stop)
    if identity is None:
        return
    subscription, sql = await _subscribed(settings, projection.name, stop), SqlThread(settings, projection)
    if subscription is None:
        return
    consumer = Consumer(settings, identity, projection, subscription, sql, report)
    purging = asyncio.create_task(purge_on_and_on(settings, stop) if projection is TABLES else asyncio.sleep(0))
    try:
        await _until(stop, consumer.follow(stop))
    finally:
        purging.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN):
                await asyncio.gather(consumer.finish(), subscription.stop(), return_exceptions=True)
        await sql.close(GRACE)


async def run_all(settings: Settings, projections: Sequence[Projection], stop: asyncio.Event, report: Report, *, strict: bool) -> None:
    """Each by itself, until `stop`; only the progress of the first is reported. Unless `strict`, one that is not ours may fail, be it by a
    fault of its fold: it is said, and the others go on."""

    async def one(projection: Projection) -> None:
        try:
            await run(settings, stop, report if projection is projections[0] else lambda progress: None, projection)
        except Exception as error:
            if strict or projection is TABLES:
                stop.set()
                raise
            log.error(
                "a projection failed", action="projection.failed", projection=projection.name, detail=f"{type(error).__name__}: {error}"
            )

    found = await asyncio.gather(*map(one, projections), return_exceptions=True)
    for error in found:
        if error is not None:
            raise error


async def _until(stop: asyncio.Event, work: Coroutine[object, object, None]) -> None:
    """The work ends itself on `stop`; where it waits for a server that is away, it is ended."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({working}, timeout=GRACE)
    if not working.done():
        working.cancel()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _identity(settings: Settings, stop: asyncio.Event) -> LogIdentity | None:
    while not stop.is_set():
        try:
            return await check_identity(settings)
        except Unavailable as error:
            await pause(stop, error)
    return None


async def _subscribed(settings: Settings, projection: str, stop: asyncio.Event) -> Subscription | None:
    while not stop.is_set():
        subscription = Subscription(settings, projection)
        try:
            await subscription.start()
            return subscription
        except Unavailable as error:
            await pause(stop, error)
    return None

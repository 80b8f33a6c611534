"""What a handler sees of its attempt."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from ledger.context import AttemptCancelled, Context
from ledger.core.ids import ExecutionId, Micros, Token
from ledger.core.offers import Offer

OFFER = Offer(ExecutionId("0" * 32 + "-3"), Token(512), 2, "hourly", "sync", 4, tenant="acme", tick_at=Micros(1_700_000_000_000_000))


def test_it_names_the_attempt() -> None:
    ctx = Context(OFFER)
    assert (ctx.job_id, ctx.job_name, ctx.job_version) == ("hourly", "sync", 4)
    assert (ctx.execution_id, ctx.attempt, ctx.token, ctx.tenant) == (OFFER.execution_id, 2, 512, "acme")
    assert ctx.tick_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert Context(structs.replace(OFFER, tick_at=None)).tick_at is None


def test_the_idempotency_key_is_the_same_in_every_attempt() -> None:
    assert Context(OFFER).idempotency_key == OFFER.execution_id.rpartition("-")[0]
    assert Context(structs.replace(OFFER, attempt=3)).idempotency_key == Context(OFFER).idempotency_key
    assert Context(structs.replace(OFFER, idempotency_key="order-4711")).idempotency_key == "order-4711"


def test_the_deadline_is_an_instant() -> None:
    import time

    deadline = Context(OFFER, time.monotonic() + 60).deadline
    assert deadline is not None
    assert abs(deadline - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=1)
    assert Context(OFFER).deadline is None


def test_raise_if_cancelled_is_quiet_until_it_is_and_no_exception_that_code_catches() -> None:
    ctx = Context(OFFER)
    ctx.raise_if_cancelled()
    ctx.cancelled = True
    with pytest.raises(AttemptCancelled):
        try:
            ctx.raise_if_cancelled()
        except Exception:
            pytest.fail("swallowed")


async def test_progress_is_told_when_it_is_called_and_may_be_awaited() -> None:
    told: list[tuple[int, str | None]] = []
    ctx = Context(OFFER, report=lambda percent, note: told.append((percent, note)))
    await ctx.progress(40, "rendered")
    ctx.progress(50)
    assert told == [(40, "rendered"), (50, None)]

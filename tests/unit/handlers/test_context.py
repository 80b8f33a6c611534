"""What a handler sees of its attempt."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from ledger.context import AttemptCancelled, Context, Snooze
from ledger.core.ids import ExecutionId, Micros, Token
from ledger.core.offers import Offer
from ledger.core.refusal import Misconfigured, Refused
from ledger.submitting.children import Children, Wish

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


def key_of(children: Children, job: str, **wish: object) -> str | None:
    return children.command(job, None, Wish(**wish)).idempotency_key  # type: ignore[typeddict-item]  # by name


def test_what_is_submitted_has_the_same_name_in_every_attempt() -> None:
    head = "0" * 32
    for attempt in (2, 3):
        children = Children(structs.replace(OFFER, attempt=attempt, token=Token(512 + attempt)))
        assert [key_of(children, job) for job in ("mail", "bill", "mail")] == [f"{head}#1", f"{head}#1", f"{head}#2"]
        assert key_of(children, "mail", key="to-ann") == f"{head}/to-ann"
        assert key_of(children, "mail", idempotency_key="order-1") == "order-1"
        assert key_of(children, "mail") == f"{head}#3"
    one, again = (Children(OFFER).command("mail", {"n": 1}, {}) for _ in range(2))
    assert one == again
    moved = structs.replace(OFFER, execution_id=ExecutionId("0" * 32 + "-7"))  # the log has grown
    assert Children(moved).command("mail", {"n": 1}, {}).command_id == one.command_id


def test_what_is_submitted_names_the_execution_and_has_its_tenant() -> None:
    made = Children(OFFER).command("mail", {"n": 1}, {"labels": {"a": "b"}, "delay": "5s"})
    assert (made.actor, made.correlation_id, made.tenant) == (f"execution:{OFFER.execution_id}", OFFER.execution_id, "acme")
    assert (made.labels, made.delay_ms, bytes(made.data)) == ({"a": "b"}, 5000, b'{"n":1}')
    traced = structs.replace(OFFER, correlation_id="c", trace_id="t")
    made = Children(traced).command("mail", None, {"tenant": None})
    assert (made.correlation_id, made.trace_id, made.tenant) == ("c", "t", None)
    assert Children(traced).command("mail", None, {"tenant": "other", "correlation_id": "mine"}).correlation_id == "mine"


def test_what_cannot_be_submitted_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(Refused, match="keep one"):
        key_of(Children(OFFER), "mail", key="a", idempotency_key="b")
    with pytest.raises(Refused, match="did you mean 'priority'"):
        key_of(Children(OFFER), "mail", priorty=1)
    with pytest.raises(Misconfigured, match="nothing is behind this context"):
        Context(OFFER).submit_blocking("mail")


@pytest.mark.parametrize("by", ["0s", "soon", "5", 5, "400d", timedelta(days=400)])
def test_a_snooze_that_is_no_duration_up_to_a_year_is_refused_where_it_is_made(by: str | timedelta) -> None:
    with pytest.raises(Misconfigured, match="Snooze"):
        Snooze(by)


def test_a_snooze_of_a_year_is_one() -> None:
    assert Snooze("366d").by == "366d"

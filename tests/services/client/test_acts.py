"""Acts on schedules and pauses, on the real servers: each is decided, and what it means happens."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from ledger import Ledger, Refused
from tests.services.client.conftest import System

SECOND = timedelta(seconds=1)


async def until(question: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    """Ask until the answer is yes."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await question():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def test_a_users_job_from_its_schedule_to_its_retirement(ledger: Ledger) -> None:
    first = await ledger.schedule("bill", name="life", every="1s", tenant="acme", data={"number": 1}, reason="wanted")
    job_id = first.job_id
    assert job_id is not None
    assert first.outcome == "applied"
    assert (await ledger.schedule("bill", name="life", every="1s", tenant="acme", data={"number": 1})).outcome == "unchanged"

    async def ticked() -> bool:
        page = await ledger.executions.list(job=job_id, state="completed")
        return any(one.trigger == "schedule" and one.result == {"billed": 1} for one in page.items)

    await until(ticked)
    assert (await ledger.schedule("bill", name="life", every="1h", tenant="acme", data={"number": 1})).outcome == "applied"
    assert (await ledger.retire(job_id, reason="no more")).outcome == "applied"
    assert (await ledger.retire(job_id)).outcome == "unchanged"

    async def retired() -> bool:
        job = await ledger.definitions.get(job_id)
        return job is not None and job.state == "retired"

    await until(retired)
    versions = (await ledger.versions.list(job_id)).items
    assert [(one.job_version, one.reason) for one in versions] == [(2, None), (1, "wanted")]
    with pytest.raises(Refused, match="read_only"):
        await ledger.retire("tick")
    with pytest.raises(Refused, match="unknown_job"):
        await ledger.schedule("bil", every="1h")


async def test_a_pause_of_a_tenant_holds_what_comes_and_lets_it_go(ledger: Ledger) -> None:
    assert (await ledger.pause(tenant="quiet", note="stock-taking", reason="asked")).outcome == "applied"
    assert (await ledger.pause(tenant="quiet")).outcome == "unchanged"

    async def shown() -> bool:
        return [(one.name, one.note) for one in (await ledger.pauses.list(scope="tenant")).items] == [("quiet", "stock-taking")]

    await until(shown)
    held = await ledger.submit("bill", {"number": 2}, tenant="quiet")
    other = await ledger.submit("bill", {"number": 3}, tenant="loud")
    assert await other.result(timeout=20) == {"billed": 3}
    row = await held.row()
    assert row is not None
    assert row.state == "waiting"
    assert (await ledger.resume(tenant="quiet")).outcome == "applied"
    assert await held.result(timeout=20) == {"billed": 2}


async def test_ticks_of_the_past_are_backfilled_once_and_one_of_the_future_is_left_out(ledger: Ledger) -> None:
    made = await ledger.schedule("bill", name="hourly", every="1h", tenant="acme", data={"number": 4})
    job_id = made.job_id
    assert job_id is not None
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first, last = now - timedelta(hours=5), now - timedelta(hours=1)
    planned = await ledger.backfill(job_id, from_=first, to=last, plan=True)
    assert (planned.planned, planned.outcome) == (4, None)
    begun = await ledger.backfill(job_id, from_=first, to=last)
    assert (begun.planned, begun.outcome) == (4, "applied")
    assert (await ledger.backfill(job_id, from_=first, to=last)).outcome == "unchanged"

    async def done() -> bool:
        page = await ledger.executions.list(job=job_id, state="completed")
        ticks = {one.tick_at for one in page.items if one.trigger == "backfill" and one.backfill_id == begun.backfill_id}
        return ticks == {now - timedelta(hours=ago) for ago in range(1, 5)}

    await until(done)
    [tick] = (await ledger.preview(job_id, from_=now, to=now + timedelta(hours=1))).ticks
    assert (await ledger.skip(job_id, tick.tick_at)).outcome == "applied"
    assert (await ledger.skip(job_id, tick.tick_at)).outcome == "unchanged"
    with pytest.raises(Refused, match="no_tick"):
        await ledger.skip(job_id, tick.tick_at + SECOND)


async def test_the_tables_say_what_became_of_each_tick(ledger: Ledger, system: System) -> None:
    made = await ledger.schedule("refuse", every="1s", tenant="acme", data={"number": 9}, pause_on_failure=2, reason="to see it fail")
    job_id = made.job_id
    assert job_id is not None

    async def skipped() -> bool:
        return bool((await ledger.ticks.list(job=job_id, outcome="skipped")).items)

    async def paused_over_a_tick() -> bool:
        status = await ledger.statuses.get(job_id)
        following = status.next_tick_at if status is not None and status.auto_paused_note is not None else None
        return following is not None and datetime.now(UTC) > following + SECOND

    await until(paused_over_a_tick)
    assert (await ledger.resume(job=job_id, reason="looked into")).outcome == "applied"
    await until(skipped)
    first, second, *_ = reversed((await ledger.ticks.list(job=job_id)).items)
    assert (first.outcome, second.tick_at - first.tick_at, first.due_at) == ("fired", SECOND, first.tick_at)
    assert first.lateness_ms is not None and 0 <= first.lateness_ms < 10_000
    assert first.execution_id is not None
    row = await ledger.executions.get(first.execution_id)
    assert row is not None and (row.state, row.tick_at) == ("failed", first.tick_at)
    status = await ledger.statuses.get(job_id)
    assert status is not None and status.last_tick_at is not None
    assert (status.in_force_version, status.last_state, status.next_tick_at) == (1, "failed", status.last_tick_at + SECOND)
    assert (await ledger.retire(job_id)).outcome == "applied"
    verified = system.call("projections", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_many_are_scheduled_in_one_go(ledger: Ledger) -> None:
    plans = [{"job": "bill", "every": "1d", "tenant": f"t{number % 50}", "name": f"n{number}"} for number in range(500)]
    assert {one.outcome for one in await ledger.schedule_many(plans, reason="moved")} == {"applied"}
    again = await ledger.schedule_many([*plans, {"job": "nobody", "every": "1d"}])
    assert {one.outcome for one in again[:-1]} == {"unchanged"}
    assert (again[-1].outcome, again[-1].reason) == ("rejected", "unknown_job")


def test_the_same_from_the_command_line(system: System) -> None:
    def call(*arguments: str, code: int = 0) -> str:
        done = system.call(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout

    made = json.loads(
        call("jobs", "schedule", "bill", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--name", "cli", "-o", "json")
    )
    job_id = made["job_id"]
    call("jobs", "schedule", "bill", "--cron", "45 2 * * *", "--timezone", "Europe/Berlin", "--name", "cli", "--reason", "too early")
    found = json.loads(call("jobs", "diff", job_id, "1", "2", "-o", "json"))["differences"]
    assert [(one["field"], one["before"], one["after"]) for one in found] == [("schedule.cron", '["30 2 * * *"]', '["45 2 * * *"]')]
    call("jobs", "rehearse", job_id, "--against", "croniter", "--exit-code", code=7)
    call("jobs", "schedule", "bill", "--at", "2020-01-01T00:00:00Z", code=4)

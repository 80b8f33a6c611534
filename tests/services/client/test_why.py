"""`why` and `audit` on the real servers: what the schedule expected is accounted for, tick by tick."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from ledger import Ledger, Refused
from projections.connecting import connect
from tests.services.client.conftest import System
from tests.services.client.test_acts import until


async def test_every_tick_of_a_jobs_life_has_its_reason(ledger: Ledger, system: System) -> None:
    """Two versions, a tick left out by hand, a pause with a note, a retirement: each expected tick has exactly one class."""
    began = datetime.now(UTC)
    job_id = (await ledger.schedule("bill", name="why", every="1s", tenant="why", data={"number": 1})).job_id
    assert job_id is not None

    async def fired(version: int, most: int = 2) -> bool:
        return len((await ledger.ticks.list(job=job_id, outcome="fired", version=version)).items) >= most

    await until(lambda: fired(1))
    left_out = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    assert (await ledger.skip(job_id, left_out, reason="month end")).outcome == "applied"
    await until(lambda: ledger.ticks.get(job_id, left_out))
    await ledger.pause(job=job_id, note="stock-taking")
    paused = datetime.now(UTC)
    while datetime.now(UTC) < paused + timedelta(seconds=1.2):
        await ledger.pauses.get("job", job_id)
    await ledger.resume(job=job_id)
    await until(lambda: ticked(ledger, job_id, "paused"))
    await ledger.schedule("bill", name="why", every="2s", tenant="why", data={"number": 2})
    await until(lambda: fired(2, 1))  # which no worker runs: the code is of version 1
    await ledger.retire(job_id)
    retired = datetime.now(UTC)
    await until(lambda: dropped(ledger, job_id))

    found = await ledger.why(job_id, from_=began, to=retired + timedelta(minutes=1))
    assert "unexplained" not in found.counts, found.ticks
    assert found.expected == sum(one.count for one in found.ticks)
    assert {one.job_version for one in found.ticks} == {1, 2}
    classes = {one.class_ for one in found.ticks}
    assert {"on_time", "skipped"} <= classes and "pending" not in classes
    why = {one.reason: one.why for one in found.ticks if one.class_ == "skipped"}
    assert "month end" in why["by_hand"] and "stock-taking" in why["paused"]

    one = system.call("why", job_id, "--at", left_out.isoformat())
    assert (one.returncode, "skipped(by_hand)" in one.stdout) == (0, True), one.stderr
    told = json.loads(system.call("why", job_id, "-o", "json").stdout)
    assert settled(told["counts"]) == settled(found.counts)
    with pytest.raises(Refused, match="is no tick of"):
        await ledger.why(job_id, at=left_out + timedelta(milliseconds=1))
    ran = next(one for one in found.ticks if one.execution_id is not None)
    assert "completed" in system.call("why", ran.execution_id or "").stdout
    _with_a_lost_outcome(system, job_id)
    await _with_an_execution_not_kept(ledger, system, job_id, ran.execution_id)
    await _replayed(ledger, system, job_id, began)


def settled(counts: dict[str, int]) -> dict[str, int]:
    """What still waits for a worker is late by more at every look."""
    return {"fired": counts.get("on_time", 0) + counts.get("late", 0), "skipped": counts["skipped"]}


async def _replayed(ledger: Ledger, system: System, job_id: str, began: datetime) -> None:
    """The same policy gives exactly what is recorded, over all of its life and over a part of it; another one says what differs."""
    for first in (began, began + timedelta(seconds=1.5)):
        found = await ledger.whatif(job_id, from_=first)
        assert found.is_same, found.jobs
    [job] = (await ledger.whatif(job_id, from_=began, overlap="skip", cron="* * * * * *")).jobs
    assert job.recorded.fired >= 3 and job.recorded.ticks["skipped(by_hand)"] == job.replayed.ticks["skipped(by_hand)"] == 1
    told = json.loads(system.call("whatif", job_id, "--from", began.isoformat(), "-o", "json").stdout)
    assert told["is_same"] and told["jobs"][0]["recorded"]["fired"] == job.recorded.fired
    shown = system.call("whatif", job_id, "--from", began.isoformat(), "--cron", "0 0 * * *")
    assert (shown.returncode, "removed" in shown.stdout) == (0, True), shown.stderr
    assert system.call("whatif", "bill", "--from", "2020-01-01").returncode == 4
    assert system.call("whatif", job_id, "--from", began.isoformat(), "--overlap", "skpi").returncode == 4


def _with_a_lost_outcome(system: System, job_id: str) -> None:
    """The schedule says that the tick was expected, whatever became of its row."""
    with hidden(system, job_id):
        ended = system.call("why", job_id)
    assert ended.returncode == 7, ended.stderr
    assert "unexplained  the schedule in force expected it and it has no outcome" in ended.stdout
    assert system.call("why", "nosuch").returncode == 3
    assert system.call("why", "bill").returncode == 4


async def _with_an_execution_not_kept(ledger: Ledger, system: System, job_id: str, execution_id: str | None) -> None:
    """Its row is missed, unless it is past its time."""
    schema = system.settings.database.table_schema
    move = f'UPDATE "{schema}".job_executions SET execution_id = %s WHERE execution_id = %s'.encode()
    with connect(system.settings) as connection:
        connection.execute(move, ("hidden", execution_id))
        assert (await ledger.why(job_id)).counts["unexplained"] == 1
        connection.execute(f"INSERT INTO \"{schema}\".retention_horizons VALUES ('tables', 'completed', now())".encode())
        found = await ledger.why(job_id)
        connection.execute(f'DELETE FROM "{schema}".retention_horizons'.encode())
        connection.execute(move, (execution_id, "hidden"))
    (gone,) = (one for one in found.ticks if one.execution_id == execution_id)
    assert "unexplained" not in found.counts and gone.why.endswith("ended, and its row is not kept any more")


@contextmanager
def hidden(system: System, job_id: str) -> Iterator[None]:
    """The row of the tick that was left out by hand, for the time of the block."""
    schema = system.settings.database.table_schema
    move = f"UPDATE \"{schema}\".schedule_ticks SET job_id = %s WHERE job_id = %s AND reason = 'by_hand'".encode()
    with connect(system.settings) as connection:
        assert connection.execute(move, ("hidden", job_id)).rowcount == 1
    yield
    with connect(system.settings) as connection:
        connection.execute(move, (job_id, "hidden"))


async def ticked(ledger: Ledger, job_id: str, reason: str) -> bool:
    return bool((await ledger.ticks.list(job=job_id, reason=reason)).items)


async def dropped(ledger: Ledger, job_id: str) -> bool:
    status = await ledger.statuses.get(job_id)
    return status is not None and status.in_force_version is None


async def test_why_an_execution_waits(ledger: Ledger) -> None:
    await ledger.pause(tenant="held", note="unpaid")
    waiting = await ledger.submit("bill", {"number": 9}, tenant="held")
    await until(waiting.row)
    found = await ledger.why_execution(waiting.execution_id)
    assert (found.state, [one.kind for one in found.reasons]) == ("waiting", ["paused"])
    assert "unpaid" in found.reasons[0].text
    delayed = await ledger.submit("bill", {"number": 9}, delay="1h")
    await until(delayed.row)
    assert [one.kind for one in (await ledger.why_execution(delayed.execution_id)).reasons] == ["not_before"]
    await ledger.resume(tenant="held")


async def test_who_holds_what_an_execution_waits_for(ledger: Ledger, system: System) -> None:
    """Its key is shown from the tables, the limit over all workers from Redis, as long as it waits."""
    holder = await ledger.submit("single")
    await until(lambda: in_state(ledger, holder.execution_id, "processing"))
    waiting = await ledger.submit("single")

    async def limited() -> bool:
        return await waiting.row() is not None and bool(await ledger.waits_for(waiting.execution_id))

    await until(limited)
    [found] = await ledger.waits_for(waiting.execution_id)
    assert (found.what, found.name, found.held_by, found.held) == ("limit", "job:single", (holder.execution_id,), 1)
    shown = system.call("executions", "show", waiting.execution_id)
    assert f"limit job:single, held by {holder.execution_id}" in shown.stdout, shown.stderr
    assert await ledger.waits_for(holder.execution_id) == ()
    await ledger.cancel(waiting.execution_id)
    await ledger.cancel(holder.execution_id)

    await ledger.pause(queue="default")
    first = await ledger.submit("guard", exclusive_key="shown")
    second = await ledger.submit("guard", exclusive_key="shown")
    await until(second.row)
    assert [(one.what, one.name, one.held_by) for one in await ledger.waits_for(second.execution_id)] == [
        ("exclusive", "key:guard:shown", (first.execution_id,))
    ]
    await ledger.resume(queue="default")


async def in_state(ledger: Ledger, execution_id: str, state: str) -> bool:
    row = await ledger.executions.get(execution_id)
    return row is not None and row.state == state


def test_everything_adds_up_and_a_row_that_was_altered_is_found(system: System) -> None:
    ended = system.call("audit", "-o", "json")
    assert ended.returncode == 0, ended.stderr
    checks = json.loads(ended.stdout)["checks"]
    assert [one["check"] for one in checks] == ["chain", "commands", "ticks", "executions", "attempts", "tables"]
    again = system.call("audit", "-o", "json")  # which goes on from there
    further = json.loads(again.stdout)["checks"]
    assert (again.returncode, further[-1]["partly"], further[1:-1]) == (0, True, checks[1:-1]), again.stderr
    assert system.call("submit", "bill", "--data", '{"number": 1}', "--wait").returncode == 0
    with last_one_altered(system):
        found = system.call("audit")  # a row that was touched since
        assert (found.returncode, "priority: expected 5, found 77" in found.stderr) == (7, True), found.stdout
    gone_on = system.call("audit")
    assert gone_on.returncode == 0 and "tables      ok" in gone_on.stdout and "those commits touched" in gone_on.stdout, gone_on.stdout
    assert ", ".join(f"{number} {name}" for name, number in counted(checks).items()) in gone_on.stdout
    with connect(system.settings) as connection:
        connection.execute(f'SET search_path = "{system.settings.database.table_schema}"'.encode())
        connection.execute("UPDATE job_versions SET actor = 'nobody' WHERE job_id = 'tick'")
    ended = system.call("audit", "--full")
    assert (ended.returncode, "tables      1 DIFFERENCES" in ended.stdout) == (7, True), ended.stdout
    assert "actor" in ended.stderr


@contextmanager
def last_one_altered(system: System) -> Iterator[None]:
    """The row of what ended last, for the time of the block."""
    table = f'"{system.settings.database.table_schema}".job_executions'
    set_priority = f"UPDATE {table} SET priority = %s WHERE execution_id = %s".encode()
    with connect(system.settings) as connection:
        last = connection.execute(f"SELECT execution_id FROM {table} ORDER BY finished_at DESC NULLS LAST LIMIT 1".encode()).fetchone()
        assert last is not None and connection.execute(set_priority, (77, last[0])).rowcount == 1
    yield
    with connect(system.settings) as connection:
        connection.execute(set_priority, (5, last[0]))


def counted(checks: list[dict[str, dict[str, int]]]) -> dict[str, int]:
    """The executions, with one more that completed."""
    figures = checks[3]["figures"]
    return {**figures, "executions": figures["executions"] + 1, "terminal": figures["terminal"] + 1}

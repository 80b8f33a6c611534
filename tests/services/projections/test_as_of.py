"""`--as-of` and `diff` on a real log: what the tables said then, after the log has gone on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from ledger import Ledger, Refused
from ledger.client.job_history import job_history
from ledger.core import definition, execution, pause, tick
from ledger.core.ids import ExecutionId, Micros
from ledger.core.refusal import Unfit
from ledger.core.schedule_spec import KeptSchedule
from projections.reads import Reads
from projections.rows import Attempt, Execution, ExecutionFilter, JobDefinition
from projections.schedule_rows import JobStatus
from tests.services.projections.conftest import Logs, caught_up, consuming
from tests.services.projections.test_consumer import fill
from tests.synthetic_log import BEGAN, execution_id, requested

LATE = Micros(BEGAN + 10**12)  # they head the list
FAILED = ExecutionFilter(state="failed")


@dataclass
class Seen:
    """What the tables said at a moment."""

    jobs: Sequence[JobDefinition]
    executions: Sequence[Execution]
    failed: Sequence[Execution]
    attempts: Mapping[str, Sequence[Attempt]]
    status: JobStatus | None


async def seen(reads: Reads) -> Seen:
    executions = (await reads.executions(limit=200)).items
    attempts = {one.execution_id: await reads.attempts(one.execution_id) for one in executions[:3]}
    failed = (await reads.executions(FAILED, limit=200)).items
    return Seen((await reads.definitions()).items, executions, failed, attempts, await reads.status("tidy"))


def hold(logs: Logs, home: int) -> None:
    """Of each kind of pause something that it holds; and what none holds."""
    logs.registry.commit([pause.Began("queue", "slow", "for the night", "ops"), pause.Began("key", "tenant:bill:zoe", None, "ops")])
    logs.registry.commit(
        [pause.Began("tenant", "unpaid", None, "ops"), pause.Began("tenant", "short", None), pause.Ended("tenant", "short")]
    )
    logs.events(home).commit([tick.Adopted("tidy", 2, Micros(1), next_tick_at=Micros(5)), tick.AutoPaused("tidy", 3, "three failed")])
    of_tidy: dict[str, object] = {"job_id": "tidy", "kind": "system"}
    by_hand: dict[str, object] = {**of_tidy, "trigger": "run_now", "ignore_pause": True}
    behind: dict[str, object] = {"tenant": "unpaid", "exclusive_key": "k", "blocked_by": ExecutionId("somebody-0")}
    asked: list[dict[str, object]] = [
        {"queue": "slow"}, {"exclusive_key": "tenant:bill:zoe"}, {"tenant": "unpaid"}, {"tenant": "short"}, of_tidy, by_hand, behind,
    ]  # fmt: skip
    logs.events(home).commit([requested(7000 + nth, home, requested_at=LATE, **changes) for nth, changes in enumerate(asked)])


def go_on(logs: Logs, home: int, live: Execution, ended: Execution) -> None:
    """Everything moves: executions of before, new ones, jobs, versions, pauses, schedules. Nothing of it before what was there."""
    latest = max(one.at for one in logs.of.values())
    for log in logs.of.values():
        log.at = latest
    for partition in range(4):
        logs.fill(partition, [requested(5000 + partition, partition)])
    logs.fill(live.address.partition, [execution.Completed(ExecutionId(live.execution_id), live.attempt, 2)])
    logs.fill(ended.address.partition, [again(ended)])
    logs.events(home).commit([tick.Adopted("tidy", 4, Micros(9), next_tick_at=Micros(10)), tick.AutoResumed("tidy", Micros(9))])
    schedule = KeptSchedule(cron=("0 7 * * *",), timezone="Europe/Berlin")
    logs.registry.commit([definition.Versioned("tidy", 4, "h6", True, schedule=schedule, actor="ops", reason="later in the day")])
    lifted = [pause.Ended(*name, "ops") for name in (("queue", "mail"), ("queue", "slow"), ("tenant", "unpaid"))]
    logs.registry.commit([pause.Began("job", "tidy", "for the audit", "ann"), *lifted])


def again(one: Execution) -> execution.Requested:
    """Its command came once more, after its window."""
    return replace(requested(0, one.address.partition, requested_at=LATE), execution_id=ExecutionId(one.execution_id))


def last_of(logs: Logs) -> str:
    """The name of the commit that came last."""
    last = max(logs.of.values(), key=lambda log: log.at)
    return f"{'registry' if last.log == 'registry' else last.partition}-{last.seq}"


async def test_the_past_is_what_the_tables_said_then(logs: Logs, reads: Reads) -> None:
    fill(logs, 40)
    home = (await home_of(logs, reads)).home_partition
    hold(logs, home)
    async with consuming(logs.settings):
        await logs.send()
        await caught_up(reads, logs)
        then, moment = await seen(reads), last_of(logs)
        reasons = {one.execution_id: one.waiting_reason for one in then.executions}
        assert [reasons[execution_id(7000 + nth, home)] for nth in range(7)] == [
            "paused(queue)", "paused(key)", "paused(tenant)", None, "paused(job)", None, "exclusive",
        ]  # fmt: skip
        assert [(one.state, one.paused_note) for one in then.jobs if one.job_id == "tidy"] == [("paused", "three failed")]
        live = next(one for one in then.executions if one.state in ("active", "processing"))
        ended = next(one for one in then.executions if one.is_over)
        happened = [await reads.history(one.execution_id) for one in (live, ended)]
        became = await job_history(logs.settings, reads, "tidy", most=2)
        go_on(logs, home, live, ended)
        await logs.send()
        await caught_up(reads, logs)
    async with Ledger.connect(logs.settings) as ledger:
        past = await ledger.as_of(moment)
        assert (await past.jobs()).items == tuple(then.jobs)
        assert (await past.executions(limit=200)).items == tuple(then.executions)
        assert (await past.executions(FAILED, limit=200)).items == tuple(then.failed)
        page = await past.executions(limit=7)
        assert page.items + (await past.executions(cursor=page.next, limit=9)).items == tuple(then.executions[:16])
        for one in (*then.executions[:9], live, ended):
            found = await past.execution(one.execution_id)
            assert found is not None and found.execution == one
            assert list(found.attempts) == list(then.attempts.get(one.execution_id, found.attempts))
        of_both = [await past.execution(one.execution_id) for one in (live, ended)]
        assert [await past.execution_history(one) for one in of_both if one is not None] == happened
        assert await past.job_history("tidy", most=2) == became
        with pytest.raises(Unfit, match="limit is 0"):
            await past.job_history("tidy", most=0)
        job = await past.job("tidy")
        assert (
            job is not None
            and job.definition in then.jobs
            and job.status == then.status
            and [one.job_version for one in job.versions] == [3, 2, 1]
        )
        assert await past.execution(execution_id(5000, 0)) is None and await past.job("nothing") is None
        with pytest.raises(Refused, match="there is no such event"):
            await ledger.as_of("0-999999")
        with pytest.raises(Refused, match="still to come"):
            await ledger.as_of("2999-01-01T00:00:00Z")

        changes = await ledger.diff(moment, last_of(logs))
        assert [(one.kind, one.name, one.what) for one in changes] == [
            ("job", "tidy", "changed"),
            ("version", "tidy 4", "added"),
            ("pause", "job tidy", "added"),
            ("pause", "queue mail", "removed"),
            ("pause", "queue slow", "removed"),
            ("pause", "tenant unpaid", "removed"),
            ("schedule", "tidy", "changed"),
        ]
        said = {one.kind: " ".join(map(str, one.differences)) for one in changes}
        assert '"timezone":"Europe/Berlin"' in said["version"]
        assert "job_version: 2 -> 4" in said["schedule"] and 'paused_itself: "three failed" -> (not said)' in said["schedule"]
        assert await ledger.diff(moment, moment) == []


async def home_of(logs: Logs, reads: Reads) -> JobDefinition:
    async with consuming(logs.settings):
        await logs.send()
        await caught_up(reads, logs)
    found = await reads.definition("tidy")
    assert found is not None
    return found

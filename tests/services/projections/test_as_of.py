"""`--as-of` and `diff` on a real log: what the tables said then, after the log has gone on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from ledger import Ledger, Refused
from ledger.core import definition, execution, pause, tick
from ledger.core.definition import KeptSchedule
from ledger.core.ids import ExecutionId, Micros
from projections.reads import Reads
from projections.rows import Attempt, Execution, ExecutionFilter, JobDefinition, JobStatus
from tests.services.projections.conftest import Logs, caught_up, consuming
from tests.services.projections.test_consumer import fill
from tests.synthetic_log import execution_id, requested

FAILED = ExecutionFilter(state="failed")


@dataclass
class Seen:
    """What the tables said at a moment."""

    jobs: Sequence[JobDefinition]
    executions: Sequence[Execution]
    failed: Sequence[Execution]
    attempts: dict[str, Sequence[Attempt]]
    status: JobStatus | None


async def seen(reads: Reads) -> Seen:
    executions = tuple(as_stored(one) for one in (await reads.executions(limit=200)).items)
    attempts = {one.execution_id: await reads.attempts(one.execution_id) for one in executions[:3]}
    failed = tuple(as_stored(one) for one in (await reads.executions(FAILED, limit=200)).items)
    return Seen((await reads.definitions()).items, executions, failed, attempts, await reads.status("tidy"))


def as_stored(one: Execution) -> Execution:
    """What a pause holds is said of a row when it is read, of the present alone."""
    return replace(one, waiting_reason=None) if (one.waiting_reason or "").startswith("paused(") else one


def go_on(logs: Logs, home: int, live: Execution) -> None:
    """Everything moves: executions of before, new ones, jobs, versions, pauses, schedules. Nothing of it before what was there."""
    latest = max(one.at for one in logs.of.values())
    for log in logs.of.values():
        log.at = latest
    for partition in range(4):
        logs.fill(partition, [requested(5000 + partition, partition)])
    logs.fill(live.address.partition, [execution.Completed(ExecutionId(live.execution_id), live.attempt, 2)])
    logs.events(home).commit([tick.Adopted("tidy", 4, Micros(9), next_tick_at=Micros(10)), tick.AutoResumed("tidy", Micros(9))])
    schedule = KeptSchedule(cron=("0 7 * * *",), timezone="Europe/Berlin")
    logs.registry.commit([definition.Versioned("tidy", 4, "h6", True, schedule=schedule, actor="ops", reason="later in the day")])
    logs.registry.commit([pause.Began("job", "tidy", "for the audit", "ann"), pause.Ended("queue", "mail", "ops")])


def last_of(logs: Logs) -> str:
    """The name of the commit that came last."""
    last = max(logs.of.values(), key=lambda log: log.at)
    return f"{'registry' if last.log == 'registry' else last.partition}-{last.seq}"


async def test_the_past_is_what_the_tables_said_then(logs: Logs, reads: Reads) -> None:
    fill(logs, 40)
    home = (await home_of(logs, reads)).home_partition
    logs.events(home).commit([tick.Adopted("tidy", 2, Micros(1), next_tick_at=Micros(5)), tick.AutoPaused("tidy", 3, "three failed")])
    async with consuming(logs.settings):
        await logs.send()
        await caught_up(reads, logs)
        then, moment = await seen(reads), last_of(logs)
        live = next(one for one in then.executions if one.state in ("active", "processing"))
        go_on(logs, home, live)
        await logs.send()
        await caught_up(reads, logs)
    async with Ledger.connect(logs.settings) as ledger:
        past = await ledger.as_of(moment)
        assert (await past.jobs()).items == tuple(then.jobs)
        assert (await past.executions(limit=200)).items == tuple(then.executions)
        assert (await past.executions(FAILED, limit=200)).items == tuple(then.failed)
        page = await past.executions(limit=7)
        assert page.items + (await past.executions(cursor=page.next, limit=9)).items == tuple(then.executions[:16])
        for one in (*then.executions[:3], live):
            found = await past.execution(one.execution_id)
            assert found is not None and found.execution == one
            assert list(found.attempts) == list(then.attempts.get(one.execution_id, found.attempts))
        job = await past.job("tidy")
        assert job is not None and job.status == then.status and [one.job_version for one in job.versions] == [3, 2, 1]
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

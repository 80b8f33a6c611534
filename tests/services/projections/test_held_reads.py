"""What a pause holds says so when it is read; the rows do not know."""

import pytest

from ledger.core import pause, tick
from ledger.core.ids import Micros
from projections.reads import Reads
from projections.rebuild import rebuild
from tests.services.projections.conftest import Logs
from tests.synthetic_log import BEGAN, execution_id, registry_events, requested

HELD: dict[str, dict[str, object]] = {  # waiting reason -> an execution that has it
    "paused(tenant)": {"tenant": "acme"},
    "paused(queue)": {"queue": "mail", "tenant": "other"},
    "paused(key)": {"tenant": "other", "exclusive_key": "key:send-invoice:7"},
    "paused(job)": {"job_id": "tidy", "job_name": "tidy", "kind": "system", "trigger": "run_now"},
}


@pytest.fixture
async def paused(logs: Logs) -> Logs:
    logs.registry.fill(registry_events())
    logs.registry.commit([pause.Began("tenant", "acme"), pause.Began("queue", "mail"), pause.Began("key", "key:send-invoice:7")])
    events = [requested(number, 0, **fields) for number, fields in enumerate(HELD.values())]
    overlapped = requested(4, 0, tenant="acme", blocked_by=execution_id(0, 0))
    ignores = requested(5, 0, tenant="acme", trigger="run_now", ignore_pause=True)
    by_hand = requested(6, 0, tenant="acme", trigger="run_now")
    delayed = requested(7, 0, tenant="acme", run_at=Micros(BEGAN + 10**12))
    logs.events(0).commit([tick.Adopted("tidy", 1, Micros(BEGAN)), *events, overlapped, ignores, by_hand, delayed, requested(8, 0)])
    stopped = tick.AutoPaused("tidy", 3, "three failed", execution_id(3, 0))
    logs.events(0).commit([stopped])
    await logs.send()
    await rebuild(logs.settings)
    return logs


async def told(reads: Reads) -> dict[int, str | None]:
    page = await reads.executions(limit=200)
    reasons = {one.execution_id: one.waiting_reason for one in page.items}
    for one in page.items:
        alone = await reads.execution(one.execution_id)
        assert alone is not None and alone.waiting_reason == one.waiting_reason
    return {number: reasons[execution_id(number, 0)] for number in range(9)}


async def test_what_waits_names_the_scope_that_holds_it(paused: Logs, reads: Reads) -> None:
    assert await told(reads) == {**dict(enumerate(HELD)), 4: "overlap", 5: None, 6: "paused(tenant)", 7: None, 8: None}


async def test_after_the_resume_it_does_not(paused: Logs, reads: Reads) -> None:
    ended = [pause.Ended("tenant", "acme"), pause.Ended("queue", "mail"), pause.Ended("key", "key:send-invoice:7")]
    paused.registry.commit(list(ended))
    paused.events(0).commit([tick.AutoResumed("tidy", Micros(BEGAN))])
    await paused.send()
    await rebuild(paused.settings)
    assert set((await told(reads)).values()) == {None, "overlap"}

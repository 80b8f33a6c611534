"""A program's view of the running system."""

import asyncio
import json

import pytest
from aiokafka import TopicPartition

from ledger import ExecutionFailed, ExecutionSkipped, Ledger, Refused, Unique
from ledger.client.handle import Update
from ledger.core.ids import execution_of_command
from ledger.kafka.connect import new_consumer
from tests.services.client.conftest import System, until_all_are_over
from tests.services.client.shop import Order


async def test_submit_and_result(ledger: Ledger) -> None:
    execution = await ledger.submit("bill", Order(number=7), tenant="acme", labels={"shop": "1"}, correlation_id="x")
    assert await execution.result(30) == {"billed": 7}
    row = await execution.row()
    assert row is not None
    assert (row.tenant, row.labels, row.correlation_id, row.data) == ("acme", {"shop": "1"}, "x", {"number": 7})


async def test_the_id_is_the_one_that_follows_from_the_command(ledger: Ledger) -> None:
    execution = await ledger.submit("bill", Order(number=1))
    assert execution.command_id is not None
    number = int(execution.execution_id.rpartition("-")[2])
    assert execution.execution_id == execution_of_command(execution.command_id, None, "submit", number)


async def test_progress_is_heard(ledger: Ledger) -> None:
    execution = await ledger.submit("climb", follow=True)
    async with asyncio.timeout(30):
        told = [update async for update in execution.progress()]
    assert Update("processing", 1, 10, "at 10") in told
    assert Update("processing", 1, 60, "at 60") in told
    assert told[-1].state == "completed"
    assert await execution.result(30) == "top"


async def test_a_failure_is_raised(ledger: Ledger) -> None:
    execution = await ledger.submit("refuse", Order(number=3), follow=True)
    with pytest.raises(ExecutionFailed, match="order 3 is no good") as error:
        await execution.result(30)
    assert error.value.error_type == "UnrecoverableError"


async def test_a_repeat_with_the_same_key_is_the_same_execution(ledger: Ledger, system: object) -> None:
    first = await ledger.submit("bill", Order(number=1), idempotency_key="order-1")
    again = await ledger.submit("bill", Order(number=1), idempotency_key="order-1")
    assert (first.was_known, again.was_known) == (False, True)
    assert first.execution_id == again.execution_id
    both = await asyncio.gather(*(ledger.submit("bill", Order(number=2), idempotency_key="order-2") for _ in range(10)))
    assert len({one.execution_id for one in both}) == 1
    other = await ledger.submit("bill", Order(number=1), idempotency_key="order-1", tenant="acme")
    assert other.execution_id != first.execution_id


async def test_a_submit_may_be_unique_by_fields_of_its_data(ledger: Ledger, system: System) -> None:
    wanted = Unique("number", states=("delayed", "waiting", "active", "completed"))
    first = await ledger.submit("bill", Order(number=70), unique=wanted, delay="1h")
    again = await ledger.submit("bill", Order(number=70), unique=wanted)
    assert (first.was_known, again.was_known, again.execution_id) == (False, True, first.execution_id)
    with pytest.raises(Refused, match=first.execution_id):
        await ledger.submit("bill", Order(number=70), unique=Unique("number", on_conflict="reject"))
    new = await ledger.submit("bill", Order(number=70), unique=Unique("number", on_conflict="replace"))
    with pytest.raises(ExecutionSkipped, match="replaced"):
        await first.result(30)
    assert await new.result(30) == {"billed": 70}
    said = system.call("submit", "bill", "--data", '{"number":70}', "--unique", "number", "--unique-states", "completed", "-o", "json")
    assert (json.loads(said.stdout)["execution_id"], "asked for before" in said.stderr) == (new.execution_id, True), said.stderr
    assert again.command_id is not None
    async with asyncio.timeout(30):
        while (row := await ledger.commands.get(again.command_id)) is None:  # noqa: ASYNC110  # the projection's work
            await asyncio.sleep(0.05)
    assert (row.outcome, row.detail) == ("unchanged", first.execution_id)


async def test_a_client_without_handlers_says_the_same(ledger: Ledger) -> None:
    async with Ledger.connect(ledger.settings) as other:
        first = await other.submit("bill", Order(number=1), idempotency_key="order-3")
        again = await ledger.submit("bill", Order(number=1), idempotency_key="order-3")
    assert first.execution_id == again.execution_id


@pytest.mark.parametrize(("job", "reason"), [("nosuch", "unknown_job"), ("tick", "not_on_demand")])
async def test_a_refusal_is_raised_with_its_reason(ledger: Ledger, job: str, reason: str) -> None:
    with pytest.raises(Refused) as error:
        await ledger.submit(job)
    assert error.value.reason == reason


async def test_run_now(ledger: Ledger) -> None:
    execution = await ledger.run_now("tick", reason="a test")
    assert await execution.result(30) == "tock"
    row = await execution.row()
    assert row is not None
    assert row.trigger == "run_now"


async def test_many_at_once_are_all_done_under_the_ids_that_were_told(ledger: Ledger) -> None:
    ids = await ledger.submit_many(("bill", {"number": number}) for number in range(1000))
    assert len(set(ids)) == 1000
    await until_all_are_over(ledger, [one for one in ids if one is not None])


async def test_single_submits_in_flight_together_are_each_answered(ledger: Ledger) -> None:
    handles = await asyncio.gather(*(ledger.submit("bill", Order(number=number)) for number in range(300)))
    assert len({one.execution_id for one in handles}) == 300


@pytest.mark.slow
async def test_a_client_with_too_much_at_once_waits_its_turn(ledger: Ledger) -> None:
    handles = await asyncio.gather(*(ledger.submit("bill", Order(number=number)) for number in range(12_000)))
    assert len({one.execution_id for one in handles}) == 12_000


@pytest.mark.parametrize("job", ["fan", "fan-in-a-thread", "fan-in-a-process"])
async def test_what_a_handler_submits_is_there_once_however_many_attempts_it_takes(ledger: Ledger, system: System, job: str) -> None:
    parent = await ledger.submit(job, tenant=job, follow=True)
    assert await parent.result(60) == [True, True]
    children = (await ledger.executions.list(job="bill", tenant=job)).items
    assert len(children) == 2
    for child in children:
        assert (child.actor, child.correlation_id) == (f"execution:{parent.execution_id}", parent.execution_id)
    shown = system.call("executions", "show", children[0].execution_id, "--events")
    assert f"execution:{parent.execution_id}" in shown.stdout, shown.stderr


async def test_reading(ledger: Ledger) -> None:
    execution = await ledger.submit("bill", Order(number=1), labels={"reading": "yes"})
    await execution.result(30)
    page = await ledger.executions.list(job="bill", state="completed", labels={"reading": "yes"})
    assert [one.execution_id for one in page.items] == [execution.execution_id]
    history = await ledger.executions.history(execution.execution_id)
    assert [type(past.event).__name__ for past in history] == ["Requested", "Started", "Completed"]
    assert execution.command_id is not None
    outcome = await ledger.commands.get(execution.command_id)
    assert outcome is not None
    assert (outcome.outcome, outcome.execution_id) == ("accepted", execution.execution_id)
    job = await ledger.definitions.get("tick")
    assert job is not None
    assert (job.kind, job.state, job.current_version) == ("system", "active", 1)
    assert [one.job_version for one in (await ledger.versions.list("tick")).items] == [1]


async def test_what_a_hint_started_at_once_costs_kafka_no_record_of_offers(ledger: Ledger) -> None:
    place = TopicPartition(ledger.settings.topic("work.default"), 0)
    consumer = new_consumer(ledger.settings.kafka.bootstrap)
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while True:
                before = (await consumer.end_offsets([place]))[place]
                execution = await ledger.submit("bill", Order(number=8))
                assert await execution.result(30) == {"billed": 8}
                if (await consumer.end_offsets([place]))[place] == before:
                    return  # else the machine was slow this time
    finally:
        await consumer.stop()

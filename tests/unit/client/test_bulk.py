"""Many submits: full records, one partition each, bounded in count and bytes; and fast."""

import asyncio
import time
from collections import Counter

import orjson
import pytest

from ledger.client.bulk import Bulk, check
from ledger.client.decisions import BYTES_PER_RECORD, COMMANDS_PER_RECORD
from ledger.client.routes import Route, Routes
from ledger.config import Settings
from ledger.config.settings import SystemJob
from ledger.core import wire
from ledger.core.ids import ExecutionId, execution_of_command, partition_for
from ledger.core.refusal import Refused, Unavailable
from ledger.core.request import Submit
from ledger.handlers import Jobs
from ledger.submitting.submission import Submission, Wish
from ledger.terms import Exclusive
from tests.unit.client.client_fakes import FakeSender


def nothing() -> None: ...


async def nobody(job_id: str) -> Route | None:
    return None


def bulk(sender: FakeSender) -> Bulk:
    return Bulk(sender, Routes(Settings(), None, nobody), "commands", "me")


async def submitted(wishes: list[Wish]) -> tuple[list[ExecutionId | None], dict[int, list[Submit]]]:
    sender = FakeSender()
    ids = await bulk(sender).submit(wishes)
    commands: dict[int, list[Submit]] = {}
    for _, partition, record in sender.sent:
        items = wire.decode_commands(record)
        assert len(items) <= COMMANDS_PER_RECORD
        assert len(record) <= BYTES_PER_RECORD or len(items) == 1
        commands.setdefault(partition, []).extend(item for item in items if isinstance(item, Submit))
    return ids, commands


async def test_every_command_stands_in_its_partition_and_its_execution_is_known() -> None:
    ids, commands = await submitted([("a", {"n": n}) for n in range(1000)])
    said = {execution_of_command(one.command_id, None, "submit", number) for number, all_of in commands.items() for one in all_of}
    assert set(ids) == said
    assert len(said) == 1000
    assert all(partition_for(one.command_id, 4) == number for number, all_of in commands.items() for one in all_of)
    assert Counter(orjson.loads(bytes(one.data))["n"] for all_of in commands.values() for one in all_of) == Counter(range(1000))


async def test_nobody_is_told_a_decision_and_the_actor_is_kept() -> None:
    _, commands = await submitted([{"job": "a"}])
    [[one]] = commands.values()
    assert (one.answer, one.actor) == (None, "me")


async def test_records_are_bounded_in_bytes() -> None:
    ids, _ = await submitted([("a", "x" * 50_000) for _ in range(20)])
    assert len(ids) == 20


async def test_a_large_command_has_a_record_of_its_own() -> None:
    ids, _ = await submitted([("a", 1), ("a", "x" * 200_000), ("a", 2)])
    assert len(ids) == 3


async def test_one_too_large_is_refused_with_its_number_and_the_others_before_it_are_sent() -> None:
    sender = FakeSender()
    with pytest.raises(Refused, match="item 2: the command has"):
        await bulk(sender).submit([("a", 1), ("a", "x" * 300_000), ("a", 2)])
    assert [len(wire.decode_commands(record)) for _, _, record in sender.sent] == [1]


async def test_what_is_no_submit_is_refused_before_it_is_sent_with_its_number() -> None:
    sender = FakeSender()
    with pytest.raises(Refused, match=r"item 2: this is no submit: Expected `int \| null`, got `str` - at `\$.priority`"):
        await bulk(sender).submit([("a", 1), Submission("a", priority="3")])  # type: ignore[arg-type]  # that is the point
    assert [len(wire.decode_commands(record)) for _, _, record in sender.sent] == [1]


async def test_a_key_for_a_job_that_is_known_not_to_be_exclusive_by_key_is_refused_as_nobody_would_hear_it() -> None:
    jobs, sender = Jobs(), FakeSender()
    for name, exclusive in (("by-key", Exclusive("key")), ("by-tenant", Exclusive("tenant"))):
        jobs.job(name, exclusive=exclusive)(nothing)
    many = Bulk(sender, Routes(Settings(), jobs, nobody), "commands", "me")
    wishes = [{"job": job, "exclusive_key": "7", "tenant": "acme"} for job in ("by-key", "not-known-here", "by-tenant")]
    with pytest.raises(Refused, match=r"item 3: exclusive_key belongs to jobs .* by-tenant is exclusive by tenant"):
        await many.submit(wishes)
    assert sum(len(wire.decode_commands(record)) for _, _, record in sender.sent) == 2


async def test_a_job_that_is_known_to_have_a_schedule_is_refused_as_nobody_would_hear_it() -> None:
    sender, settings = FakeSender(), Settings(system_jobs=[SystemJob(name="tick", every="5s")])
    with pytest.raises(Refused, match="item 2: tick has a schedule: `jobledger run tick`"):
        await Bulk(sender, Routes(settings, None, nobody), "commands", "me").submit([("a", 1), ("tick", 1), ("a", 2)])
    assert sum(len(wire.decode_commands(record)) for _, _, record in sender.sent) == 1


def test_a_refused_record_is_not_shown() -> None:
    record = b'{"type":"execution.submit.v1","command_id":"c","job_id":"a","data":{"iban":"DE00"},"priority":"3"}'
    with pytest.raises(Refused, match=r"at `\$.priority`") as refusal:
        check(record)
    assert "DE00" not in str(refusal.value)


async def test_with_an_idempotency_key_the_execution_is_not_known() -> None:
    ids, _ = await submitted([{"job": "a", "idempotency_key": "k"}])
    assert ids == [None]


async def test_no_item_is_no_record() -> None:
    assert await submitted([]) == ([], {})


class Stalled(FakeSender):
    """Nothing is acknowledged; what is sent to `fails` is told as away, once all else is under way."""

    def __init__(self, fails: int | None = None) -> None:
        super().__init__()
        self.fails = fails

    async def send(self, topic: str, partition: int, record: bytes) -> None:
        await self.post(topic, partition, record)
        if partition != self.fails:
            await asyncio.Event().wait()
        await self.until_sent(4)
        raise Unavailable("away")


async def test_of_many_records_one_fails_and_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await bulk(Stalled(fails=3)).submit([("a", n) for n in range(100)])
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("endless", [False, True])
async def test_who_waits_no_longer_is_let_go_at_once_and_leaves_nothing_behind(endless: bool) -> None:
    before = asyncio.all_tasks()
    stalled = Stalled()
    wishes = [("a", n) for n in range(100_000 if endless else 100)]
    submitting = asyncio.create_task(bulk(stalled).submit(wishes))
    await stalled.until_sent(64 if endless else 4)
    submitting.cancel()
    done, _ = await asyncio.wait([submitting], timeout=5)
    assert done
    assert submitting.cancelled()
    assert asyncio.all_tasks() == before


async def test_it_costs_little() -> None:
    """The target is over 60 000 a second of CPU; a test on a busy machine can only notice that it became many times slower."""
    began = time.process_time()
    await bulk(FakeSender()).submit(("a", {"n": n}) for n in range(10_000))
    assert 10_000 / (time.process_time() - began) > 15_000

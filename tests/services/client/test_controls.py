"""Acts on executions and on dead letters, on the real servers: cancel, retry, pause, redrive, discard."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from msgspec import Raw

from ledger import ExecutionCancelled, ExecutionFailed, Ledger, Refused
from ledger.client.bulk_frame import BulkFrame
from ledger.client.letters import DeadLetter
from ledger.core import execution, wire
from ledger.core.request import Submit
from ledger.kafka.connect import new_producer
from ledger.submitting.naming import fresh_command_id
from projections.acting_reads import MOST_TARGETS
from projections.rows import ExecutionFilter
from tests.services.client.conftest import System
from tests.services.client.test_acts import until


async def held(ledger: Ledger, tenant: str, count: int) -> list[str]:
    """So many executions that wait, because their tenant is paused; the tables have them."""
    await ledger.pause(tenant=tenant)
    made = [await ledger.submit("bill", {"number": number}, tenant=tenant, labels={"row": str(number)}) for number in range(count)]

    async def known() -> bool:
        return len((await ledger.executions.list(tenant=tenant, state="waiting", limit=200)).items) == count

    await until(known)
    return [one.execution_id for one in made]


async def test_what_waits_is_cancelled_at_once_and_retried_with_all_that_was_asked_for(ledger: Ledger) -> None:
    [one] = await held(ledger, "north", 1)
    assert (await ledger.cancel(one, reason="a mistake")).outcome == "applied"
    assert (await ledger.cancel(one)).outcome == "unchanged"
    with pytest.raises(ExecutionCancelled):
        await ledger.execution(one).result(timeout=20)
    await ledger.resume(tenant="north")
    again = await ledger.retry(one, reason="it was none")
    assert await again.result(timeout=20) == {"billed": 0}
    row = await again.row()
    assert row is not None
    assert (row.retry_of, row.trigger, row.tenant, row.labels, row.state) == (one, "retry", "north", {"row": "0"}, "completed")
    known = await ledger.retry(one)
    assert (known.execution_id, known.was_known) == (again.execution_id, True)
    with pytest.raises(Refused, match="completed"):
        await ledger.retry(again.execution_id)
    events = [type(past.event).__name__ for past in await ledger.executions.history(one)]
    assert events == ["Requested", "Cancelled"]


async def test_two_who_retry_the_same_one_at_once_get_one_retry(ledger: Ledger) -> None:
    failed = await ledger.submit("refuse", {"number": 1})
    with pytest.raises(ExecutionFailed):
        await failed.result(timeout=20)
    made = await asyncio.gather(*(ledger.retry(failed.execution_id) for _ in range(4)))
    assert len({one.execution_id for one in made}) == 1
    assert sorted(one.was_known for one in made) == [False, True, True, True]


async def test_many_are_cancelled_and_retried_by_a_filter_and_the_tables_count_them(ledger: Ledger, system: System) -> None:
    await held(ledger, "south", 30)
    where = ExecutionFilter(tenant="south", job="bill")
    planned = await ledger.cancel_many(where, plan=True)
    assert (planned.planned, planned.bulk_id, dict(planned.states)) == (30, None, {"waiting": 30})
    done = await ledger.cancel_many(where, reason="all of them")
    assert (done.planned, done.done, done.refused) == (30, 30, 0)
    assert done.bulk_id is not None
    rows = await ledger.bulk_acts.get(done.bulk_id)
    [whole] = [one for one in (await ledger.bulk_acts.acts(actor=ledger.acting, going_on=False)).items if one.bulk_id == done.bulk_id]
    assert (whole.planned, whole.done, whole.partitions) == (30, 30, len(rows))
    shown = json.loads(system.call("bulk", "show", done.bulk_id, "-o", "json").stdout)
    assert (shown["done"], len(shown["partitions"]), shown["outcome"]) == (30, len(rows), "done")
    listed = json.loads(system.call("bulk", "list", "--kind", "cancel", "--ended", "-o", "json").stdout)
    assert done.bulk_id in [one["bulk_id"] for one in listed]
    assert system.call("bulk", "show", "nobody").returncode == 3
    assert sum(one.done for one in rows) == 30
    assert {(one.kind, one.reason, one.outcome) for one in rows} == {("cancel", "all of them", "done")}
    assert (await ledger.cancel_many(where)).planned == 0
    assert (await ledger.retry_many(where, plan=True)).planned == 0  # they did not fail
    cancelled = ExecutionFilter(tenant="south", state="cancelled")
    await ledger.resume(tenant="south")
    again = await ledger.retry_many(cancelled)
    assert (again.planned, again.done, again.refused) == (30, 30, 0)
    assert (await ledger.retry_many(cancelled)).planned == 0

    async def all_ran() -> bool:
        return len((await ledger.executions.list(tenant="south", state="completed", limit=200)).items) == 30

    await until(all_ran)
    assert again.bulk_id is not None
    assert (await ledger.resume_bulk(again.bulk_id)).done == 30
    with pytest.raises(Refused, match="unknown_bulk_act"):
        await ledger.resume_bulk("nobody")


class Died(Exception):
    """What the client of this test does."""


async def test_a_bulk_act_whose_client_died_goes_on_where_it_was(system: System, ledger: Ledger) -> None:
    where, count = ExecutionFilter(tenant="west"), MOST_TARGETS + 100
    await ledger.pause(tenant="west")
    await ledger.submit_many({"job": "bill", "data": {"number": 1}, "tenant": "west"} for _ in range(count))

    async def known() -> bool:
        return (await ledger.cancel_many(where, plan=True)).planned == count

    await until(known)
    names: list[str] = []

    def die(bulk_id: str, decided: int, planned: int) -> None:
        names.append(bulk_id)
        if decided:
            raise Died

    with pytest.raises(Died):
        await ledger.cancel_many(where, told=die)

    async def is_going_on() -> bool:
        return any(one.bulk_id == names[0] for one in (await ledger.bulk_acts.list(kind="cancel", going_on=True)).items)

    await until(is_going_on)
    decided: list[int] = []
    told = ledger.resume_bulk(names[0], told=lambda _, count, planned: decided.append(count))
    both = await asyncio.wait_for(asyncio.gather(told, ledger.resume_bulk(names[0])), 60)  # two who find it at the same time
    assert [(done.planned, done.done, done.refused) for done in both] == [(count, count, 0)] * 2
    assert decided in ([0], [0, 100])  # the other may have been first with what was left
    assert (await ledger.resume_bulk(names[0])).done == count
    verified = system.call("projections", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(("scope", "name"), [("job", "guard"), ("queue", "default"), ("tenant", "held"), ("key", "key:guard:7")])
async def test_what_is_paused_holds_what_comes_says_who_holds_it_and_lets_it_go(ledger: Ledger, scope: str, name: str) -> None:
    assert (await ledger.pause(**{scope: name}, note="stock-taking", reason="asked")).outcome == "applied"
    one = await ledger.submit("guard", tenant="held", exclusive_key="7")

    async def waits() -> bool:
        row = await one.row()
        pause = await ledger.pauses.get(scope, name)
        return (
            row is not None
            and row.state == "waiting"
            and pause is not None
            and (pause.note, pause.actor) == ("stock-taking", ledger.acting)
        )

    await until(waits)
    if scope != "job":
        service = {"queue": ledger.queues, "tenant": ledger.tenants, "key": ledger.keys}[scope]
        [load] = [load for load in (await service.list(limit=200)).items if load.name == name]
        assert (load.waiting > 0, load.active, load.paused, load.note) == (True, 0, True, "stock-taking")
    assert (await ledger.resume(**{scope: name}, reason="done")).outcome == "applied"
    assert await one.result(timeout=20) == "guarded"


async def running(ledger: Ledger, job: str) -> str:
    """An execution whose code runs."""
    made = await ledger.submit(job)

    async def is_active() -> bool:
        row = await made.row()
        return row is not None and row.state in ("active", "processing")

    await until(is_active)
    return made.execution_id


@pytest.mark.parametrize("job", ["stand", "sleep", pytest.param("stone", marks=pytest.mark.slow)])
async def test_what_runs_is_asked_to_stop_and_made_to_after_a_grace(ledger: Ledger, job: str) -> None:
    one, other = await running(ledger, job), await running(ledger, "stand")
    assert (await ledger.cancel(one, reason="not needed")).outcome == "applied"
    with pytest.raises(ExecutionCancelled):
        await ledger.execution(one).result(timeout=60)
    row = await ledger.executions.get(one)
    assert row is not None and (row.state, row.reason, row.attempt) == ("cancelled", "asked", 1)
    [asked] = [past.event for past in await ledger.executions.history(one) if isinstance(past.event, execution.CancelRequested)]
    assert (asked.detail, asked.actor) == ("not needed", ledger.acting)
    after = await ledger.executions.get(other)
    assert after is not None and not after.is_over
    await ledger.cancel(other)
    with pytest.raises(ExecutionCancelled):
        await ledger.execution(other).result(timeout=60)


async def test_the_same_from_the_command_line(system: System, ledger: Ledger) -> None:
    first, _ = await held(ledger, "east", 2)

    async def call(*arguments: str) -> dict[str, object]:
        done = await asyncio.to_thread(system.call, *arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    assert (await call("executions", "cancel", first, "--reason", "a mistake"))["outcome"] == "applied"
    many = await call("executions", "cancel", "--where", "--tenant", "east", "--state", "waiting", "--yes")
    assert many["done"] and not many["refused"]
    again = await call("executions", "retry", first)
    assert again["retry_of"] == first


# Dead letters


async def send(system: System, topic: str, record: bytes, headers: dict[str, str] | None = None) -> None:
    producer = new_producer(system.settings.kafka.bootstrap)
    await producer.start()
    try:
        said = [(name, text.encode()) for name, text in (headers or {}).items()]
        await producer.send_and_wait(system.settings.topic(topic), record, partition=0, headers=said)
    finally:
        await producer.stop()


async def newest(ledger: Ledger, size: int) -> DeadLetter:
    """The letter with so many bytes, once it is there."""
    found: list[DeadLetter] = []

    async def is_there() -> bool:
        found[:] = [one for one in (await ledger.dead_letters.list()).items if one.size == size]
        return bool(found)

    await until(is_there)
    return found[0]


def submit(number: int) -> Submit:
    return Submit(fresh_command_id(), "bill", Raw(b'{"number":%d}' % number))


async def test_a_letter_is_corrected_and_sent_again_once(system: System, ledger: Ledger) -> None:
    meant, beside = submit(70_001), submit(70_002)
    wrong = wire.encode(meant).replace(b'"command_id"', b'"commandid"')
    await send(system, "commands", b"[%b,%b]" % (wrong, wire.encode(beside)))
    letter = await newest(ledger, len(wrong))
    assert (letter.raw, letter.reason, letter.fate) == (wrong, "invalid", None)
    assert letter.letter is not None and letter.letter.startswith("events/0/") and letter.letter.endswith("/0")
    with pytest.raises(Refused, match="unreadable"):
        await ledger.redrive(letter.number)
    done = await ledger.redrive(letter.number, commands=Raw(wire.encode(meant)), reason="a typo")
    assert done.outcome == "applied"

    async def has_run() -> bool:
        row = await (await ledger._line.reads()).execution_of_command(meant.command_id)
        return row is not None and row.state == "completed"

    await until(has_run)
    again = await asyncio.gather(*(ledger.redrive(letter.number, commands=Raw(wire.encode(submit(70_003)))) for _ in range(3)))
    assert {one.command_id for one in again} == {done.command_id}
    known = await ledger.dead_letters.get(letter.number)
    assert known is not None and (known.fate, known.actor) == ("redriven", ledger.acting)
    provenance = await ledger.dead_letters.provenance(known)
    assert provenance is not None and (provenance.why, provenance.command_ids) == ("a typo", (meant.command_id,))
    assert not (await ledger.executions.list(data={"number": "70003"})).items
    with pytest.raises(Refused, match="redriven"):
        await ledger.discard(letter.number)


async def put(system: System, first: int, letters: Sequence[Submit]) -> None:
    """Dead letters of partition 0, of places from `first` on that its commands have not."""
    for offset, one in enumerate(letters, first):
        source = f"{system.settings.topic('commands')}/0/{offset}/0"
        record = wire.encode(one)
        await send(system, "dead-letters", record, {"source": source, "reason": "unknown_type", "detail": "", "size": str(len(record))})


async def test_letters_that_a_newer_release_can_read_are_redriven_as_one_act(system: System, ledger: Ledger) -> None:
    letters = [submit(80_001), submit(80_002)]
    await put(system, 900_000, letters)
    await put(system, 900_000, letters[:1])  # control ended before its commit, and wrote it again
    names = {"events/0/900000/0", "events/0/900001/0"}  # other tests' letters are in the page too
    found = [one.number for one in (await ledger.dead_letters.list()).items if one.letter in names]
    assert len(found) == 2  # once in a page
    found.append(max(found) + 1)
    done = await ledger.redrive_many(found, reason="upgraded")
    assert (done.planned, done.done, done.refused) == (2, 2, 0)
    assert done.bulk_id is not None
    [row] = await ledger.bulk_acts.get(done.bulk_id)
    assert (row.kind, row.reason, row.done) == ("redrive", "upgraded", 2)

    async def have_run() -> bool:
        rows = [await (await ledger._line.reads()).execution_of_command(one.command_id) for one in letters]
        return all(one is not None and one.state == "completed" for one in rows)

    await until(have_run)
    assert (await ledger.redrive_many(found)).planned == 0


async def test_a_redrive_whose_client_died_goes_on_and_ends(system: System, ledger: Ledger) -> None:
    letters = [submit(81_001), submit(81_002)]
    await put(system, 910_000, letters)
    about = Raw(b'{"letters":["events/0/910000/0","events/0/910001/0"]}')
    reads, bulk_id = await ledger._line.reads(), f"redrive-{fresh_command_id()}"
    await BulkFrame(ledger._line, reads, bulk_id, "redrive", about, {0: 2}, "ann", "upgraded", 20).begin()

    async def is_going_on() -> bool:
        return bool(await ledger.bulk_acts.get(bulk_id))

    await until(is_going_on)
    both = await asyncio.wait_for(asyncio.gather(ledger.resume_bulk(bulk_id), ledger.resume_bulk(bulk_id)), 60)
    assert [(done.planned, done.done, done.refused) for done in both] == [(2, 2, 0)] * 2
    [row] = await ledger.bulk_acts.get(bulk_id)
    assert (row.actor, row.done, row.outcome) == ("ann", 2, "done")
    assert (await ledger.resume_bulk(bulk_id)).done == 2


async def test_bytes_of_any_kind_are_shown_and_discarded(system: System, ledger: Ledger) -> None:
    nonsense = b"\xff\x00\x1b[31m nonsense"
    await send(system, "commands", nonsense)
    letter = await newest(ledger, len(nonsense))

    async def call(*arguments: str) -> str:
        done = await asyncio.to_thread(system.call, "dead-letters", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = await call("list")
    assert "\\xff\\x00\\x1b[31m nonsense" in listed
    assert "\x1b[31m" not in listed
    assert (await ledger.discard(letter.number, reason="a test")).outcome == "applied"
    assert (await ledger.discard(letter.number)).command_id
    shown = json.loads(await call("show", str(letter.number), "-o", "json"))
    assert (shown["fate"], shown["why"], shown["letter"]) == ("discarded", "a test", letter.letter)
    with pytest.raises(Refused, match="discarded"):
        await ledger.redrive(letter.number, commands={"type": "execution.submit.v1"})
    with pytest.raises(Refused, match="unknown_letter"):
        await ledger.redrive(10_000)

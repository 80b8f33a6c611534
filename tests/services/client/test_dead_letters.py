"""Bytes that cannot be read, on the real servers: kept, shown, sent again once, discarded."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from msgspec import Raw

from ledger import Ledger, Refused
from ledger.client.letters import DeadLetter
from ledger.client.naming import fresh_command_id
from ledger.core import wire
from ledger.core.request import Submit
from ledger.kafka.connect import new_producer
from tests.services.client.conftest import System
from tests.services.client.test_acts import until

Send = Callable[..., Awaitable[None]]


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


async def test_letters_that_a_newer_release_can_read_are_redriven_as_one_act(system: System, ledger: Ledger) -> None:
    letters = [submit(80_001), submit(80_002)]
    for offset, one in enumerate(letters, 900_000):
        source = f"{system.settings.topic('commands')}/0/{offset}/0"
        record = wire.encode(one)
        await send(system, "dead-letters", record, {"source": source, "reason": "unknown_type", "detail": "", "size": str(len(record))})
    found = [one.number for one in (await ledger.dead_letters.list()).items if one.reason == "unknown_type"]
    assert len(found) == 2
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

"""A former shape of an event is brought up to date, step by step, wherever events are read."""

import pytest
from msgspec import Raw

from ledger.core import execution, wire
from ledger.core.refusal import Undecodable
from tests.unit.wire import shapes

BODY = b'{"account":123456789012345678901234567890,  "sum":1.10}'
FORMER = b'{"type":"execution.done.v1","id":"e-1","tries":2,"result":' + BODY + b"}"


def renamed(document: wire.Document) -> wire.Document:
    return {"type": "execution.done.v2", "execution_id": document["id"], "tries": document["tries"], "result": document["result"]}


def completed(document: wire.Document) -> wire.Document:
    rest = {name: value for name, value in document.items() if name not in ("type", "tries")}
    return {**rest, "type": "execution.completed.v1", "attempt": document["tries"]}


UPCASTERS = {"execution.done.v1": renamed, "execution.done.v2": completed}


def test_each_former_shape_leads_to_its_successor_and_the_body_stays_the_bytes_it_is() -> None:
    event = wire.decode_event(FORMER, UPCASTERS)
    assert event == execution.Completed("e-1", 2, result=Raw(BODY))  # type: ignore[arg-type]  # any text is an id here
    assert isinstance(event, execution.Completed)
    assert bytes(event.result) == BODY


def test_a_commit_may_hold_former_and_present_shapes() -> None:
    present = wire.encode(shapes.STARTED)
    record = wire.encode_commit(shapes.RECORDS["commit.v1"], [FORMER, present])  # type: ignore[arg-type]  # a commit is a header
    assert wire.decode_commit(record, UPCASTERS).events == (wire.decode_event(FORMER, UPCASTERS), shapes.STARTED)


def test_a_shape_that_nobody_knows_stops_the_partition() -> None:
    with pytest.raises(Undecodable, match=r"execution\.done\.v1"):
        wire.decode_event(FORMER)

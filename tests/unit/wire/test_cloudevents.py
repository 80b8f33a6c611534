"""Events on their way out: ids, subjects and times by the interface; every shape there is comes through."""

import json
from collections.abc import Sequence

import pytest
from msgspec import Raw

from ledger.core import execution, outcome, tick, wire
from ledger.core.cloudevents import Outgoing
from ledger.core.ids import NOWHERE, Address, ExecutionId, Micros, Token, WorkerId
from tests.unit.wire import shapes

WORKER = WorkerId("w-1")


def commit(events: Sequence[wire.Event], seq: int = 7, at: int = 1_790_000_000_123_456, log: str = "events") -> wire.Commit:
    return wire.Commit(1, log, 3, seq, "", at, NOWHERE, Address(1, 0), tuple(events))


def outgoing(*commits: wire.Commit, log: str = "events") -> list[dict[str, object]]:
    out = Outgoing("abc", log, 3)
    return [json.loads(line) for one in commits for line in out.of(one)]


def requested(**fields: object) -> execution.Requested:
    known: dict[str, object] = {"job_version": 1, "kind": "on_demand", "queue": "q", "requested_at": Micros(1), "command_id": "c-1"}
    return execution.Requested(ExecutionId("e-3"), "send", "send", **{**known, **fields})  # type: ignore[arg-type]  # fields by name


def test_an_execution_s_events_as_the_interface_says() -> None:
    first, started, ended = outgoing(
        commit([requested(correlation_id="order-1", trace_id="a" * 32, data=Raw(b'{"n": 1}'))]),
        commit(
            [
                execution.Started(ExecutionId("e-3"), 1, Token(9), WORKER),
                execution.Completed(ExecutionId("e-3"), 1, 2, Raw(b"[1.50]")),
            ],
            seq=8,
        ),
    )
    assert first | {"data": None, "traceparent": None} == {
        "specversion": "1.0",
        "id": "3-7-0",
        "source": "/jobledger/abc",
        "type": "dev.jobledger.execution.requested.v1",
        "subject": "jobs/send/executions/e-3",
        "time": "2026-09-21T14:13:20.123456Z",
        "sequence": "000000000000007.000",
        "correlationid": "order-1",
        "causationid": "command/c-1",
        "partitionkey": "c-1",
        "datacontenttype": "application/json",
        "data": None,
        "traceparent": None,
    }
    assert (ended["id"], ended["subject"], ended["correlationid"]) == ("3-8-1", first["subject"], "order-1")
    assert (started["causationid"], ended["causationid"]) == ("report", "report")
    assert ended["data"] == {"execution_id": "e-3", "attempt": 1, "run_ms": 2, "result": [1.5]}
    assert str(first["traceparent"]).startswith(f"00-{'a' * 32}-")
    assert first["traceparent"] != ended["traceparent"]


def test_a_traceparent_goes_through_and_what_is_no_trace_is_left_out() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    assert outgoing(commit([requested(trace_id=parent)]))[0]["traceparent"] == parent
    assert "traceparent" not in outgoing(commit([requested(trace_id="mine")]))[0]


def test_the_key_is_what_decided_the_partition() -> None:
    keys = [
        outgoing(commit([one]))[0].get("partitionkey")
        for one in (requested(), requested(kind="scheduled"), requested(exclusive_key="tenant:send:acme"), tick.Dropped("tidy"))
    ]
    assert keys == ["c-1", "send", "tenant:send:acme", "tidy"]


def test_a_late_word_on_what_has_ended_knows_its_job_no_more() -> None:
    late = execution.ReportRefused(ExecutionId("e-3"), Token(1), WORKER, "stale_token")
    assert outgoing(commit([late]))[0]["subject"] == "executions/e-3"


@pytest.mark.parametrize("name", shapes.EVENTS)
def test_every_event_there_is_goes_out(name: str) -> None:
    event = shapes.EVENTS[name]
    (out,) = outgoing(commit([event]))  # type: ignore[list-item]  # they are events
    assert out["type"] == f"dev.jobledger.{name}"
    assert out["data"] == {key: value for key, value in json.loads(wire.encode(event)).items() if key != "type"}


def test_the_two_logs_have_two_sources_as_their_ids_may_be_the_same() -> None:
    opened = commit([outcome.Opened("abc", 4)], seq=1)
    assert [outgoing(opened, log=log)[0]["source"] for log in ("events", "registry")] == ["/jobledger/abc", "/jobledger/abc/registry"]


def test_each_is_one_line_whatever_its_data_looked_like() -> None:
    [line] = Outgoing("abc", "events", 3).of(commit([requested(data=Raw(b'{\r\n  "lines": "a\\nb",\r  "n": 1\n}'))]))
    assert (line.count(b"\n"), line.count(b"\r"), line[-1:]) == (1, 0, b"\n")
    assert json.loads(line)["data"]["data"] == {"lines": "a\nb", "n": 1}


def test_what_opens_a_log_has_the_time_of_its_append() -> None:
    """Its own time is 0: that of the append is not known before it is appended."""
    out = Outgoing("abc", "events", 3)
    [opened] = out.of(commit([outcome.Opened("abc", 4)], seq=1, at=0), 1_790_000_000_123)
    [later] = out.of(commit([requested()]), 1_790_000_099_000)
    assert [json.loads(line)["time"] for line in (opened, later)] == ["2026-09-21T14:13:20.123000Z", "2026-09-21T14:13:20.123456Z"]

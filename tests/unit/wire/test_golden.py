"""Every shape that was ever stored is read for ever, and written as it always was."""

from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct, structs

from ledger.core import execution, request, wire
from ledger.core.refusal import Undecodable
from tests.unit.wire import shapes

GOLDEN = Path(__file__).parents[2] / "golden"


def golden(name: str) -> bytes:
    """The bytes of a stored message; the file ends with a newline that does not belong to them."""
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


def members(union: object) -> set[type[Struct]]:
    inner = get_args(union)
    return {one for part in inner for one in members(part)} if inner else {union}  # type: ignore[arg-type]  # a leaf is a Struct


def decode(name: str, record: bytes) -> object:
    if name in shapes.EVENTS:
        return wire.decode_event(record)
    if name in shapes.RECORDS:
        return wire.decode_offers(record) if name.startswith("offers") else wire.decode_commit(record)
    (command,) = wire.decode_commands(record, registry=name in shapes.REGISTRY_COMMANDS)
    return command


@pytest.mark.parametrize(
    ("union", "known"),
    [(wire.Event, shapes.EVENTS), (wire.Command, shapes.COMMANDS), (wire.RegistryCommand, shapes.REGISTRY_COMMANDS)],
    ids=["events", "commands", "registry commands"],
)
def test_every_message_of_the_wire_has_a_golden_file(union: object, known: dict[str, Struct]) -> None:
    assert {type(message) for message in known.values()} == members(union)
    assert {str(type(message).__struct_config__.tag) for message in known.values()} == set(known)


def test_every_golden_file_is_read_by_a_test() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(shapes.ALL)


@pytest.mark.parametrize("name", shapes.ALL)
def test_a_golden_message_uses_every_field(name: str) -> None:
    message = shapes.ALL[name]
    unused = [
        field.name
        for field in structs.fields(message)
        if not field.required and getattr(message, field.name) == field.default and (name, field.name) not in LEFT_OUT_ON_PURPOSE
    ]
    assert unused == []


LEFT_OUT_ON_PURPOSE = {("commit.opening.v1", "registry"), ("commit.empty.v1", "events")}


@pytest.mark.parametrize("name", shapes.ALL)
def test_a_message_is_written_as_its_golden_bytes(name: str) -> None:
    assert wire.encode(shapes.ALL[name]) == golden(name)


@pytest.mark.parametrize("name", shapes.ALL)
def test_golden_bytes_are_read_as_the_message(name: str) -> None:
    assert decode(name, golden(name)) == shapes.ALL[name]


@pytest.mark.parametrize("name", [*shapes.EVENTS, *shapes.RECORDS])
def test_a_field_of_the_future_is_ignored_in_what_the_log_and_the_work_hold(name: str) -> None:
    assert decode(name, golden(name)[:-1] + b',"added_later":{"deep":[1]}}') == shapes.ALL[name]


@pytest.mark.parametrize("name", [*shapes.COMMANDS, *shapes.REGISTRY_COMMANDS])
def test_an_unknown_field_in_a_command_is_refused_with_its_name(name: str) -> None:
    refused = decode(name, golden(name)[:-1] + b',"priorty":1}')
    assert isinstance(refused, Undecodable)
    assert refused.reason == "invalid"
    assert "priorty" in refused.detail


def test_defaults_are_left_out() -> None:
    assert wire.encode(request.Submit("c-1", "send-invoice")) == (
        b'{"type":"execution.submit.v1","command_id":"c-1","job_id":"send-invoice"}'
    )


def test_a_commit_of_encoded_events_has_the_bytes_of_the_commit() -> None:
    commit = shapes.RECORDS["commit.v1"]
    assert isinstance(commit, wire.Commit)
    assert wire.encode_commit(commit, [wire.encode(event) for event in commit.events]) == golden("commit.v1")


def test_an_event_on_its_own_keeps_the_bytes_of_its_body() -> None:
    body = b'{"account":123456789012345678901234567890,  "sum":1.10}'
    event = wire.decode_event(b'{"type":"execution.completed.v1","execution_id":"e-1","attempt":1,"result":' + body + b"}")
    assert isinstance(event, execution.Completed)
    assert bytes(event.result) == body


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "not_a_commit"),
        (b"", "not_a_commit"),
        (b"null", "not_a_commit"),
        (golden("commit.v1")[:-10], "not_a_commit"),
        (golden("commit.v1").replace(b'"v":1', b'"v":2'), "future_version"),
        (golden("commit.v1").replace(b"execution.started.v1", b"execution.started.v9"), "not_an_event"),
    ],
    ids=["tombstone", "empty", "null", "cut short", "a newer version", "an event of the future"],
)
def test_a_record_of_the_log_that_cannot_be_read_is_said_so(record: bytes | None, reason: str) -> None:
    with pytest.raises(Undecodable) as refused:
        wire.decode_commit(record)
    assert refused.value.reason == reason

"""Whatever stands in a record of commands: each item is a command or says why it cannot be read, and the others are not touched."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from ledger.core import definition, wire
from ledger.core.refusal import Refused, Undecodable
from ledger.core.request import Submit
from ledger.core.strict_json import check_json
from tests.unit.wire import shapes

GOOD = b'{"type":"execution.submit.v1","command_id":"c-1","job_id":"send-invoice"}'


def submit_with(data: bytes) -> bytes:
    return GOOD[:-1] + b',"data":' + data + b"}"


def refusal(record: bytes | None) -> Undecodable:
    (item,) = wire.decode_commands(record)
    assert isinstance(item, Undecodable)
    return item


def test_one_command_and_an_array_of_commands() -> None:
    assert wire.decode_commands(GOOD) == [Submit("c-1", "send-invoice")]
    assert wire.decode_commands(b" [" + GOOD + b" ,\n" + GOOD + b"]\n") == [Submit("c-1", "send-invoice")] * 2
    many = [shapes.COMMANDS["execution.submit.v1"], shapes.COMMANDS["execution.report.v1"]]
    assert wire.decode_commands(wire.encode_many(many)) == many


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"[]", "empty"),
        (b"[ ]", "empty"),
        (b"   ", "invalid_json"),
        (b"null", "invalid"),
        (b"7", "invalid"),
        (b'"execution.submit.v1"', "invalid"),
        (b"{}", "invalid"),
        (GOOD[:-1], "invalid_json"),
        (b"[" + GOOD, "not_json"),
        (b"[" + GOOD + b",]", "not_json"),
        (GOOD + GOOD, "invalid_json"),
        (b"\x80\x04\x95pickle", "invalid_json"),
        (GOOD.replace(b'"send-invoice"', b"17"), "invalid"),
        (GOOD.replace(b'"send-invoice"', b"null"), "invalid"),
        (GOOD.replace(b'"send-invoice"', b'""'), "invalid"),
        (GOOD.replace(b'"send-invoice"', b'"' + b"x" * 201 + b'"'), "invalid"),
        (GOOD.replace(b'"c-1"', b'"c 1"'), "invalid"),
        (GOOD.replace(b'"c-1"', '"ç"'.encode()), "invalid"),
        (GOOD.replace(b'"type":"execution.submit.v1",', b""), "invalid"),
        (GOOD.replace(b'"execution.submit.v1"', b"1"), "invalid"),
        (GOOD.replace(b"submit.v1", b"explode.v1"), "unknown_type"),
        (GOOD.replace(b"submit.v1", b"submit.v2"), "unknown_type"),
        (submit_with(b"1").replace(b'"data"', b'"dota"'), "invalid"),
        (b"{" + b"x" * wire.LARGEST_RECORD + b"}", "too_large"),
        (submit_with(b'"' + b"x" * wire.LARGEST_COMMAND + b'"'), "too_large"),
        (b"[" + b",".join([b"1"] * (wire.MOST_ITEMS + 1)) + b"]", "too_large"),
        (b"[" + b",".join([GOOD] * (wire.MOST_ITEMS + 1)) + b"]", "too_large"),
    ],
)
def test_what_cannot_be_read_says_why(record: bytes | None, reason: str) -> None:
    assert refusal(record).reason == reason


@pytest.mark.parametrize(
    "data",
    [
        b'"\xff"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\x00"',
        b'"\\u0000"',
        b'{"a\\u0000b":1}',
        b'[[{"deep":"\\u0000"}]]',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'["\\uD800x"]',
        b'"\\q"',
        b'"\n"',
        b"1e999",
        b"-1e999",
        b"[1e400]",
        b"1E+999",
        b"10e308",
        b"9" * 400,
        b"9" * 299 + b"e50",
        b"9" * 250 + b".5e99",
        b"NaN",
        b"Infinity",
        b"-",
        b"01",
        b"1.",
        b"tru",
        b"[1,]",
        b'{"a":1,}',
        b"{a:1}",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000,
        b"[" * 210 + b"]" * 210,
        b'{"a":[' * 110 + b"1" + b"]}" * 110,
        b"0." + b"0" * 17_000 + b"1",
        b"1." + b"0" * 16_200 + b"e-300",
    ],
    ids=lambda data: data[:24].decode("latin-1"),
)
def test_data_that_a_reader_could_not_keep_is_refused(data: bytes) -> None:
    """Whatever decides, tables and handlers read the same: no lone surrogate, no NUL, no number beyond a double, no endless depth."""
    assert refusal(submit_with(data)).reason == "invalid_json"
    with pytest.raises(Refused):
        check_json(data)


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b'"\\ud83d\\ude00"',
        '"😀 ✓ é"'.encode(),
        b'"\\\\u0000"',
        b'"1e999"',
        b"1.7976931348623157e308",
        b"123456789012345678901234567890",
        b"9" * 199 + b"e99",
        b"1e-99",
        b"[1e9,999]",
        b"[" * 200 + b"]" * 200,
        b'[{"a":1},' * 150 + b"1" + b"]" * 150,
        b"[" + b"[[]]," * 1000 + b"1]",
        b"0." + b"0" * 300 + b"1",
        b' { "a" : 1 , "a" : 2 } ',
    ],
    ids=lambda data: data[:24].decode("latin-1"),
)
def test_data_that_looks_odd_and_is_good_stays_the_bytes_it_is(data: bytes) -> None:
    (command,) = wire.decode_commands(submit_with(data))
    assert isinstance(command, Submit)
    assert bytes(command.data) == data.strip()


@pytest.mark.parametrize("bad", [b"null", b"17", b'{"type":"execution.explode.v1"}', submit_with(b'"\\u0000"'), GOOD.replace(b"c-1", b"")])
def test_a_bad_item_stands_in_its_place_and_the_batch_goes_on(bad: bytes) -> None:
    before, refused, after = wire.decode_commands(b"[" + GOOD + b"," + bad + b"," + submit_with(b"[3]") + b"]")
    assert before == Submit("c-1", "send-invoice")
    assert isinstance(refused, Undecodable)
    assert refused.raw == bad
    assert isinstance(after, Submit)
    assert bytes(after.data) == b"[3]"


def test_a_command_that_is_too_large_does_not_take_its_batch_with_it() -> None:
    large = submit_with(b'"' + b"x" * wire.LARGEST_COMMAND + b'"')
    refused, good = wire.decode_commands(b"[" + large + b"," + GOOD + b"]")
    assert isinstance(refused, Undecodable)
    assert refused.reason == "too_large"
    assert good == Submit("c-1", "send-invoice")


def test_the_largest_command_and_the_largest_batch_are_good() -> None:
    room = wire.LARGEST_COMMAND - len(submit_with(b'""'))
    (large,) = wire.decode_commands(submit_with(b'"' + b"x" * room + b'"'))
    assert isinstance(large, Submit)
    assert len(wire.decode_commands(b"[" + b",".join([GOOD] * wire.MOST_ITEMS) + b"]")) == wire.MOST_ITEMS


def test_each_topic_has_its_own_commands() -> None:
    register = wire.encode(shapes.REGISTRY_COMMANDS["job.register.v1"])
    assert isinstance(wire.decode_commands(register, registry=True)[0], definition.Register)
    assert refusal(register).reason == "unknown_type"
    (refused,) = wire.decode_commands(GOOD, registry=True)
    assert isinstance(refused, Undecodable)
    assert refused.reason == "unknown_type"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "command_id", "job_id", "data"]) | st.text(), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: b"[" + GOOD + b"," + tail + b"]"), st.booleans())
def test_no_bytes_make_it_raise_or_vanish(record: bytes, registry: bool) -> None:
    assert len(wire.decode_commands(record, registry=registry)) >= 1


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(json_like, max_size=5) | json_like, st.booleans())
def test_no_json_makes_it_raise_and_each_item_is_answered(document: object, registry: bool) -> None:
    items = wire.decode_commands(json.dumps(document).encode("utf-8", "surrogatepass"), registry=registry)
    assert len(items) == (max(1, len(document)) if isinstance(document, list) else 1)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, len(GOOD) * 2), st.binary(min_size=1, max_size=3))
def test_a_good_command_with_some_bytes_changed_is_a_command_or_a_refusal(place: int, change: bytes) -> None:
    record = b"[" + GOOD + b"," + GOOD + b"]"
    place %= len(record)
    assert len(wire.decode_commands(record[:place] + change + record[place + len(change) :])) >= 1


def test_what_control_accepts_every_reader_reads_in_its_commit_whatever_it_stands_on() -> None:
    """Python's own bound counts the stack of who reads: what control decoded another could not."""
    data = b'{"a":' * 200 + b"1" + b"}" * 200
    (command,) = wire.decode_commands(submit_with(data))
    assert isinstance(command, Submit)
    requested = structs.replace(shapes.EVENTS["execution.requested.v1"], data=command.data)
    commit = wire.encode(structs.replace(shapes.RECORDS["commit.v1"], events=(requested,)))

    def far_up(levels: int) -> object:
        return far_up(levels - 1) if levels else wire.decode_commit(commit)

    assert far_up(600)


@pytest.mark.parametrize(("name", "field"), [("job.schedule.v1", "data"), ("bulk.begin.v1", "filter")])
def test_a_schedule_and_a_filter_are_as_bounded_as_the_data_of_a_submit(name: str, field: str) -> None:
    command = structs.replace({**shapes.COMMANDS, **shapes.REGISTRY_COMMANDS}[name], **{field: Raw(b"[" * 220 + b"]" * 220)})
    (item,) = wire.decode_commands(wire.encode(command), registry=name in shapes.REGISTRY_COMMANDS)
    assert isinstance(item, Undecodable)
    assert "levels deep" in item.detail

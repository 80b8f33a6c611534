"""Typed data in, typed results out: what a handler's annotations promise is kept, or said."""

import json
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from msgspec import Raw
from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from ledger.context import Cancel, Snooze
from ledger.core.bodies import NOTHING
from ledger.signature import InvalidData, InvalidResult, ResultTooLarge, read_signature


class Line(BaseModel):
    sku: str
    count: int


class Invoice(BaseModel):
    number: str
    lines: list[Line]


@dataclass
class Point:
    x: int
    y: int = 0


class Customer(BaseModel):
    customer_id: int = Field(alias="customerId")


class Login(BaseModel):
    password: SecretStr


class Options(TypedDict):
    deep: bool


def by_model(data: Invoice) -> Point: ...  # type: ignore[empty-body]
def by_dataclass(data: Point) -> int | Snooze: ...  # type: ignore[empty-body]
def by_typed_dict(data: Options) -> Snooze | Cancel: ...  # type: ignore[empty-body]
def by_plain_json(data: list[int]) -> None: ...
def by_mapping() -> dict[str, object]: ...  # type: ignore[empty-body]
def by_customer(data: Customer) -> Customer: ...  # type: ignore[empty-body]
def by_login() -> Login: ...  # type: ignore[empty-body]
def by_nothing() -> None: ...
def by_anything(data, ctx): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (by_model, {"number": "7", "lines": [{"sku": "a", "count": 2}]}, Invoice(number="7", lines=[Line(sku="a", count=2)])),
        (by_dataclass, {"x": 1}, Point(1)),
        (by_typed_dict, {"deep": True}, {"deep": True}),
        (by_plain_json, [1, 2], [1, 2]),
        (by_nothing, None, None),
        (by_anything, {"a": [None, 1.5]}, {"a": [None, 1.5]}),
    ],
)
def test_data_becomes_what_the_first_parameter_is(function, data: object, expected: object) -> None:  # type: ignore[no-untyped-def]
    assert read_signature(function, "here").read(Raw(json.dumps(data).encode())) == expected


def test_data_that_does_not_fit_is_told_by_its_place_and_never_by_its_value() -> None:
    wrong = b'{"number": "7", "lines": [{"sku": "a", "count": "secret"}, {"count": 1}]}'
    with pytest.raises(InvalidData) as refusal:
        read_signature(by_model, "here").read(Raw(wrong))
    assert "/lines/0/count: " in str(refusal.value)
    assert "/lines/1/sku: Field required" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_data_that_is_not_there_is_null() -> None:
    assert read_signature(by_nothing, "here").read(NOTHING) is None


def with_a_default(data: Point | None = Point(1, 2)) -> None: ...


@pytest.mark.parametrize(("data", "expected"), [(NOTHING, Point(1, 2)), (Raw(b"null"), Point(1, 2)), (Raw(b'{"x":7}'), Point(7))])
def test_a_default_is_for_data_that_is_not_there(data: Raw, expected: Point) -> None:
    assert read_signature(with_a_default, "here").read(data) == expected


async def a_coroutine() -> int:
    return 1


async def a_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(("make", "kind"), [(a_coroutine, "coroutine"), (a_generator, "async_generator")])
def test_code_that_was_returned_and_never_ran_is_no_result(make: Callable[[], object], kind: str) -> None:
    with pytest.raises(InvalidResult, match=f"returned a {kind}, whose code never ran"):  # and no warning that it was never awaited
        read_signature(by_anything, "here").write(make())


def test_many_problems_are_counted_not_listed() -> None:
    with pytest.raises(InvalidData, match="and 5 more"):
        read_signature(by_plain_json, "here").read(Raw(json.dumps(["x"] * 10).encode()))


def test_a_result_is_written_by_the_return_annotation() -> None:
    assert bytes(read_signature(by_model, "here").write(Point(1, 2))) == b'{"x":1,"y":2}'
    assert bytes(read_signature(by_dataclass, "here").write(3)) == b"3"
    assert bytes(read_signature(by_anything, "here").write({"a": "ü"})) == '{"a":"ü"}'.encode()


@pytest.mark.parametrize("function", [by_plain_json, by_typed_dict, by_anything])
def test_nothing_returned_is_no_result(function) -> None:  # type: ignore[no-untyped-def]
    assert read_signature(function, "here").write(None) is NOTHING


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (by_model, {"x": 1}),
        (by_model, None),
        (by_plain_json, 5),
        (by_anything, object()),
        (by_anything, "a\0b"),
        (by_anything, "\ud800"),
    ],
)
def test_a_result_that_was_not_promised_or_is_no_json_is_refused(function, value: object) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidResult):
        read_signature(function, "here").write(value)


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        (by_anything, math.nan, "it is nan"),
        (by_anything, {"fine": None, "lines": [1.5, {"rate": math.inf}]}, "/lines/1/rate is inf"),
        (by_mapping, {"rate": -math.inf}, "/rate is -inf"),
        (by_login, Login(password=SecretStr("hunter2")), "/password is a SecretStr"),
        (by_anything, {"login": Login(password=SecretStr("hunter2"))}, "/login/password is a SecretStr"),
    ],
)
def test_a_result_that_json_would_say_as_something_else_is_refused_by_its_place(function, value: object, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidResult) as refusal:
        read_signature(function, "here").write(value)
    assert words in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_null_and_asterisks_that_are_meant_are_written() -> None:
    signature = read_signature(by_anything, "here")
    assert bytes(signature.write({"a": None, "b": "**********", "c": SecretStr("")})) == b'{"a":null,"b":"**********","c":""}'


def test_a_model_is_written_as_it_is_read_by_its_aliases() -> None:
    signature = read_signature(by_customer, "here")
    customer = signature.read(Raw(b'{"customerId": 7}'))
    assert bytes(signature.write(customer)) == b'{"customerId":7}'


def test_a_ring_is_refused() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(InvalidResult):
        read_signature(by_anything, "here").write(ring)


def test_a_result_beyond_64_kb_is_too_large() -> None:
    signature = read_signature(by_anything, "here")
    assert len(bytes(signature.write("x" * 65_534))) == 65_536
    with pytest.raises(ResultTooLarge, match="65537 bytes"):
        signature.write("x" * 65_535)

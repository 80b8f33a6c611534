"""Numbers beyond 64 bits and beyond a double: kept digit by digit, compared by their value."""

import json

import orjson
import pytest

from ledger.core.exact_json import ExactFloat, dumps, is_same, loads

BIG = 12345678901234567890123


@pytest.mark.parametrize(
    "text",
    [
        "12345678901234567890123",
        "-9223372036854775809",
        "18446744073709551616",
        "0.10000000000000000555",
        '{"a":[1,{"b":12345678901234567890123}],"c":0.30000000000000004,"d":"123456789012345678901"}',
    ],
)
def test_what_is_read_is_written_with_the_same_digits(text: str) -> None:
    assert dumps(loads(text)).decode() == text == dumps(loads(text.encode())).decode()


@pytest.mark.parametrize(
    "text", ["1", "18446744073709551615", "-9223372036854775808", "0.30000000000000004", "1e300", "0.10000000000000000"]
)
def test_what_fits_is_what_orjson_reads(text: str) -> None:
    assert loads(text) == orjson.loads(text)
    assert type(loads(text)) is type(orjson.loads(text))


@pytest.mark.parametrize("text", ["1.2.3.4.5.6.7.8.9.0.1.2", "1" * 5000, "192.168.100.100.100"])
def test_what_looks_like_a_number_may_be_a_text(text: str) -> None:
    assert loads(json.dumps([text])) == [text]


def test_an_exact_number_is_a_float_and_shown_as_written() -> None:
    number = loads("0.10000000000000000555")
    assert isinstance(number, ExactFloat)
    assert (number + 1, str(number), f"{number}") == (1.1, "0.10000000000000000555", "0.10000000000000000555")


def test_what_is_written_beside_such_a_number() -> None:
    assert json.loads(dumps({"a": (BIG, {"b": {1}})}, default=str)) == {"a": [BIG, {"b": "{1}"}]}
    with pytest.raises(TypeError):
        dumps({"a": {1}})


@pytest.mark.parametrize("text", ["{", "12345678901234567890123}", "1e999"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        loads(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("1", "true", False),
        ("[1]", "[true]", False),
        ("0", "false", False),
        ('{"a":1,"b":2}', '{"b":2.0,"a":1}', True),
        ('{"a":1}', '{"a":1,"b":1}', False),
        ("12345678901234567890123", "12345678901234567890124", False),
        ("12345678901234567890123", "1.2345678901234567890123e22", True),
        ("0.1", "0.10000000000000000555", False),
        ("null", "null", True),
        ('"1"', "1", False),
    ],
)
def test_documents_are_compared_as_postgres_does(one: str, other: str, same: bool) -> None:
    assert is_same(loads(one), loads(other)) is same is is_same(loads(other), loads(one))

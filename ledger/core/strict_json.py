"""Strict JSON: what every reader of ours can keep, Postgres among them. Records are asked as a whole, a text only where that is in doubt.

JSON allows a NUL in a string, half a surrogate pair, and numbers beyond a double; the tables can hold none of these.
"""

import json as stdlib_json
from typing import Final

import orjson

from ledger.core.refusal import Refused

_ALIKE: Final = bytes.maketrans(b"123456789E-", b"000000000e+")  # a pattern takes eight times as long
_ODD: Final = (b"0e000", b"0e+000", b"0" * 200)


def has_odd_number(text: bytes) -> bool:
    """There may be a number beyond a double: an exponent of three digits, or two hundred digits."""
    alike = text.translate(_ALIKE)
    return any(odd in alike for odd in _ODD)


def is_suspicious(record: bytes) -> bool:
    """May hold what JSON allows and the tables cannot keep (a NUL, half a surrogate pair), or is no UTF-8."""
    if not record.isascii():
        try:
            record.decode()
        except UnicodeDecodeError:
            return True
    return b"\\u" in record


def check_json(text: bytes) -> None:
    """Raises `Refused("invalid_json")` unless `text` is strict JSON that every reader of ours can keep: valid UTF-8, no lone surrogates, no
    NUL in a string, no number beyond a double, at most about 1000 levels deep."""
    try:
        document = orjson.loads(text)
        if b"\\u" in text:
            _check_strings(document)
        if has_odd_number(text):
            stdlib_json.loads(text, parse_float=_check_number)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", str(error)) from error


def _check_number(number: str) -> float:
    _, _, exponent = number.lower().partition("e")
    if exponent and abs(int(exponent)) > 308:
        raise ValueError(f"the number {number[:40]} is beyond a double")
    return float(number)


def _check_strings(value: object) -> None:
    match value:
        case str():
            if "\0" in value:
                raise ValueError("a string with a NUL character")
        case list():
            for one in value:
                _check_strings(one)
        case dict():
            for name, one in value.items():
                _check_strings(name)
                _check_strings(one)

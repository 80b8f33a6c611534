"""JSON whose numbers keep their digits: what is shown of a document is what stands in it, and what finds it.

orjson reads an integer beyond 64 bits as a float, and writes none. What holds no such number goes through it alone.
"""

import json as stdlib_json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import orjson

_DIGITS: Final = bytes.maketrans(b"123456789.", b"0000000000")
_LONG: Final = re.compile(b"0" * 18 + b"0*")  # digits and a dot: fewer are within 64 bits, and within a double
_NUMBER: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LEAST, _MOST = -(2**63), 2**64 - 1


class ExactFloat(float):
    """A number of more digits than a double has: reckoned with as a float, and shown as it was written."""

    def __new__(cls, text: str) -> "ExactFloat":
        made = super().__new__(cls, text)
        made._text = text
        return made

    _text: str

    def __repr__(self) -> str:
        return self._text


def loads(text: bytes | str) -> object:
    """Raises `ValueError`."""
    document: object = orjson.loads(text)
    raw = text.encode() if isinstance(text, str) else text
    if any(_loses(raw, found.start()) for found in _LONG.finditer(raw.translate(_DIGITS))):
        return stdlib_json.loads(text, parse_float=_float)
    return document


def dumps(value: object, default: Callable[[object], object] | None = None, option: int | None = None) -> bytes:
    """As orjson does it. Raises `TypeError`."""

    def known(one: object) -> object:
        if isinstance(one, ExactFloat):
            return orjson.Fragment(repr(one))
        if default is None:
            raise TypeError
        return default(one)

    try:
        return orjson.dumps(value, default=known, option=option)
    except TypeError:
        return orjson.dumps(_with_fragments(value), default=lambda one: _with_fragments(known(one)), option=option)


def is_same(one: object, other: object) -> bool:
    """As Postgres compares documents: numbers by their value, digit by digit; true is not 1."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(is_same, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case (int() | float(), int() | float()):
            return Decimal(repr(one)) == Decimal(repr(other))
    return one == other


def _loses(text: bytes, place: int) -> bool:
    """Whether orjson reads another number there, if it is one and no part of a text."""
    found = _NUMBER.match(text, place)
    if found is None:
        return False
    number = found[0]
    if number.isdigit():
        return len(number) > 20 or not _LEAST <= (-int(number) if text[place - 1 : place] == b"-" else int(number)) <= _MOST
    return isinstance(_float(number.decode()), ExactFloat)


def _float(text: str) -> float:
    short = float(text)
    return short if repr(short) == text or Decimal(repr(short)) == Decimal(text) else ExactFloat(text)


def _with_fragments(value: object) -> object:
    match value:
        case Mapping():
            return {name: _with_fragments(one) for name, one in value.items()}
        case list() | tuple():
            return list(map(_with_fragments, value))
        case int() if not _LEAST <= value <= _MOST:
            return orjson.Fragment(str(value))
    return value

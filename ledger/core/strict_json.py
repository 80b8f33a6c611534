"""Strict JSON: what every reader of ours can keep, Postgres among them. Records are asked as a whole, a text only where that is in doubt.

JSON allows a NUL in a string, half a surrogate pair, and numbers beyond a double; the tables can hold none of these.
"""

import json as stdlib_json
from collections.abc import Sequence
from typing import Final

import orjson
from msgspec import Raw

from ledger.core.refusal import Refused

DEEPEST: Final = 200
"""Levels of a document. Python bears a thousand, less what stands on its stack already, and a commit has some of its own."""
LONGEST_NUMBER: Final = 1000  # characters of one with a fraction; Postgres keeps some 16 000 digits behind the point

_ALIKE: Final = bytes.maketrans(b"123456789E-", b"000000000e+")  # a pattern takes eight times as long
_ODD: Final = (b"0e000", b"0e+000", b"0" * 200)


def has_odd_number(text: bytes) -> bool:
    """There may be a number beyond a double: an exponent of three digits, or two hundred digits."""
    alike = text.translate(_ALIKE)
    return any(odd in alike for odd in _ODD)


def may_be_deep(texts: Sequence[bytes | Raw]) -> bool:
    """One of them may have more than `DEEPEST` levels: it is long enough for them, and opens as many."""
    return any(len(text) > 2 * DEEPEST and _opens(bytes(text)) > DEEPEST for text in texts)


def _opens(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def is_suspicious(record: bytes) -> bool:
    """May hold what JSON allows and the tables cannot keep (a NUL, half a surrogate pair), or is no UTF-8."""
    if not record.isascii():
        try:
            record.decode()
        except UnicodeDecodeError:
            return True
    return b"\\u" in record


def check_json(text: bytes, deepest: int = DEEPEST) -> None:
    """Raises `Refused("invalid_json")` unless `text` is strict JSON that every reader of ours can keep: valid UTF-8, no lone surrogates, no
    NUL in a string, no number beyond a double or of more than a thousand characters, at most `deepest` levels deep."""
    try:
        document = orjson.loads(text)
        if may_be_deep((text,)):
            _check_depth(document, deepest)
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
    if len(number) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(number)} characters, at most {LONGEST_NUMBER}: {number[:40]}...")
    return float(number)


def _check_depth(document: object, deepest: int) -> None:
    level, depth = [document], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > deepest:
            raise ValueError(f"nested more than {deepest} levels deep")
        level = [inside for one in level for inside in (one.values() if isinstance(one, dict) else one)]


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

"""The data edge: what a program hands in becomes the bytes of strict JSON, or is refused with the reason."""

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Final

import orjson
from msgspec import Raw, Struct, json, to_builtins
from pydantic import BaseModel, Secret, SecretBytes, SecretStr, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ledger.core import wire
from ledger.core.refusal import Refused
from ledger.core.strict_json import DEEPEST, check_json, may_be_deep

_NUL: Final = b"\\u0000"  # orjson and pydantic write it, and the tables cannot keep it
_NO_JSON: Final = (b"NaN", b"Infinity")  # a model may ask pydantic for them
_MASK: Final = b"**********"  # what pydantic writes in place of a secret
_ANYTHING: Final = TypeAdapter(object)


def encode_data(value: object) -> Raw:
    """pydantic models (by their aliases, as a handler reads them, and without what says `exclude=True`), dataclasses, msgspec structs, and
    whatever else JSON can say: not NaN, not infinity, and no `SecretStr`, which the log would keep. `Raw` is JSON already, and checked."""
    if type(value) is not dict and isinstance(value, Raw):
        check_json(bytes(value))
        return value
    try:
        text = _dumped(value)
        check_whole(text, value)
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise Refused("invalid_data", f"the data cannot be said in JSON: {error}") from error
    if _NUL in text or (len(text) > DEEPEST and may_be_deep((text,))):
        check_json(text)
    return Raw(text)


def check_whole(text: bytes, value: object, adapter: TypeAdapter[object] = _ANYTHING) -> None:
    """Raises `ValueError` where the text, made from the value, does not say what the value does: null for a number that JSON does not have,
    asterisks for a secret. Only a text that may be such a one is looked through."""
    if any(word in text for word in _NO_JSON):
        orjson.loads(text)
    if b"null" not in text and _MASK not in text:
        return
    for place, what in _lost(orjson.loads(text), adapter.dump_python(value, warnings=False)):
        raise ValueError(f"{place or 'it'} is {what}")


def _lost(written: object, meant: object, place: str = "") -> Iterator[tuple[str, str]]:
    """What is written as something else than it is, by its JSON pointer. Both have the same order; their keys may not be the same."""
    match written, meant:
        case None, float() if not isfinite(meant):
            yield place, f"{meant}, a number that JSON does not have"
        case str(), Secret() | SecretStr() | SecretBytes() if written.encode() == _MASK:
            yield place, f"a {type(meant).__name__}, which the log would keep for ever: say where the secret is kept instead"
        case dict() | list(), Struct():  # which pydantic leaves as they are
            yield from _lost(written, to_builtins(meant), place)
        case dict(), dict():
            for (name, one), other in zip(written.items(), meant.values(), strict=False):
                yield from _lost(one, other, f"{place}/{name}")
        case list(), Collection():
            for number, (one, other) in enumerate(zip(written, meant, strict=False)):
                yield from _lost(one, other, f"{place}/{number}")


def _dumped(value: object) -> bytes:
    if type(value) is dict:  # most of them; the rest is for models
        return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    if isinstance(value, BaseModel):
        return value.__pydantic_serializer__.to_json(value, by_alias=True)
    if isinstance(value, Struct):
        return json.encode(value)
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _plain(value: object) -> object:
    """What orjson does not know, or would say in part: of a dataclass it leaves out what begins with `_`, and knows no aliases."""
    if is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "__pydantic_serializer__"):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return to_builtins(value, str_keys=True) if isinstance(value, Struct) else to_jsonable_python(value)


def canonical(value: object) -> bytes:
    """The one way to write a JSON value: keys sorted, no spaces. For hashes and comparisons."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_plain)
    except TypeError:  # an integer beyond 64 bits, which bodies may hold
        return json.encode(value, order="sorted", enc_hook=_plain)


def encode_command(command: Struct) -> bytes:
    """Raises `Refused` for a text that is none."""
    try:
        return wire.encode(command)
    except UnicodeEncodeError as error:
        raise no_text(error) from None


def no_text(error: UnicodeEncodeError) -> Refused:
    return Refused("invalid", f"a text in it has half a surrogate pair: {error.object!a} is no UTF-8")


def check_size(command: bytes, data: Raw) -> None:
    """Raises `Refused("too_large")` before anything is sent."""
    if len(command) > wire.LARGEST_COMMAND:
        raise Refused(
            "too_large",
            f"the command has {len(command)} bytes, {len(bytes(data))} of them data; at most {wire.LARGEST_COMMAND} are taken: "
            "store the data elsewhere and submit where it is",
        )

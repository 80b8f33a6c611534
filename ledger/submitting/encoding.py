"""The data edge: what a program hands in becomes the bytes of strict JSON, or is refused with the reason."""

from typing import Final

import orjson
from msgspec import Raw, Struct, json
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ledger.core import wire
from ledger.core.refusal import Refused
from ledger.core.strict_json import check_json

_NUL: Final = b"\\u0000"  # the one thing that orjson and pydantic write and the tables cannot keep


def encode_data(value: object) -> Raw:
    """pydantic models, dataclasses, msgspec structs, and whatever else JSON can say; `Raw` is JSON already and is checked."""
    if type(value) is not dict and isinstance(value, Raw):
        check_json(bytes(value))
        return value
    try:
        text = _dumped(value)
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise Refused("invalid_data", f"the data cannot be said in JSON: {error}") from error
    if _NUL in text:
        check_json(text)
    return Raw(text)


def _dumped(value: object) -> bytes:
    if type(value) is dict:  # most of them; the rest is for models
        return orjson.dumps(value, default=_plain)
    if isinstance(value, BaseModel):
        return value.__pydantic_serializer__.to_json(value)
    if isinstance(value, Struct):
        return json.encode(value)
    return orjson.dumps(value, default=_plain)


def _plain(value: object) -> object:
    """What orjson does not know."""
    return to_jsonable_python(value)


def canonical(value: object) -> bytes:
    """The one way to write a JSON value: keys sorted, no spaces. For hashes and comparisons."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_plain)
    except TypeError:  # an integer beyond 64 bits, which bodies may hold
        return json.encode(value, order="sorted", enc_hook=_plain)


def check_size(command: bytes, data: Raw) -> None:
    """Raises `Refused("too_large")` before anything is sent."""
    if len(command) > wire.LARGEST_COMMAND:
        raise Refused(
            "too_large",
            f"the command has {len(command)} bytes, {len(bytes(data))} of them data; at most {wire.LARGEST_COMMAND} are taken: "
            "store the data elsewhere and submit where it is",
        )

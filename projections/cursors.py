"""Keyset paging: a cursor is the key of the last row that was given, in a form that nobody needs to look into."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import orjson

from ledger.core.refusal import Unfit

LARGEST_PAGE: Final = 200
_LONGEST: Final = 2000


def check_limit(limit: int) -> int:
    if not 1 <= limit <= LARGEST_PAGE:
        raise Unfit("invalid_limit", f"limit is {limit}: it has to be 1 to {LARGEST_PAGE}")
    return limit


def cursor_of(kind: str, *key: str | int) -> str:
    return urlsafe_b64encode(orjson.dumps([kind, *key])).decode().rstrip("=")


def read_cursor(cursor: str, kind: str, *types: type) -> list[str | int]:
    """The key in a cursor of ours for this list. Raises `Unfit`."""
    try:
        if len(cursor) > _LONGEST or not cursor.isascii():
            raise ValueError("too long, or not ours")
        key: list[str | int]
        said, *key = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if said != kind or [type(one) for one in key] != list(types):
            raise ValueError("of another list")
    except (ValueError, TypeError, binascii.Error) as error:
        raise Unfit("invalid_cursor", f"the cursor is none of this list ({error}): use `next` of the page before, unchanged") from error
    return key

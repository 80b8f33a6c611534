"""Bodies that belong to users (data, results) stay the bytes they came as: `Raw`, or `NOTHING` where there is none."""

from typing import Final

from msgspec import Raw

NOTHING: Final = Raw(b"")  # always this object: the encoder leaves a default out by identity
NULL: Final = Raw(b"null")


def given(body: Raw) -> bool:
    """There is a body; JSON's null is one."""
    return body is not NOTHING and len(bytes(body)) > 0

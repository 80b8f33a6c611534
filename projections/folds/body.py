"""Bodies of users, as a column keeps them."""

from msgspec import Raw

from ledger.core.bodies import NOTHING


def body(raw: Raw) -> bytes | None:
    """The bytes of a body; None where there is none. JSON's null is a body."""
    return None if raw is NOTHING else bytes(raw) or None

"""Names of commands: fresh ones in the order of time, and those that follow from an idempotency key."""

import random
import time
from hashlib import blake2b

from ledger.core.ids import KEYED

_RANDOM_BITS = 62
_VERSION, _VARIANT = 7 << 76, 2 << 62


def fresh_command_id() -> str:
    """A UUIDv7 in 32 hex digits. The generator behind it is seeded anew in a forked process; unique, not secret."""
    millis = time.time_ns() // 1_000_000
    bits = random.getrandbits(12 + _RANDOM_BITS)
    return f"{millis << 80 | _VERSION | (bits >> _RANDOM_BITS) << 64 | _VARIANT | bits & ((1 << _RANDOM_BITS) - 1):032x}"


def keyed_command_id(job_id: str, tenant: str | None, exclusive_key: str | None, idempotency_key: str) -> str:
    """The same key names the same command, so that a repeat comes to the same partition, where the first one is known."""
    named = "\0".join((job_id, tenant or "", exclusive_key or "", idempotency_key))
    return f"{KEYED}{blake2b(named.encode(), digest_size=16).hexdigest()}"

"""When a failed attempt is tried again. Pure: the spread of the jitter is derived from what is retried.

Source: scheduling.md, section 8.
"""

from typing import Final, Literal, NamedTuple
from zlib import crc32

from ledger.core.options import Options

Backoff = Literal["exponential", "fixed"]

JITTER: Final = 0.1
MOST_DOUBLINGS: Final = 40  # beyond, every maximum is reached


class Policy(NamedTuple):
    """`attempts` includes the first."""

    attempts: int = 3
    backoff: Backoff = "exponential"
    first_ms: int = 15_000
    max_ms: int = 3_600_000


def policy_for(options: Options | None, declared: Policy) -> Policy:
    """What the execution's options leave open is as the handler declares it."""
    if options is None:
        return declared
    return Policy(
        declared.attempts if options.attempts is None else options.attempts,
        options.backoff or declared.backoff,
        declared.first_ms if options.backoff_first_ms is None else options.backoff_first_ms,
        declared.max_ms if options.backoff_max_ms is None else options.backoff_max_ms,
    )


def retry_after_ms(policy: Policy, attempt: int, spread: float) -> int | None:
    """The delay after the failure of this attempt (the first is 1), or None if no attempt is left. `spread` from 0 to 1 places the
    delay within the jitter."""
    if attempt >= policy.attempts:
        return None
    if policy.backoff == "fixed":
        return policy.first_ms
    delay = min(policy.first_ms << min(max(attempt - 1, 0), MOST_DOUBLINGS), policy.max_ms)
    return min(policy.max_ms, round(delay * (1 + JITTER * (2 * spread - 1))))


def spread_of(execution_id: str, attempt: int) -> float:
    """Evenly spread over executions and attempts, and the same whenever it is asked."""
    return crc32(f"{execution_id}/{attempt}".encode()) / 0x1_0000_0000

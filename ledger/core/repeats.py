"""By what a command that comes again is known: its key, and when it was asked for, as far as that can be told.

The partition remembers (`partition.py`), the draft judges, and an audit judges again. Source: architecture.md, section 3.
"""

from typing import Final, NamedTuple

from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Micros

AHEAD: Final = 5_000_000  # microseconds by which a command may have been appended after it was decided: brokers' clocks differ


class Keyed(NamedTuple):
    """Of an idempotency key the execution, and when its submit was appended: by the broker, and as far as its commit bears that out."""

    execution_id: ExecutionId
    appended: Micros
    vouched: Micros

    def is_repeated(self, appended: Micros, at: Micros, window: int) -> bool:
        """By a submit of the same key. Either time may be the wrong one, and what is done twice is worse than what is refused."""
        return abs(appended - self.appended) <= window or vouched_for(appended, at) - self.vouched <= window


def keyed(event: Requested, at: Micros) -> Keyed:
    return Keyed(event.execution_id, event.requested_at, vouched_for(event.requested_at, at))


def vouched_for(appended: Micros, at: Micros) -> Micros:
    """The append time of a command as far as the time of its commit bears it out, which stands still while the broker's is in doubt: a
    clock in 2099 must not make everything old."""
    return min(appended, Micros(at + AHEAD))


def deduplication_key(tenant: str | None, job_id: str, exclusive_key: str | None, idempotency_key: str) -> str:
    """What an idempotency key is unique among: tenant, job and exclusivity key."""
    return "\0".join((tenant or "", job_id, exclusive_key or "", idempotency_key))


def outcome_key(tenant: str | None, command_type: str, command_id: str) -> str:
    """What the outcome of a command is remembered by, a refusal or an acceptance: its id is scoped by tenant and act."""
    return "\0".join((tenant or "", command_type, command_id))

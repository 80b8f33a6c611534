"""Offers: what control tells the workers of a queue. A record of `work.{queue}` is an array of them, from one partition."""

from msgspec import Raw, Struct

from ledger.core.bodies import NULL, given
from ledger.core.definition import Registry, Version
from ledger.core.execution import Requested, Trigger
from ledger.core.ids import ExecutionId, Micros, Token
from ledger.core.options import KeptOptions


class Offer(Struct, frozen=True, omit_defaults=True, gc=False):
    """This execution may run, under this token. A re-offer is the same grant with the same token.

    `again`: how often control has offered this grant again, because nothing was heard of it. A record that Kafka delivers twice has the
    same number both times: it proves nothing about the worker that took it.
    """

    execution_id: ExecutionId
    token: Token
    attempt: int
    job_id: str
    job_name: str
    job_version: int
    data: Raw = Raw(b"null")
    options: KeptOptions | None = None
    tenant: str | None = None
    trigger: Trigger = "submit"
    tick_at: Micros | None = None
    idempotency_key: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    again: int = 0
    exclusive_key: str | None = None  # its code may begin only once control has accepted its start, and under the lock of this key
    by_content: bool = False  # its version is a number that no handler knows, so it is for any


class Hint(Struct, frozen=True, omit_defaults=True):
    """The same offers, told by Redis while Kafka brings them. Best effort, never stored. `at`: the broker's time when they were made."""

    at: Micros
    offers: "Offers"


class Offers(Struct, frozen=True, omit_defaults=True):
    """A record of a work topic: the offers one partition of the log makes at a moment."""

    partition: int
    offers: tuple[Offer, ...]


def is_by_content(request: Requested, registry: Registry) -> bool:
    """Whether its version was numbered by content."""
    version = _version(request, registry) if request.kind == "scheduled" else None
    return version is not None and version.by_content


def _version(request: Requested, registry: Registry) -> Version | None:
    job = registry.jobs.get(request.job_id)
    return job.version(request.job_version) if job is not None else None


def data_of(request: Requested, registry: Registry) -> Raw:
    """What its code gets: its own data, else its version's."""
    if given(request.data):
        return request.data
    version = _version(request, registry)
    return version.data if version is not None and given(version.data) else NULL

"""From executions that may run to the records that offer them. No I/O here."""

from typing import Final

from ledger.core.definition import Registry
from ledger.core.execution import Active, Waiting
from ledger.core.ids import ExecutionId
from ledger.core.offers import Offer, data_of, is_by_content
from ledger.core.partition import Partition

OFFERS_PER_RECORD: Final = 200
BYTES_PER_RECORD: Final = 256 * 1024


def offer_of(partition: Partition, registry: Registry, execution_id: ExecutionId, again: int = 0) -> Offer | None:
    """The offer of an execution as the fold knows it, or None if it waits no longer."""
    state = partition.executions.get(execution_id)
    return _offer(state, registry, again) if isinstance(state, Waiting) else None


def grant_of(state: Active, registry: Registry) -> Offer:
    """What the worker of a relayed execution has to know of it."""
    return _offer(state, registry, 0)


def _offer(state: Waiting | Active, registry: Registry, again: int) -> Offer:
    request = state.request
    return Offer(
        request.execution_id,
        state.token,
        state.attempt,
        request.job_id,
        request.job_name,
        request.job_version,
        data_of(request, registry),
        request.options,
        request.tenant,
        request.trigger,
        request.tick_at,
        request.idempotency_key,
        request.correlation_id,
        request.trace_id,
        again,
        request.exclusive_key,
        is_by_content(request, registry),
    )


def into_records(offers: list[Offer]) -> list[list[Offer]]:
    """Offers in their order, cut into records of bounded size."""
    records: list[list[Offer]] = []
    size = 0
    for offer in offers:
        bytes_of = len(bytes(offer.data)) + 400
        if not records or len(records[-1]) >= OFFERS_PER_RECORD or size + bytes_of > BYTES_PER_RECORD:
            records.append([])
            size = 0
        records[-1].append(offer)
        size += bytes_of
    return records

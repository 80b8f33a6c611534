"""`job_definitions`: the jobs that are known, and which version of each is in force."""

from typing import Final, assert_never

from ledger.core.definition import Event, ManifestApplied, Registered, Retired, Versioned
from ledger.core.ids import exclusive_key, partition_for, routing_key
from projections.forms import DEFINITIONS
from projections.patches import Patch, Place, Rows

_STATE, _CURRENT, _UPDATED = map(DEFINITIONS.columns.index, ("state", "current_version", "updated_at"))
_ADDRESS: Final = DEFINITIONS.columns.index("log_partition")


def fold(rows: Rows, event: Event, place: Place, index: int, partitions: int) -> None:
    match event:
        case Registered(job_id):
            rows[job_id] = _registered(event, place, index, partitions)
        case Versioned(job_id, number, in_force=in_force):
            if in_force:
                _moved(rows, job_id, place, index, "active", number)
        case ManifestApplied(_, in_force, retired):
            for job_id, number in in_force:
                _moved(rows, job_id, place, index, "active", number)
            for job_id in retired:
                _moved(rows, job_id, place, index, "retired", None)
        case Retired(job_id):
            _moved(rows, job_id, place, index, "retired", None)
        case _:
            assert_never(event)


def _registered(event: Registered, place: Place, index: int, partitions: int) -> Patch:
    job_id, name, tenant, scope = event.job_id, event.job_name, event.tenant, event.exclusive_scope
    key = event.exclusive_key
    return [
        job_id,
        name,
        event.kind,
        event.queue,
        tenant,
        scope,
        exclusive_key(job_id, name, tenant, scope, key),
        partition_for(routing_key(job_id, name, tenant, scope, key, True, ""), partitions),
        "declared",
        None,  # current_version
        place.at,
        place.at,
        place.partition,
        place.seq,
        index,
        place.offset,
    ]


def _moved(rows: Rows, job_id: str, place: Place, index: int, state: str, number: int | None) -> None:
    row = rows.get(job_id)
    if row is None:
        row = rows[job_id] = DEFINITIONS.blank()
    row[_STATE], row[_UPDATED] = state, place.at
    if number is not None:
        row[_CURRENT] = number
    row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)

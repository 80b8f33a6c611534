"""`job_definitions`: the jobs that are known, which version of each is in force, and whether it is paused."""

from typing import Final, assert_never

from ledger.core import pause
from ledger.core.definition import Event, ManifestApplied, Registered, Retired, Versioned
from ledger.core.ids import exclusive_key, partition_for, routing_key
from projections.forms import DEFINITIONS
from projections.memory import Memory, put, to_change
from projections.patches import Patch, Place, Rows

_STATE, _CURRENT, _NOTE, _UPDATED = map(DEFINITIONS.columns.index, ("state", "current_version", "paused_note", "updated_at"))
_ADDRESS: Final = DEFINITIONS.columns.index("log_partition")


def fold(memory: Memory, changed: Rows, event: Event, place: Place, index: int, partitions: int) -> None:
    match event:
        case Registered(job_id):
            put(memory.definitions, changed, job_id, _registered(event, place, index, partitions))
        case Versioned(job_id, number, in_force=in_force):
            if in_force:
                _put_in_force(memory, changed, job_id, place, index, number)
        case ManifestApplied(_, in_force, retired):
            for job_id, number in in_force:
                _put_in_force(memory, changed, job_id, place, index, number)
            for job_id in retired:
                _retire(memory, changed, job_id, place, index)
        case Retired(job_id):
            _retire(memory, changed, job_id, place, index)
        case _:
            assert_never(event)


def fold_pause(memory: Memory, changed: Rows, event: pause.Event, place: Place, index: int) -> None:
    """After the pauses themselves were folded."""
    if event.scope != "job" or (row := memory.definitions.get(event.name)) is None:
        return
    note = event.note if isinstance(event, pause.Began) else None
    state = row[_STATE] if row[_STATE] == "retired" else _state(memory, event.name, row[_CURRENT] is not None)
    if (state, note) != (row[_STATE], row[_NOTE]):
        row = _moved(memory, changed, event.name, place, index)
        row[_STATE], row[_NOTE] = state, note


def _put_in_force(memory: Memory, changed: Rows, job_id: str, place: Place, index: int, number: int) -> None:
    row = _moved(memory, changed, job_id, place, index)
    row[_STATE], row[_CURRENT] = _state(memory, job_id, True), number


def _retire(memory: Memory, changed: Rows, job_id: str, place: Place, index: int) -> None:
    _moved(memory, changed, job_id, place, index)[_STATE] = "retired"


def _state(memory: Memory, job_id: str, has_version: bool) -> str:
    """Of a job that is not retired."""
    return "paused" if ("job", job_id) in memory.pauses else "active" if has_version else "declared"


def _moved(memory: Memory, changed: Rows, job_id: str, place: Place, index: int) -> Patch:
    row = to_change(memory.definitions, changed, job_id)
    if row is None:
        raise DEFINITIONS.contradiction(job_id)
    row[_UPDATED] = place.at
    row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)
    return row


def _registered(event: Registered, place: Place, index: int, partitions: int) -> Patch:
    job_id, name, tenant, scope = event.job_id, event.job_name, event.tenant, event.exclusive_scope
    key = event.exclusive_key
    return [
        job_id,
        name,
        event.kind,
        event.queue,
        tenant,
        event.name,
        scope,
        exclusive_key(job_id, name, tenant, scope, key),
        partition_for(routing_key(job_id, name, tenant, scope, key, True, ""), partitions),
        "declared",
        None,  # current_version
        None,  # paused_note
        place.at,
        place.at,
        place.partition,
        place.seq,
        index,
        place.offset,
    ]

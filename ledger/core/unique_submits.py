"""Unique submits: what is asked for is compared with what was asked for before under the same unique key. Source: docs/decisions/0019."""

from collections.abc import Iterator
from typing import assert_never

from ledger.core.execution import MOST_REPLACED, Active, Buffered, Delayed, Ended, Skipped, State, Waiting, begun
from ledger.core.ids import ExecutionId
from ledger.core.partition_view import PartitionView
from ledger.core.refusal import Refused
from ledger.core.uniqueness import Unique, UniqueState


def conflicts(view: PartitionView, name: str, unique: Unique) -> Iterator[tuple[ExecutionId, State, UniqueState]]:
    """Who stands in the way, the oldest first."""
    for execution_id, ended in sorted(view.alike(name).items()):  # ids begin with their time
        state = view.state_of(execution_id)
        if state is not None and (now := _called(state, ended)) in unique.states:
            yield execution_id, state, now


def _called(state: State, ended: str | None) -> object:
    match state:
        case Delayed():
            return "delayed"
        case Waiting() | Buffered():
            return "waiting"
        case Active():
            return "active"
        case Ended():
            return ended
        case _:
            assert_never(state)


def replaced(view: PartitionView, name: str, unique: Unique, by: ExecutionId) -> list[Skipped]:
    """What a submit that replaces does away with. Raises `Refused` where that has begun, or has ended."""
    found = list(conflicts(view, name, unique))
    for execution_id, state, now in found:
        if isinstance(state, Active | Ended) or (isinstance(state, Waiting | Delayed) and begun(state)):
            raise not_unique(execution_id, f"{now}, so it cannot be replaced any more")
    return [Skipped(execution_id, "replaced", None, f"{by} came after it") for execution_id, _, _ in found[:MOST_REPLACED]]


def not_unique(execution_id: ExecutionId, how: str) -> Refused:
    return Refused("not_unique", f"{execution_id} has the same unique key and is {how}")

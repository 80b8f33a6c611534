"""`pauses`: those in force; one that ends takes its row along."""

from typing import assert_never

from ledger.core.pause import Began, Ended, Event
from projections.memory import Memory, put, remove
from projections.patches import Place, Rows


def fold(memory: Memory, changed: Rows, event: Event, place: Place, index: int) -> None:
    key = (event.scope, event.name)
    match event:
        case Began():
            address = (place.partition, place.seq, index, place.offset)
            put(memory.pauses, changed, key, [event.scope, event.name, event.note, event.actor, place.at, *address])
        case Ended():
            remove(memory.pauses, changed, key)
        case _:
            assert_never(event)

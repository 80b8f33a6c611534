"""What a fold has to know of what was folded before, one partition of a log at a time.

It is itself a fold of the events before, and stands in the tables: a consumer that takes a partition over reads it there, together with
the position (`stored.py`). So where a log is cut into pieces makes no difference.
"""

from dataclasses import dataclass, field

from projections.patches import GONE, Key, Patch, Rows


@dataclass(slots=True)
class Memory:
    """Rows that a later event changes by what stands there; and which job an execution under way belongs to, if that has a schedule."""

    definitions: Rows = field(default_factory=dict)
    pauses: Rows = field(default_factory=dict)
    statuses: Rows = field(default_factory=dict)
    bulk_acts: Rows = field(default_factory=dict)  # those that go on
    runs: dict[str, str] = field(default_factory=dict)
    own: dict[str, Rows] = field(default_factory=dict)  # the kept rows of a projection that is not ours, by table


def to_change(kept: Rows, changed: Rows, key: Key) -> Patch | None:
    """The row, to be changed in place; None if there is none. What was handed out to be written before stays as it is."""
    row = kept.get(key)
    if row is not None and changed.get(key) is not row:
        row = kept[key] = changed[key] = list(row)
    return row


def put(kept: Rows, changed: Rows, key: Key, row: Patch) -> None:
    kept[key] = changed[key] = row


def remove(kept: Rows, changed: Rows, key: Key) -> None:
    if kept.pop(key, None) is not None:
        changed[key] = GONE


def together(one: Memory, other: Memory) -> Memory:
    """Of rows that stand in two places, none in both."""
    return Memory(
        one.definitions | other.definitions,
        one.pauses | other.pauses,
        one.statuses | other.statuses,
        one.bulk_acts | other.bulk_acts,
        one.runs | other.runs,
        {table: one.own.get(table, {}) | other.own.get(table, {}) for table in one.own.keys() | other.own.keys()},
    )

"""Executions as they stood at a moment: the log folded up to it, in the memory of what was live then and of one page.

What cannot come to be on the page is forgotten on the way: a terminal state is for ever, and of older requests than the page holds none is
asked for. Pure but for the commits that it is fed with.
"""

import re
from collections.abc import Mapping, Sequence
from heapq import heapify, heappush, heappushpop
from typing import Final

from ledger.client.moments import micros_of
from ledger.core import exact_json, execution
from ledger.core.bodies import NOTHING
from ledger.core.consequences import ENDS
from ledger.core.execution import Requested
from ledger.core.wire import Event
from projections.folds import attempts, executions
from projections.forms import EXECUTIONS
from projections.patches import Patch, Place, Rows
from projections.rows import ExecutionFilter

_STATE, _WORKER = EXECUTIONS.columns.index("state"), EXECUTIONS.columns.index("worker")
_REQUESTED_AT = EXECUTIONS.columns.index("requested_at")
_INDEX: Final = re.compile("-?[0-9]+")
Key = tuple[int, str]  # of the order of the list: time of the request, id


class One:
    """One execution and its attempts."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.executions: Rows = {}
        self.attempts: Rows = {}

    def fold(self, events: Sequence[Event], place: Place) -> None:
        for index, event in enumerate(events):
            if isinstance(event, execution.Event) and event.execution_id == self.execution_id:
                executions.fold(self.executions, event, place, index)
                attempts.fold(self.attempts, event, place, index)


class Newest:
    """The `most` newest requests that pass a filter, of those before `before`, in as many partitions as it is fed with."""

    def __init__(self, where: ExecutionFilter, most: int, before: Key | None) -> None:
        self._where, self._most, self._before = where, most, before
        self._states = None if where.state is None else {where.state} if isinstance(where.state, str) else set(where.state)
        self._may_come_and_go = where.state is not None or where.worker is not None
        self._rows: Rows = {}
        self._kept: list[Key] = []  # a heap, the oldest first: those that pass and will not change any more in what the filter asks

    @property
    def held(self) -> int:
        """How many rows it has in memory."""
        return len(self._rows)

    def fold(self, events: Sequence[Event], place: Place) -> None:
        for index, event in enumerate(events):
            if not isinstance(event, execution.Event):
                continue
            if isinstance(event, Requested):
                self._forget(event.execution_id)
                if self._may_pass(event):
                    executions.fold(self._rows, event, place, index)
                    if not self._may_come_and_go:
                        self._keep(event.execution_id)
            elif event.execution_id in self._rows:
                executions.fold(self._rows, event, place, index)
                if self._may_come_and_go and type(event) in ENDS:
                    self._settle(event.execution_id)

    def newest(self) -> list[Patch]:
        """In the order of the list; `most` of them, or all."""
        found = [row for row in self._rows.values() if self._passes(row)]
        return sorted(found, key=_key, reverse=True)[: self._most]

    def _may_pass(self, event: Requested) -> bool:
        where = self._where
        equal = (
            (where.job, event.job_id),
            (where.job_name, event.job_name),
            (where.tenant, event.tenant),
            (where.version, event.job_version),
            (where.backfill, event.backfill_id),
        )
        return (
            all(wanted is None or wanted == found for wanted, found in equal)
            and (self._before is None or (event.requested_at, event.execution_id) < self._before)
            and all((event.labels or {}).get(name) == value for name, value in where.labels.items())
            and (where.from_ is None or event.requested_at >= micros_of("from", where.from_))
            and (where.to is None or event.requested_at < micros_of("to", where.to))
            and (not where.data or (event.data is not NOTHING and stands_in(exact_json.loads(bytes(event.data)), where.data)))
        )

    def _passes(self, row: Patch) -> bool:
        return (self._states is None or row[_STATE] in self._states) and self._where.worker in (None, row[_WORKER])

    def _forget(self, execution_id: str) -> None:
        """A command that is accepted again after its deduplication window replaces the row of its execution."""
        if (row := self._rows.pop(execution_id, None)) is not None and (key := _key(row)) in self._kept:
            self._kept.remove(key)
            heapify(self._kept)

    def _settle(self, execution_id: str) -> None:
        """It has ended: it passes for ever, or never."""
        if self._passes(self._rows[execution_id]):
            self._keep(execution_id)
        else:
            del self._rows[execution_id]

    def _keep(self, execution_id: str) -> None:
        key = _key(self._rows[execution_id])
        if len(self._kept) < self._most:
            heappush(self._kept, key)
        else:
            del self._rows[heappushpop(self._kept, key)[1]]


def _key(row: Patch) -> Key:
    requested_at, execution_id = row[_REQUESTED_AT], row[0]
    assert isinstance(requested_at, int) and isinstance(execution_id, str)
    return requested_at, execution_id


def stands_in(document: object, wanted: Mapping[str, str]) -> bool:
    """Whether each value stands at its path (`order.items.0.id`), as JSON if it is such, or as text: as the tables are asked."""
    return all(_stands_at(document, path.split("."), value) for path, value in wanted.items())


def _stands_at(document: object, parts: list[str], value: str) -> bool:
    for part in parts:
        match document:
            case dict() if part in document:
                document = document[part]
            case list() if _INDEX.fullmatch(part) and -len(document) <= int(part) < len(document):
                document = document[int(part)]
            case _:
                return False
    try:
        return document == value or exact_json.is_same(document, exact_json.loads(value))
    except ValueError:
        return document == value

"""Filters of executions as conditions on the table."""

from contextlib import suppress
from typing import Final

import orjson
from sqlalchemy import ColumnElement, func, literal, or_
from sqlalchemy.dialects.postgresql import JSONB

from ledger.core.refusal import Refused
from projections.rows import ExecutionFilter
from projections.tables import EXECUTION_STATES, job_executions

_LONGEST_PATH: Final = 200
_MOST_PARTS: Final = 20


def conditions(where: ExecutionFilter) -> list[ColumnElement[bool]]:
    """Raises `Refused` for a state that does not exist and for a path that is none."""
    columns = job_executions.c
    equal = (
        (columns.job_id, where.job),
        (columns.job_name, where.job_name),
        (columns.tenant, where.tenant),
        (columns.job_version, where.version),
        (columns.worker, where.worker),
    )
    found: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
    if where.state is not None:
        found.append(columns.state.in_(_states(where.state)))
    if where.labels:
        found.append(columns.labels.op("@>")(_json(orjson.dumps(dict(where.labels)))))
    found.extend(_stands_at(path, value) for path, value in where.data.items())
    if where.from_ is not None:
        found.append(columns.requested_at >= where.from_)
    if where.to is not None:
        found.append(columns.requested_at < where.to)
    return found


def _states(state: str | tuple[str, ...]) -> list[str]:
    states = [state] if isinstance(state, str) else list(state)
    for one in states:
        if one not in EXECUTION_STATES:
            raise Refused("unknown_state", f"there is no state {one!r}; the states are {', '.join(EXECUTION_STATES)}")
    return states


def _stands_at(path: str, value: str) -> ColumnElement[bool]:
    parts = path.split(".")
    if not path or len(path) > _LONGEST_PATH or len(parts) > _MOST_PARTS or "\0" in path + value:
        raise Refused(
            "invalid_path", f"{path[:50]!r} is no path into the data: at most {_MOST_PARTS} names and numbers with dots between them"
        )
    at = func.jsonb_extract_path(job_executions.c.data, *parts)
    texts = [orjson.dumps(value)]
    with suppress(ValueError):
        texts.append(orjson.dumps(orjson.loads(value)))
    return or_(*(at == _json(one) for one in texts))


def _json(document: bytes) -> ColumnElement[object]:
    """A parameter that is a document."""
    return literal(document.decode()).cast(JSONB)

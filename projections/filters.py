"""Filters of executions and of ticks as conditions on their tables."""

from contextlib import suppress
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import ColumnElement, and_, func, literal, or_
from sqlalchemy.dialects.postgresql import JSONB

from ledger.core.invalid import quoted
from ledger.core.refusal import Unfit
from projections.rows import ExecutionFilter
from projections.schedule_rows import TickFilter
from projections.schedule_tables import TICK_OUTCOMES, schedule_ticks
from projections.tables import EXECUTION_STATES, JOB_KINDS, JOB_STATES, job_executions

_LONGEST_PATH: Final = 200
_MOST_PARTS: Final = 20


def conditions(where: ExecutionFilter) -> list[ColumnElement[bool]]:
    """Raises `Unfit` for a state that does not exist and for a path that is none."""
    columns = job_executions.c
    equal = (
        (columns.job_id, where.job),
        (columns.job_name, where.job_name),
        (columns.tenant, where.tenant),
        (columns.job_version, where.version),
        (columns.worker, where.worker),
        (columns.backfill_id, where.backfill),
    )
    found: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
    if where.state is not None:
        found.append(columns.state.in_(checked("state", where.state, EXECUTION_STATES)))
    if where.labels:
        found.append(columns.labels.op("@>")(_document(_json(dict(where.labels)))))
    found.extend(_stands_at(path, value) for path, value in where.data.items())
    if where.from_ is not None:
        found.append(columns.requested_at >= check_instant("from", where.from_))
    if where.to is not None:
        found.append(columns.requested_at < check_instant("to", where.to))
    return found


def tick_conditions(where: TickFilter) -> list[ColumnElement[bool]]:
    """Raises `Unfit` for an outcome that does not exist."""
    columns = schedule_ticks.c
    equal = (
        (columns.job_id, where.job),
        (columns.job_name, where.job_name),
        (columns.tenant, where.tenant),
        (columns.job_version, where.version),
        (columns.reason, where.reason),
    )
    found: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
    if where.outcome is not None:
        found.append(columns.outcome.in_(checked("outcome", where.outcome, TICK_OUTCOMES)))
    if where.from_ is not None:
        first = check_instant("from", where.from_)
        found.append(or_(columns.tick_at >= first, and_(columns.tick_count > 1, columns.last_tick_at >= first)))
    if where.to is not None:
        found.append(columns.tick_at < check_instant("to", where.to))
    return found


def check_instant(name: str, instant: object) -> datetime:
    """Refuses what is none, and one without an offset: the database would read it in a time zone of its own."""
    if not isinstance(instant, datetime):
        raise Unfit("invalid_time", f"{name} is {quoted(instant)}: give a datetime, as datetime(2026, 10, 25, tzinfo=UTC)")
    if instant.tzinfo is None:
        raise Unfit("invalid_time", f"{name} is {instant.isoformat()}: say in which time zone, as {instant.isoformat()}+00:00")
    return instant


def check_definitions(kind: str | None, state: str | None) -> None:
    """Raises `Unfit` for a kind or a state of jobs that does not exist."""
    if kind is not None:
        checked("kind", kind, JOB_KINDS)
    if state is not None:
        checked("state", state, JOB_STATES)


def checked(what: str, value: str | tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    """Raises `Unfit` for a word that is none of those there are: its list would be empty, and nobody would know why."""
    values = [value] if isinstance(value, str) else list(value)
    for one in values:
        if one not in known:
            raise Unfit(f"unknown_{what.replace(' ', '_')}", f"there is no {what} {one!r}; the {what}s are {', '.join(known)}")
    return values


def _stands_at(path: str, value: str) -> ColumnElement[bool]:
    parts = path.split(".")
    if not path or len(path) > _LONGEST_PATH or len(parts) > _MOST_PARTS or "\0" in path + value:
        raise Unfit(
            "invalid_path", f"{path[:50]!r} is no path into the data: at most {_MOST_PARTS} names and numbers with dots between them"
        )
    at = func.jsonb_extract_path(job_executions.c.data, *parts)
    texts = [_json(value)]
    with suppress(ValueError):
        orjson.loads(value)
        texts.append(value)  # as it is written: read, a number might lose digits
    return or_(*(at == _document(one) for one in texts))


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise Unfit("invalid_value", f"{quoted(value)} is no text of JSON: {error}") from error


def _document(text: str) -> ColumnElement[object]:
    """A parameter that is a document."""
    return literal(text).cast(JSONB)

"""`docs/tables.md`, written from the tables themselves: `python -m projections.tables_doc > docs/tables.md`."""

import sys

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from projections.questions import QUESTIONS
from projections.tables import TABLES, VIEWS

_INTRODUCTION = """# The tables

A fold of the log for everybody who asks with SQL: read them, do not write them. Names are stable. They live in the schema that
`database.schema` names (`jobledger` by default), are made by `jobledger db upgrade`, kept up to date by `jobledger projections run`,
and can be dropped and rebuilt at any time (`jobledger projections rebuild`); `jobledger projections verify` compares them with the log
row by row.

- Instants are `timestamptz`. `..._at` of a decision is the time of its commit in the log; durations are the worker's monotonic clock.
- Every row but a position carries the address of the event that wrote it last: `log_partition`, `log_seq`, `log_index`, `log_offset`.
- A row is written by one partition of the log only, in one transaction with that partition's position.
- A terminal state is for ever: `completed`, `failed`, `timed_out`, `lost`, `missed`, `skipped`, `cancelled`.

This page is generated from `projections/tables.py`, `schedule_tables.py` and `questions.py`.
"""
_QUESTIONS = """## Questions

Each with its query, for a session in which `SET search_path = jobledger` was said.
"""


def document() -> str:
    views = [f"## View `{name}`\n\n`{query.format(schema='jobledger')}`\n" for name, query in VIEWS.items()]
    questions = [f"### {one.asked}\n\n```sql{one.query}```\n" for one in QUESTIONS]
    return "\n".join([_INTRODUCTION, *map(_table, TABLES), *views, _QUESTIONS, *questions])


def _table(table: Table) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    key = ", ".join(f"`{column.name}`" for column in table.primary_key)
    lines = [f"## `{table.name}`", "", f"Key: {key}.", "", "| column | type | meaning |", "|---|---|---|"]
    for column in table.columns:
        kind = column.type.compile(dialect=dialect).lower().replace("timestamp with time zone", "timestamptz")
        lines.append(f"| `{column.name}` | {kind}{'' if column.nullable else ', never null'} | {column.doc} |")
    indexes = sorted(str(CreateIndex(index).compile(dialect=dialect)).partition(" ON ")[2] for index in table.indexes)
    if indexes:
        lines += ["", "Indexes:", *(f"- `{index}`" for index in indexes)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())

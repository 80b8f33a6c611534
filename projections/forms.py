"""How each table takes patches: which columns may change after a row was written whole, or that its rows are kept by the folds."""

from typing import Final

from sqlalchemy import Table

from projections import schedule_tables, tables
from projections.patches import Form
from projections.projection import RowsOf

_ADDRESS: Final = ("log_partition", "log_seq", "log_index", "log_offset")


def form_of(table: Table, *mutable: str, set_once: str | None = None, log: str | None = "events", is_kept: bool = False) -> Form:
    columns = tuple(str(column.name) for column in table.columns)
    places = tuple(map(columns.index, (*mutable, *_ADDRESS))) if mutable else ()
    return Form(
        str(table.name),
        table,
        columns,
        tuple(str(column.name) for column in table.primary_key),
        places,
        None if set_once is None else columns.index(set_once),
        log,
        is_kept,
    )


DEFINITIONS: Final = form_of(tables.job_definitions, log="registry", is_kept=True)
VERSIONS: Final = form_of(tables.job_versions, log="registry")
EXECUTIONS: Final = form_of(
    tables.job_executions,
    "state",
    "reason",
    "waiting_reason",
    "blocked_by",
    "attempt",
    "progress",
    "progress_note",
    "worker",
    "result",
    "error_type",
    "error_message",
    "eligible_at",
    "first_started_at",
    "started_at",
    "finished_at",
    "deadline_at",
    "last_report_at",
    "wait_ms",
    "run_ms",
    set_once="first_started_at",
)
ATTEMPTS: Final = form_of(tables.execution_attempts, "state", "finished_at", "run_ms", "error_type", "error_message")
OUTCOMES: Final = form_of(tables.command_outcomes, log=None)
TICKS: Final = form_of(schedule_tables.schedule_ticks)
STATUSES: Final = form_of(schedule_tables.job_status, is_kept=True)
PAUSES: Final = form_of(schedule_tables.pauses, log="registry", is_kept=True)
BULK_ACTS: Final = form_of(schedule_tables.bulk_acts, is_kept=True)

FORMS: Final[tuple[tuple[Form, RowsOf], ...]] = (
    (DEFINITIONS, lambda changes: changes.definitions),
    (VERSIONS, lambda changes: changes.versions),
    (EXECUTIONS, lambda changes: changes.executions),
    (ATTEMPTS, lambda changes: changes.attempts),
    (OUTCOMES, lambda changes: changes.outcomes),
    (TICKS, lambda changes: changes.ticks),
    (STATUSES, lambda changes: changes.statuses),
    (PAUSES, lambda changes: changes.pauses),
    (BULK_ACTS, lambda changes: changes.bulk_acts),
)

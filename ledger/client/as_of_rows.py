"""Rows of folds as the objects that the read services give."""

from dataclasses import fields
from typing import Final, TypeVar

from msgspec import UNSET

from ledger.client.moments import datetime_of
from ledger.core import exact_json
from projections.forms import FORMS
from projections.paging import with_address
from projections.patches import Form, Patch, Rows
from projections.rows import Attempt, Execution, JobDefinition, JobVersion
from projections.schedule_rows import JobStatus, Pause
from projections.statements import encoding_of

_ENCODINGS: Final = {form.table: encoding_of(form, form.columns) for form, _ in FORMS}
Row = TypeVar("Row", Attempt, Execution, JobDefinition, JobStatus, JobVersion, Pause)


def object_of(kind: type[Row], form: Form, row: Patch) -> Row:
    """A whole row: instants are their microseconds, documents their bytes."""
    encoding = _ENCODINGS[form.table]
    values: dict[str, object] = {}
    for place, (name, value) in enumerate(zip(form.columns, row, strict=True)):
        assert value is not UNSET
        if place in encoding.instants and isinstance(value, int):
            values[name] = datetime_of(value)
        elif place in encoding.documents and isinstance(value, bytes):
            values[name] = exact_json.loads(value)
        else:
            values[name] = value
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in with_address(values).items() if name in known})


def objects_of(kind: type[Row], form: Form, rows: Rows) -> list[Row]:
    """Those that are there; what is gone has an empty row."""
    return [object_of(kind, form, row) for row in rows.values() if row]

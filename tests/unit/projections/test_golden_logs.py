"""A log that was written once folds to the same tables for ever, whatever has become of the shapes of events since."""

from pathlib import Path

import pytest

from ledger.core import wire
from ledger.core.archive import Checker
from tests.unit.projections.golden_logs import exports, found, kept
from tests.unit.wire import shapes

ADD = "`python -m tests.unit.projections.golden_logs` adds what is missing"


@pytest.mark.parametrize("export", exports(), ids=lambda one: one.stem)
def test_it_folds_to_what_it_always_did(export: Path) -> None:
    now, before = found(export), kept(export)
    for table, columns in before.items():
        for column, hashed in columns.items():
            assert now[table][column] == hashed, f"{export.name} folds to another {table}.{column} than it did"
    missing = [f"{table}.{column}" for table, columns in now.items() for column in columns if column not in before.get(table, {})]
    assert missing == [], ADD


def test_together_they_hold_every_event_there_is() -> None:
    seen: set[str] = set()
    for export in exports():
        checker = Checker()
        for line in export.read_bytes().splitlines(keepends=True):
            taken = checker.take(line)
            if isinstance(taken, tuple):
                seen |= {str(type(event).__struct_config__.tag) for event in wire.decode_commit(taken[1]).events}
    assert set(shapes.EVENTS) - seen == set(), "`python -m tests.unit.projections.golden_logs NAME` writes an export that has it"

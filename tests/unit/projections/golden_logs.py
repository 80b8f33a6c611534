"""Exports of logs as they were once written, and what they fold to: a hash of each column of each table, kept beside the export.

`python -m tests.unit.projections.golden_logs` writes the hashes that are missing: of a new export, or of a column that is new. It changes
none that is there: what a log folds to stays as it is for ever. A column that goes, or gets another meaning under the same name, is taken
out of the files by hand, together with the new version of the projection. With a NAME it first writes a new export that holds one of each
event as the shapes are now: for when there is a new one.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

from ledger.core import definition, outcome, pause, wire
from ledger.core.archive import REGISTRY, Checker, Place
from projections.folds import fold_of
from projections.forms import FORMS
from projections.patches import Changes, Form, Patch, Rows
from projections.patches import Place as Stands
from projections.projection import Fold
from tests.synthetic_log import SyntheticLog
from tests.unit.log.archives import archive_of
from tests.unit.log.chains import LOG_ID
from tests.unit.wire import shapes

FOLDER = Path(__file__).parents[2] / "golden" / "log"
Hashes = dict[str, dict[str, str]]  # by table and column


def exports() -> list[Path]:
    return sorted(FOLDER.glob("*.jsonl"))


def hashes_beside(export: Path) -> Path:
    return export.with_suffix(".tables.json")


def kept(export: Path) -> Hashes:
    file = hashes_beside(export)
    hashes: Hashes = json.loads(file.read_text()) if file.exists() else {}
    return hashes


def found(export: Path) -> Hashes:
    """What it folds to now."""
    tables: dict[str, tuple[Form, Rows]] = {form.table: (form, {}) for form, _ in FORMS}
    for place, changes in _folded(export).items():
        for form, rows_of in FORMS:
            for key, row in rows_of(changes).items():
                if row:
                    tables[form.table][1][place[0], place[1], *(key if isinstance(key, tuple) else (key,))] = row
    return {name: _columns(form, rows) for name, (form, rows) in tables.items() if rows}


def _folded(export: Path) -> dict[Place, Changes]:
    checker, folds, changes = Checker(), dict[Place, Fold](), dict[Place, Changes]()
    for line in export.read_bytes().splitlines(keepends=True):
        taken = checker.take(line)
        if not isinstance(taken, tuple) or checker.log is None:
            continue
        place, record = taken
        commit = wire.decode_commit(record)
        fold = folds.setdefault(place, fold_of(place[0], checker.log.partitions))
        stands = Stands(place[1], commit.seq, checker.heads[place].next_offset - 1, commit.at)
        for nth, event in enumerate(commit.events):
            fold(changes.setdefault(place, Changes()), event, stands, nth)
    checker.whole()
    return changes


def _columns(form: Form, rows: Rows) -> dict[str, str]:
    return {column: _hash(number, rows) for number, column in enumerate(form.columns)}


def _hash(number: int, rows: Rows) -> str:
    cells = sorted((str(key), _text(row[number])) for key, row in rows.items())
    return sha256(json.dumps(cells).encode()).hexdigest()[:32]


def _text(cell: "Patch | object") -> str:
    return cell.decode() if isinstance(cell, bytes) else repr(cell)


def every_shape() -> list[bytes]:
    """An export with one of each event. What has to be known before is said first."""
    registry, events = SyntheticLog("registry", 0), SyntheticLog("events", 0)
    for log in (registry, events):
        log.open(LOG_ID, 1)
    jobs = ("cleanup", "sync", "tidy", "nightly")
    registry.commit([definition.Registered(job, job, "system", "default") for job in jobs])
    registry.commit([definition.Versioned(job, number, "h", True) for job in jobs for number in range(1, 6)])
    for event in shapes.EVENTS.values():
        if isinstance(event, definition.Event | pause.Event):
            registry.commit([event])
        elif isinstance(event, wire.Event) and not isinstance(event, outcome.Opened):
            events.commit([event])
    return archive_of({REGISTRY: registry.records, ("events", 0): events.records})


def main(names: list[str]) -> None:
    for name in names:
        (FOLDER / f"{name}.jsonl").write_bytes(b"".join(every_shape()))
    for export in exports():
        before, now = kept(export), found(export)
        whole = {table: columns | before.get(table, {}) for table, columns in now.items()}
        hashes_beside(export).write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
        print(export.name, sum(map(len, whole.values())), "columns")


if __name__ == "__main__":
    main(sys.argv[1:])

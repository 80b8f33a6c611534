"""Logs in memory that grow, and what of them may be compared with what they were."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ledger.core import chain, definition, execution, growing, outcome
from ledger.core.audit_totals import Totals
from ledger.core.auditing import PartitionAudit
from ledger.core.chain import Head
from ledger.core.definition import Registry
from ledger.core.definition import evolve as evolve_registry
from ledger.core.ids import Micros
from ledger.core.partition import Partition
from ledger.core.registry import RegistryFold
from ledger.core.stretches import Moved, moves_of
from ledger.core.wire import Commit
from ledger.kafka.log_reader import walk
from projections.folds import fold_of
from projections.forms import FORMS
from projections.patches import Changes, Patch, Place
from tests.unit.log.chains import stored

Log = Mapping[int, Sequence[bytes]]  # the records of each partition
_AN_ID = re.compile(r"([0-9a-f]{32})-\d+")
_PLACES = frozenset({"log_partition", "log_seq", "log_index", "log_offset", "requested_offset", "token", "home_partition"})


def accepted(log: str, partition: int, records: Sequence[bytes]) -> list[Commit]:
    walked = walk(Head(log, partition), stored(records))
    assert walked.broken is None, walked.broken
    return [one.commit() for one in walked.commits]


def registry_of(records: Sequence[bytes]) -> Registry:
    fold = RegistryFold()
    for offset, record in enumerate(records):
        fold.feed(record, offset)
    return fold.registry


def grown(log: Log, registry: Registry, partitions: int, epoch: int = 2) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {number: [] for number in range(partitions)}
    growth = growing.Growth(registry, outcome.Opened("grown", partitions, epoch))
    for number, record in growth.records({one: accepted("events", one, records) for one, records in log.items()}):
        found[number].append(record)
    return found


def folded(log: Log, *, window: int = 3_600_000_000) -> list[Partition]:
    """As control folds it."""
    partitions = [Partition(number, window=window) for number in log]
    for partition, records in zip(partitions, log.values(), strict=True):
        for offset, record in enumerate(records):
            assert partition.feed(record, offset) == chain.ACCEPTED
    return partitions


def tables_of(log: Log, registry_log: Sequence[bytes] = ()) -> dict[str, list[str]]:
    """Every row of every table, but for where it stands in the log, the tokens, and the partitions in the ids."""
    found: dict[str, list[str]] = {}
    sources = [("registry", 0, registry_log), *(("events", number, records) for number, records in log.items())]
    for name, number, records in sources:
        changes, fold = Changes(), fold_of(name, len(log))
        for commit in accepted(name, number, records):
            for nth, event in enumerate(commit.events):
                fold(changes, event, Place(number, commit.seq, commit.seq - 1, commit.at), nth)
        for form, rows_of in FORMS:
            rows = [_row(form.columns, row) for row in rows_of(changes).values() if row]
            found[form.table] = sorted([*found.get(form.table, []), *rows])
    return found


def _row(columns: Sequence[str], row: Patch) -> str:
    kept = {name: _cell(value) for name, value in zip(columns, row, strict=True) if name not in _PLACES}
    return str(kept)


def _cell(value: object) -> object:
    return _AN_ID.sub(r"\1", value) if isinstance(value, str) else value


def audited(log: Log, registry_log: Sequence[bytes], epoch: int) -> Totals:
    registry, moves, totals = Registry(), defaultdict[str, list[Moved]](list), Totals()
    for commit in accepted("registry", 0, registry_log):
        for event in commit.events:
            if isinstance(event, definition.Event):
                evolve_registry(registry, event, Micros(commit.at))
                for job_id, moved in moves_of(event, commit.seq, commit.at):
                    moves[job_id].append(moved)
    for number, records in log.items():
        partition = PartitionAudit(number, epoch, registry, moves, totals)
        for commit in accepted("events", number, records):
            partition.feed(commit, commit.events)
        partition.end()
    totals.count_forwards()
    return totals


def started(log: Log) -> list[execution.Started]:
    return [
        event
        for number, records in log.items()
        for commit in accepted("events", number, records)
        for event in commit.events
        if isinstance(event, execution.Started)
    ]

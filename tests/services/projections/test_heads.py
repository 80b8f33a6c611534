"""What nothing follows in the log: a last commit that was changed, or is gone, is found by what the tables remember."""

import json
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.core.audit_saved import SAVED_VERSION, SavedAudit, SavedPartition, SavedTables
from ledger.core.chain import Head
from ledger.kafka.log_reader import walk
from ledger.kafka.opening import check_identity
from ledger.kafka.topics import apply
from projections.audit import audit
from projections.builtin import TABLES
from projections.rebuild import rebuild
from tests.services.conftest import run
from tests.services.log.command import jobledger
from tests.services.log.writing import append_all
from tests.services.projections.conftest import Logs
from tests.synthetic_log import pause_events, registry_events, varied_lives
from tests.unit.log.chains import rewritten, stored

DAMAGES = ("its last commit was changed", "its last commit is gone", "its last but one was changed", "nothing")


@pytest.fixture
def damaged(logs: Logs) -> tuple[Settings, list[int]]:
    """A copy of a log that was folded into tables, each partition damaged at its end in another way; how many records each had."""
    logs.registry.fill([*registry_events(), *pause_events()])
    for partition in range(len(DAMAGES)):
        logs.fill(partition, varied_lives(60, partition, seed=partition), per_commit=20)
    run(logs.send())
    run(rebuild(logs.settings))
    copy = logs.settings.model_copy(update={"prefix": f"{logs.settings.prefix}-copy"})
    run(apply(copy))
    records = {place: list(log.records) for place, log in logs.of.items()}
    for partition, damage in enumerate(DAMAGES):
        one = records["events", partition]
        match damage:
            case "its last commit was changed":
                one[-1] = rewritten(one[-1], events=())
            case "its last commit is gone":
                del one[-1]
            case "its last but one was changed":
                one[-2] = rewritten(one[-2], events=())
    run(append_all(copy, records))
    return copy, [logs.events(partition).seq for partition in range(len(DAMAGES))]


def of_the_second_commits(settings: Settings, logs: Logs) -> SavedAudit:
    """As an audit left it that found nothing up to there."""
    heads = [walk(Head("events", number), stored(logs.events(number).records[:2])).head for number in range(len(DAMAGES))]
    partitions = [SavedPartition(head, 1, 1, {}, [], [], {}) for head in heads]
    tables = SavedTables(settings.database.table_schema, TABLES.version, [])
    return SavedAudit(SAVED_VERSION, run(check_identity(settings)).log_id, 0, {}, {}, [], [], partitions, tables)


def test_a_changed_and_a_missing_last_commit_are_found(damaged: tuple[Settings, list[int]], logs: Logs, tmp_path: Path) -> None:
    settings, lengths = damaged
    found = jobledger(settings, tmp_path, "ledger", "verify", "-o", "json")
    assert found.returncode == 7, found.stderr
    partitions = json.loads(found.stdout)["partitions"]
    assert [one["offset"] for one in partitions] == [lengths[0] - 1, lengths[1] - 1, lengths[2] - 2, None, None]
    assert [one["vouched"] for one in partitions[3:]] == [one["seq"] for one in partitions[3:]]
    assert "altered or replaced" in partitions[0]["broken"]
    assert "its end is gone" in partitions[1]["broken"]
    gone_on = run(audit(settings, since=of_the_second_commits(settings, logs)))
    assert gone_on.checks[0].named == tuple(
        f"events[{number}] at offset {one['offset']}: {one['broken']}" for number, one in enumerate(partitions[:3])
    )
    without = jobledger(settings, tmp_path, "ledger", "verify", "--no-tables", "-o", "json")
    assert [one["offset"] for one in json.loads(without.stdout)["partitions"]] == [None, None, lengths[2] - 1, None, None]

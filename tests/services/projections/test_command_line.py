"""`jobledger db` and `jobledger projections`: what they print, and how they exit."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.kafka.opening import LogIdentity
from projections.connecting import connect
from tests import forked
from tests.services.conftest import run
from tests.services.projections.conftest import Logs
from tests.services.projections.test_consumer import environment_of
from tests.synthetic_log import registry_events, varied_lives

Jobledger = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def jobledger(settings: Settings, opened: LogIdentity, tmp_path: Path) -> Jobledger:
    config = tmp_path / "jobledger.yaml"
    config.write_text("{}\n")
    environment = {**environment_of(settings), "JOBLEDGER_CONFIG": str(config)}

    def call(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return forked.run("ledger.cli", *words, cwd=tmp_path, env={**environment, **more}, timeout=60)

    return call


def test_from_no_tables_to_verified_ones(jobledger: Jobledger, settings: Settings, opened: LogIdentity) -> None:
    missing = jobledger("projections", "verify")
    assert (missing.returncode, "jobledger db upgrade" in missing.stderr) == (1, True)
    behind = jobledger("db", "status")
    assert (behind.returncode, "pending 0001" in behind.stdout) == (7, True)
    document = json.loads(jobledger("db", "status", "-o", "json").stdout)
    assert (document["schema"], document["current"], document["pending"][0][:4]) == (settings.database.table_schema, None, "0001")
    assert "would run 0001" in jobledger("db", "upgrade", "--plan").stdout
    assert "ran 0001" in jobledger("db", "upgrade").stdout
    assert "nothing to do" in jobledger("db", "upgrade").stdout
    assert jobledger("db", "status").returncode == 0

    logs = Logs(settings, opened)
    logs.registry.fill(registry_events())
    logs.fill(0, varied_lives(20, 0, 1))
    run(logs.send())
    assert json.loads(jobledger("projections", "status", "-o", "json").stdout)[0]["behind"] == 2

    rebuilt = jobledger("projections", "rebuild", "-o", "json")
    assert (rebuilt.returncode, json.loads(rebuilt.stdout)["records"]) == (0, sum(len(log.records) for log in logs.of.values()))
    verified = jobledger("projections", "verify")
    assert (verified.returncode, verified.stdout.startswith("0 differences in ")) == (0, True)
    assert "the new tables stand beside" in jobledger("projections", "rebuild", "tables", "--version", "2", "--no-swap").stdout
    standing = jobledger("projections", "status")
    assert "events[0]  commit" in standing.stdout and "tables .._next of version 2 stand beside" in standing.stderr
    assert "job_executions_next" in jobledger("projections", "drop").stdout

    with connect(settings) as connection:
        connection.execute(f'DELETE FROM "{settings.prefix}".job_versions WHERE job_version = 2'.encode())
    found = jobledger("projections", "verify")
    assert found.returncode == 7
    assert "job_versions ('tidy', 2): expected {" in found.stdout
    assert "found 'no row' (event registry[0] seq 2 index 8 at offset 1)" in found.stdout
    assert "1 differences in" in found.stdout
    assert "jobledger projections rebuild" in found.stderr


@pytest.mark.parametrize("words", [("projections", "status"), ("audit", "--full")])
def test_a_server_that_is_away_is_told_in_one_line(jobledger: Jobledger, words: tuple[str, ...]) -> None:
    ended = jobledger(*words, JOBLEDGER_DATABASE__URL="postgresql://u@127.0.0.1:9/x")
    assert ended.returncode == 5
    [line] = [line for line in ended.stderr.splitlines() if not line.startswith("reading: ")]
    assert line.startswith("error: Postgres does not answer at 127.0.0.1:9/x"), line

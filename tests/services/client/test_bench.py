"""The benchmark says what it measured, waits for what it started, and leaves nothing behind."""

import signal
import subprocess
import time
from pathlib import Path

import psycopg
from msgspec import json

from ledger.cli.errors import INTERRUPTED
from ledger.cli.measuring.result import Result
from ledger.config import Settings
from projections.connecting import conninfo_of
from tests.services.client.conftest import PROGRAM, System, write_settings

PATIENCE = 60.0


def children_of(pid: int) -> set[Path]:
    return {Path("/proc") / child for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def schemas(settings: Settings) -> set[str]:
    with psycopg.connect(conninfo_of(settings)) as connection:
        return {name for (name,) in connection.execute("select nspname from pg_namespace where nspname like 'bench%'").fetchall()}


def test_a_benchmark_that_is_asked_to_end_takes_its_processes_and_tables_with_it(settings: Settings, tmp_path: Path) -> None:
    write_settings(tmp_path, settings)
    others = schemas(settings)
    command = [*PROGRAM, "bench", "latency", "--runs", "100"]
    with subprocess.Popen(command, cwd=tmp_path, env=System(tmp_path, settings).environment, stderr=subprocess.DEVNULL) as bench:
        deadline = time.monotonic() + PATIENCE
        while len(started := children_of(bench.pid)) < 3:
            assert bench.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        assert schemas(settings) - others
        bench.send_signal(signal.SIGTERM)
        assert bench.wait(PATIENCE) == INTERRUPTED
    assert not any(child.exists() for child in started)
    assert schemas(settings) == others


def test_its_figures_come_as_one_json_object_and_its_talk_beside_them(settings: Settings, tmp_path: Path) -> None:
    write_settings(tmp_path, settings)
    others = schemas(settings)
    command = [*PROGRAM, "bench", "latency", "--runs", "3", "--count", "20", "-o", "json"]
    environment = System(tmp_path, settings).environment
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=PATIENCE, check=True)
    measured = json.decode(said.stdout, type=Result)
    assert (measured.metric, measured.unit, len(measured.runs)) == ("latency", "ms", 3)
    assert measured.median == sorted(measured.runs)[1] and measured.more["p99"] >= measured.median > 0
    assert said.stderr.count(b"run ") == 3
    assert schemas(settings) == others

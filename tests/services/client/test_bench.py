"""The benchmark leaves nothing behind."""

import signal
import subprocess
import time
from pathlib import Path

import psycopg

from ledger.cli.errors import INTERRUPTED
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

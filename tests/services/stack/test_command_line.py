"""`jobledger stack`, as a person at a terminal uses it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psycopg
import pytest

from ledger.stack import Running
from ledger.stack.layout import Layout
from tests.services.stack.processes import ROOT, nothing_left, until


def argv(command: str, directory: Path, *options: str) -> list[str]:
    return [sys.executable, "-c", "from ledger.cli.main import main; main()", "stack", command, "--dir", str(directory), *options]


def stack(command: str, directory: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv(command, directory, *options), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_start_use_and_stop_in_the_background(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    started = stack("start", folder, "--fast")
    assert (started.returncode, started.stdout) == (0, ""), started.stderr
    assert re.search(r"^kafka 4\.3\.1 is ready \(\d+\.\d s\)$", started.stderr, re.MULTILINE)
    told = msgspec.json.decode(stack("status", folder, "-o", "json").stdout)
    pids = {server["name"]: server["pid"] for server in told["servers"]}
    try:
        assert told["state"] == "running" and set(pids) == {"kafka", "valkey", "postgres"}
        assert stack("status", folder).stdout.splitlines()[0].split() == ["NAME", "VERSION", "PID", "SECONDS", "TO", "READY", "ADDRESS"]
        second = stack("start", folder)
        assert second.returncode == 4
        assert f"is running already (keeper: pid {told['keeper']})" in second.stderr
        lines = stack("env", folder).stdout.splitlines()
        exported = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        assert list(exported) == ["JOBLEDGER_KAFKA__BOOTSTRAP", "JOBLEDGER_REDIS__URL", "JOBLEDGER_DATABASE__URL"]
        with psycopg.connect(exported["JOBLEDGER_DATABASE__URL"]) as connection:
            assert connection.execute("show timezone").fetchone() == ("UTC",)
    finally:
        stopped = stack("stop", folder)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "", "stopped\n")
    nothing_left(folder, pids, 0.1)
    assert stack("status", folder).returncode == 3


def test_in_the_background_the_end_of_a_server_is_found_in_the_keeper_s_log(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    assert stack("start", folder, "--fast").returncode == 0
    told = msgspec.json.decode(stack("status", folder, "-o", "json").stdout)
    pids = {server["name"]: server["pid"] for server in told["servers"]}
    running = Running.find(folder)
    assert running and running.ended is None
    os.kill(pids["kafka"], signal.SIGKILL)
    nothing_left(folder, pids)
    assert str(running.ended) == f"The stack in {folder} has ended. See {folder}/keeper.log."
    assert "kafka was killed by signal 9. Its log " in (folder / "keeper.log").read_text()
    after = stack("status", folder)
    assert (after.returncode, after.stderr) == (3, f"the stack in {folder} is stopped\n")


def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "s")
    with subprocess.Popen(
        argv("start", layout.directory), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as starting:
        until(layout.pids.exists, "a server is started")
        os.killpg(starting.pid, signal.SIGINT)
        starting.communicate(timeout=20)
    assert starting.returncode == 130
    nothing_left(layout.directory, {}, 0.1)


@pytest.mark.parametrize(("command", "code"), [("stop", 0), ("status", 3), ("env", 3)])
def test_where_nothing_runs(tmp_path: Path, command: str, code: int) -> None:
    found = stack(command, tmp_path)
    assert (found.returncode, found.stdout) == (code, "")
    assert str(tmp_path) in found.stderr

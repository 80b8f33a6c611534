"""Whoever is killed, however: no server outlives its keeper, and no keeper its parent."""

import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from ledger.stack import Stack
from ledger.stack.jars import cache_folder
from ledger.stack.layout import Layout
from tests.services.stack.processes import end, nothing_left, parent, pids_of, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no death signal: leftovers are ended by the next start")


def test_ctrl_c_of_the_parent(tmp_path: Path) -> None:
    with parent(tmp_path / "s") as process:
        pids = pids_of(process)
        assert set(pids) == {"keeper", "kafka", "valkey", "postgres"}
        end(process, signal.SIGINT)
        nothing_left(tmp_path / "s", pids, 1.0)


def test_kill_9_of_a_parent_that_has_neither_home_nor_path(tmp_path: Path) -> None:
    bare = {"JOBLEDGER_CACHE": str(cache_folder(os.environ, tmp_path))}
    with parent(tmp_path / "s", environment=bare) as process:
        pids = pids_of(process)
        end(process, signal.SIGKILL)
        nothing_left(tmp_path / "s", pids)


@linux
def test_kill_9_of_the_keeper(tmp_path: Path, stack: Stack) -> None:
    with parent(tmp_path / "s", stack.kafka) as process:
        pids = pids_of(process)
        os.kill(pids["keeper"], signal.SIGKILL)
        nothing_left(tmp_path / "s", pids)


@linux
def test_kill_9_of_parent_and_keeper_at_once(tmp_path: Path, stack: Stack) -> None:
    with parent(tmp_path / "s", stack.kafka) as process:
        pids = pids_of(process)
        os.kill(pids["keeper"], signal.SIGKILL)
        end(process, signal.SIGKILL)
        nothing_left(tmp_path / "s", pids)


@pytest.mark.parametrize("server", ["valkey", "postgres"])
def test_kill_9_of_a_server_ends_the_others_and_says_why(tmp_path: Path, stack: Stack, server: str) -> None:
    said: list[str] = []
    with Stack.start(tmp_path / "s", kafka=stack.kafka, on_progress=said.append) as own:
        assert own.ended is None
        os.kill(own.pids[server], signal.SIGKILL)
        nothing_left(tmp_path / "s", own.pids)
        until(lambda: own.failure is not None, "the failure is told")
        assert own.failure and str(own.ended) == own.failure.message
        assert f"{server} was killed by signal 9. Its log {tmp_path}/s/{server}/{server}.log says: " in own.failure.message
        assert said[-1] == own.failure.message


@linux
@pytest.mark.parametrize("victim", ["parent", "keeper"])
def test_kill_9_during_the_first_start(tmp_path: Path, victim: str) -> None:
    """As soon as the first server runs: the others are being made."""
    layout = Layout(tmp_path / "s")
    with parent(layout.directory) as process:
        until(layout.pids.exists, "a server is started")
        servers = msgspec.json.decode(layout.pids.read_bytes(), type=dict[str, str])
        keeper = int(layout.lock.read_text())
        os.kill(keeper if victim == "keeper" else process.pid, signal.SIGKILL)
        nothing_left(layout.directory, {"keeper": keeper} | {name: int(pid) for pid, name in servers.items()}, 15.0)

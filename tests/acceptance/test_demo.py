"""`make demo`'s program: again and again, and after a `kill -9` in its middle; it leaves no process behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "demo.py"
MARK = "DEMO_OF_A_TEST"
PATIENCE = 170.0  # seconds for a run; the first one on a machine fetches the jars
ENDING = 20.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc, and only Linux has death signals")


class Runs:
    """Runs of the demo in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = f"{MARK}={uuid4().hex}"
        name, value = self._mark.split("=")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBLEDGER_") or name == "JOBLEDGER_CACHE"}
        self._environment = {**kept, name: value, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}

    def begin(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(DEMO)],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def whole(self) -> str:
        """A run to its end; what it said."""
        run = self.begin()
        try:
            said, _ = run.communicate(timeout=PATIENCE)
        finally:
            run.kill()
        assert run.returncode == 0, said
        return said

    def killed_when_it_says(self, words: str) -> dict[int, str]:
        """What ran at that moment."""
        run = self.begin()
        assert run.stdout is not None
        try:
            read_until(run.stdout, words)
            return self.left()
        finally:
            run.send_signal(signal.SIGKILL)
            run.wait()
            run.stdout.close()

    def left(self) -> dict[int, str]:
        """The processes of the runs: they inherited the mark, or work in the folder."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                ours = self._mark.encode() in (process / "environ").read_bytes().split(b"\0")
                if command and (ours or (process / "cwd").readlink().is_relative_to(self._folder)):
                    found[int(process.name)] = command
            except OSError:  # it ended meanwhile
                continue
        return found

    def nothing_is_left(self) -> None:
        deadline = time.monotonic() + ENDING
        while left := self.left():
            assert time.monotonic() < deadline, f"still there after {ENDING:g} s: {left}"
            time.sleep(0.1)  # between two looks, with a deadline


def read_until(words_of: IO[str], words: str) -> str:
    said = ""
    for line in words_of:
        said += line
        if words in line:
            return said
    pytest.fail(f"it ended before it said {words!r}:\n{said}")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def has_proved_itself(said: str) -> bool:
    return re.search(r"^\s*0 differences in [1-9]", said, re.MULTILINE) is not None


@pytest.mark.slow
def test_after_a_kill_in_the_middle_it_begins_again_at_once(runs: Runs) -> None:
    ran = "\n".join(runs.killed_when_it_says("accepted as ").values())
    for part in ("demo.py", "ledger.stack.keeper", "kafka.Kafka", "valkey-server", "postgres", "processors.control", "projections run"):
        assert part in ran
    assert ran.count("processors.runner") == 2
    assert has_proved_itself(runs.whole())
    runs.nothing_is_left()


@pytest.mark.slow
def test_twice_in_a_row(runs: Runs) -> None:
    for _ in range(2):
        assert has_proved_itself(runs.whole())
        assert runs.left() == {}


@pytest.mark.slow
@pytest.mark.parametrize("words", ["Servers", "topics and tables are there", "A worker is killed", "The tables are thrown away"])
def test_a_kill_at_any_moment_leaves_nothing_behind(runs: Runs, words: str) -> None:
    assert runs.killed_when_it_says(words)
    runs.nothing_is_left()

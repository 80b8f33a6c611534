"""A program that was forked is one of its own, as if a shell had started it."""

import os
import subprocess
from pathlib import Path

import pytest

from ledger.version import __version__
from tests import forked


def test_its_words_input_output_and_exit_code_are_its_own(tmp_path: Path) -> None:
    said = forked.run("ledger.cli", "--version", cwd=tmp_path, env=os.environ, timeout=60)
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{__version__}\n", "")
    read = forked.run("json.tool", "--compact", cwd=tmp_path, env=os.environ, input='{"a": [1]}', timeout=60)
    assert (read.returncode, read.stdout) == (0, '{"a":[1]}\n')
    refused = forked.run("json.tool", cwd=tmp_path, env=os.environ, input="{", timeout=60)
    assert refused.returncode == 1 and refused.stderr.startswith("Expecting")


def test_its_folder_and_environment_are_those_that_were_given(tmp_path: Path) -> None:
    program = "import os, sys\nprint(os.getcwd(), sorted(os.environ), os.getppid())\nsys.exit(int(os.environ['CODE']))\n"
    (tmp_path / "mine.py").write_text(program)
    ended = forked.run("mine", cwd=tmp_path, env={"CODE": "7"}, timeout=60)
    assert (ended.returncode, ended.stdout) == (7, f"{tmp_path} ['CODE'] {forked.parent()}\n")


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_it_is_awaited_and_killed_by_its_pid(tmp_path: Path, end: str) -> None:
    endless = forked.start("http.server", "--bind", "127.0.0.1", "0", cwd=tmp_path, env=os.environ)
    assert endless.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        endless.wait(0.01)
    getattr(endless, end)()
    assert endless.wait(30) in (-9, -15)
    endless.kill()  # does nothing: its pid may be another's by now
    assert endless.poll() == endless.returncode

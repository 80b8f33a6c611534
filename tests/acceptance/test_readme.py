"""The README's tour, run as it is written: each command in one shell, its output against what is shown (`...` stands for anything)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START, STEP = 150.0, 90.0  # seconds


def tour() -> list[tuple[str, list[str]]]:
    """The commands of the block behind `<!-- tour -->`, with the lines that are shown after each."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- tour -->\n```console\n(.*?)```", text, re.DOTALL)
    assert block is not None
    steps: list[tuple[str, list[str]]] = []
    for line in block.group(1).splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def matches(shown: list[str], output: str) -> bool:
    lines = [r"\s+".join(re.escape(word).replace(re.escape("..."), ".*") for word in line.split()) for line in shown]
    return re.fullmatch(r"\s*\n\s*".join(lines).replace(r"\s+.*\s+", r"\s.*\s"), output.strip(), re.DOTALL) is not None


@pytest.fixture
def environment() -> dict[str, str]:
    here = {name: value for name, value in os.environ.items() if not name.startswith("JOBLEDGER_") or name == "JOBLEDGER_CACHE"}
    return {**here, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{here.get('PATH', '')}", "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The quickstart, with `jobledger dev` running in it."""
    project = tmp_path / "quickstart"
    shutil.copytree(ROOT / "examples" / "quickstart", project, ignore=shutil.ignore_patterns(".jobledger", "__pycache__"))
    with (tmp_path / "dev.log").open("wb") as words:
        dev = subprocess.Popen(["jobledger", "dev"], cwd=project, env=environment, stdout=words, stderr=words, stdin=subprocess.DEVNULL)
    try:
        yield project
    except BaseException:
        print((tmp_path / "dev.log").read_text(errors="replace"))
        raise
    finally:
        dev.send_signal(signal.SIGINT)
        assert dev.wait(60) in (0, 130)
    print((tmp_path / "dev.log").read_text(errors="replace")[-20_000:])


def run(project: Path, environment: dict[str, str], *commands: str) -> subprocess.CompletedProcess[str]:
    script = "\n".join(("set -e", *commands))
    return subprocess.run(["bash", "-c", script], cwd=project, env=environment, capture_output=True, text=True, timeout=STEP, check=False)


def test_the_tour_shows_what_the_readme_says(project: Path, environment: dict[str, str]) -> None:
    (setting_up, _), *steps = tour()
    until_the_jobs_are_there(project, environment, setting_up)
    for command, shown in steps:
        done = run(project, environment, setting_up, command)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        assert matches(shown, done.stdout), f"$ {command}\n{done.stdout}\nexpected\n" + "\n".join(shown)


def until_the_jobs_are_there(project: Path, environment: dict[str, str], setting_up: str) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if "heartbeat" in run(project, environment, setting_up, "jobledger jobs list").stdout:
            return
        time.sleep(0.5)  # between two looks, with a deadline
    pytest.fail(f"`jobledger dev` was not ready within {START:g} s")


@pytest.mark.parametrize(
    ("shown", "output", "as_expected"),
    [
        (["a ... c"], "a b b c\n", True),
        (["a", "...", "c"], "a\nx\ny\nc", True),
        (["a   b"], "a b", True),
        (["a"], "b", False),
        (["1.5"], "1x5", False),
    ],
)
def test_dots_stand_for_anything_and_spaces_for_spaces(shown: list[str], output: str, as_expected: bool) -> None:
    assert matches(shown, output) is as_expected

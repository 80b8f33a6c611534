"""The benchmark of the runner by itself goes with the runner: it stands beside the package, where no import would miss it."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench" / "runner.py"


@pytest.mark.parametrize("how", [(), ("--thread",)], ids=["in tasks", "in threads"])
def test_the_bench_of_the_runner_tells_what_an_execution_costs(how: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, BENCH, "--count", "400", *how], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("400 executions in ")
    assert done.stdout.endswith(" 0 offers given back\n")

"""What code of users prints."""

import os
import subprocess
import sys

import pytest

SAYS = "import os, sys; from processors import prints; prints.let_go()"


@pytest.mark.parametrize("word", ["print('one')", "print('one', file=sys.stderr)"])
def test_a_line_is_written_at_once(word: str) -> None:
    """Its process may be killed before it comes to its end."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{SAYS}; {word}; os._exit(0)"], capture_output=True, check=True, timeout=30, env=buffered()
    )
    assert ended.stdout + ended.stderr == b"one\n"


def test_a_line_that_nobody_reads_is_no_error_of_the_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = f"{SAYS}; print('x' * 100_000); print('two', file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=writing, check=False, timeout=30, env=buffered())
    os.close(writing)
    assert ended.returncode == 0


def buffered() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

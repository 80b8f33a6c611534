"""The program itself: quick, without tracebacks, with the right exit code whatever happens."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from ledger.cli.errors import exit_code_of, message_of
from ledger.cli.main import ENTRIES, command_in
from ledger.core.refusal import Conflict, Misconfigured, Undecodable, Unfit

PROGRAM = (sys.executable, "-c", "from ledger.cli.main import main; main()")
NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is a device of Linux")


def run(*arguments: str, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    here = {name: value for name, value in os.environ.items() if not name.startswith("JOBLEDGER_")}
    return subprocess.run([*PROGRAM, *arguments], cwd=cwd, env={**here, **env}, capture_output=True, text=True, timeout=60)


def test_help_lists_every_command_and_loads_none_of_them(tmp_path: Path) -> None:
    code = "import sys; from ledger.cli.main import run; run(['--help']); print({'aiokafka', 'psycopg', 'faust'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.stdout.endswith("set()\n")
    for name in ("submit", "run", "apply", "worker", "dev", "jobs", "executions", "commands", "config"):
        assert f"  {name} " in ended.stdout


def test_the_public_package_loads_nothing_by_itself(tmp_path: Path) -> None:
    code = "import sys, ledger; print(sorted(name for name in sys.modules if name.startswith(('ledger.', 'pydantic', 'aiokafka'))))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "[]\n"


def test_every_public_name_is_there() -> None:
    import ledger

    assert set(ledger.__all__) == set(ledger._HOME_OF)
    assert all(getattr(ledger, name) is not None for name in ledger.__all__)
    with pytest.raises(AttributeError):
        ledger.nosuch  # noqa: B018  # asking is the test


def test_the_version(tmp_path: Path) -> None:
    from ledger.version import __version__

    assert run("--version", cwd=tmp_path).stdout == f"{__version__}\n"


def test_without_a_file_it_says_so(tmp_path: Path) -> None:
    ended = run("jobs", "list", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: there is no jobledger.yaml in ")
    assert "Traceback" not in ended.stderr


def test_the_file_may_be_named_before_the_command(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("prefix: other\n")
    assert run("--config", "other.yaml", "config", "show", cwd=tmp_path).stdout.startswith("prefix: other\n")


def test_what_an_error_names_does_not_steer_the_terminal(tmp_path: Path) -> None:
    assert (
        run("--config", "a\x1b[31mx", "jobs", "list", cwd=tmp_path).stderr
        == "error: there is no file a\\x1b[31mx (named by --config or JOBLEDGER_CONFIG)\n"
    )


def test_a_reader_of_stderr_that_left_does_not_end_a_command(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    ended = subprocess.run([*PROGRAM, "stack", "status"], cwd=tmp_path, stderr=theirs, timeout=60)
    os.close(theirs)
    assert ended.returncode == 3  # nothing runs there


@pytest.mark.parametrize("end", ["2>&-", pytest.param("2>/dev/full", marks=NEEDS_FULL)])
def test_where_stderr_takes_nothing_a_command_does_its_work_and_ends_as_it_would(tmp_path: Path, end: str) -> None:
    program = f'exec "$0" -c "from ledger.cli.main import main; main()" {{}} {end}'
    codes = {
        command: subprocess.run(["bash", "-c", program.format(command), sys.executable], cwd=tmp_path, timeout=60).returncode
        for command in ("stack status", "jobs list --nosuch", "--config nosuch.yaml jobs list")
    }
    assert codes == {"stack status": 3, "jobs list --nosuch": 2, "--config nosuch.yaml jobs list": 1}  # nothing runs there


def test_the_state_of_a_stack_is_told_in_a_folder_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"a\xff")
    folder.mkdir()
    ended = run("stack", "status", "-o", "json", cwd=folder)
    assert (ended.returncode, json.loads(ended.stdout)["directory"]) == (3, f"{tmp_path}/a\\xff/.jobledger")


def test_settings_and_handlers_are_compared(tmp_path: Path) -> None:
    (tmp_path / "jobledger.yaml").write_text("app: jobs:jobs\njobs: [{name: a}]\n")
    (tmp_path / "jobs.py").write_text("from ledger import Jobs\njobs = Jobs()\n@jobs.job('b')\ndef b() -> None: ...\n")
    ended = run("config", "check", cwd=tmp_path)
    assert ended.returncode == 1
    assert "`jobs` names 'a', but no handler is called so" in ended.stderr
    (tmp_path / "jobledger.yaml").write_text("app: jobs:jobs\njobs: [{name: b}]\n")
    ended = run("config", "check", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "1 jobs, 0 system jobs, 1 handlers: they fit together\n")


@pytest.mark.parametrize("command", ["submit a", "jobs list", "bench e2e"])
def test_a_server_that_is_away_is_told_with_its_address(tmp_path: Path, command: str) -> None:
    (tmp_path / "jobledger.yaml").write_text("jobs: [{name: a}]\n")
    away = {
        "JOBLEDGER_REDIS__URL": "redis://127.0.0.1:9/0",
        "JOBLEDGER_KAFKA__BOOTSTRAP": "127.0.0.1:9",
        "JOBLEDGER_DATABASE__URL": "postgresql://u:hunter2@127.0.0.1:9/x",
    }
    ended = run(*command.split(), cwd=tmp_path, **away)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert "127.0.0.1:9" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (rb"jobs show $'\xff'", r"the argument b'\xff' is no UTF-8"),
        (b"jobs list >&-", "stdout is closed"),
        (b"submit a --data - <&-", "it is no JSON"),
    ],
)
def test_what_no_command_can_work_with_is_a_usage_error(tmp_path: Path, command: bytes, words: str) -> None:
    program = b'exec "$0" -c "from ledger.cli.main import main; main()" '
    ended = subprocess.run(["bash", "-c", program + command, sys.executable], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr


@NEEDS_FULL
@pytest.mark.parametrize("written", ["sys.stdout.write('x')", "sys.stdout.write('x' * 100_000)", "sys.stdout.buffer.write(b'x')"])
def test_a_full_disk_at_stdout_is_said_in_words(tmp_path: Path, written: str) -> None:
    code = f"import sys; from ledger.cli.main import run; sys.exit(run(['--version'], lambda: ({written}, sys.exit(0))))"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended.stderr
    assert ended.stderr.startswith("error: what is written has no room: No space left on device")


@pytest.mark.parametrize("command", [("submit", "--many", "-"), ("jobs", "schedule", "--many", "-")])
def test_who_waits_for_stdin_can_be_interrupted(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "jobledger.yaml").write_text("jobs: [{name: a}]\n")
    with subprocess.Popen([*PROGRAM, *command], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
        deadline = time.monotonic() + 30
        while fcntl.ioctl(one.stdin, termios.FIONREAD, b"\0" * 4) != b"\0" * 4:  # until it has read that
            assert one.poll() is None and time.monotonic() < deadline
        one.send_signal(signal.SIGINT)
        try:
            assert one.wait(timeout=20) == 130
        finally:
            one.kill()


def test_an_interrupt_is_130_and_no_traceback() -> None:
    assert (exit_code_of(KeyboardInterrupt()), message_of(KeyboardInterrupt())) == (130, "interrupted")


def test_the_command_is_the_first_word_that_is_no_option() -> None:
    assert command_in(["-c", "file", "jobs", "list"]) == "jobs"
    assert command_in(["--help"]) is None
    assert command_in([]) is None
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


def test_who_has_to_act_decides_the_exit_code() -> None:
    assert exit_code_of(Conflict("drift")) == 4
    assert exit_code_of(Unfit("unknown_state", "x")) == 2
    assert exit_code_of(Misconfigured("x")) == 1
    assert exit_code_of(Undecodable("x", "y")) == 1
    assert exit_code_of(ZeroDivisionError("x")) == 1
    assert message_of(ZeroDivisionError("x")).startswith("internal error: ZeroDivisionError: x\nplease report it")


def test_dev_finds_settings_that_were_named_from_where_it_was_called(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "own.yaml").write_text("app: nosuch:jobs\n")
    ended = run("-c", "own.yaml", "dev", "project", cwd=tmp_path)
    assert (ended.returncode, "there is no module 'nosuch'" in ended.stderr) == (1, True)

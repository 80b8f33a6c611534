"""What a supervisor knows of the processes that it keeps: which run, how often they came back, what their watchdogs say."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from processors.pulse import EXIT_DRAINED, PULSE_FD, Pulse, tell_nobody, to_supervisor
from processors.supervisor import Part, Supervisor, parts
from processors.watchdog import EXIT_STUCK

TELLS = (
    "import os, sys, time; from processors.pulse import Pulse, to_supervisor; tell = to_supervisor(os.environ);"
    "tell(Pulse(False)); tell(Pulse(True, 0.1)); time.sleep(60)"
)


@asynccontextmanager
async def supervising(code: str) -> AsyncIterator[Supervisor]:
    """A supervisor of one process, `part`, that runs this."""
    supervisor = Supervisor(
        [Part("part", (sys.executable, "-c", code))], {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, grace=10.0
    )
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        supervisor.stop()
        await running


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # the supervisor tells nobody of a pulse
            await asyncio.sleep(0.01)


async def test_a_process_is_ready_when_it_says_so() -> None:
    async with supervising(TELLS) as supervisor:
        child = supervisor.children["part"]
        assert not child.is_ready
        await until(lambda: child.is_ready)
        assert child.pulse == Pulse(True, 0.1)
        assert (child.restarts, child.last_code) == (0, None)
    assert child.pid is None
    assert not child.is_ready


async def test_what_the_watchdog_ended_is_counted_and_comes_back() -> None:
    async with supervising(f"import os; os._exit({EXIT_STUCK})") as supervisor:
        child = supervisor.children["part"]
        await until(lambda: child.restarts >= 1 and child.ended_by_watchdog >= 2)
        assert child.last_code == EXIT_STUCK


async def test_what_cannot_be_started_is_tried_again_and_the_others_go_on(tmp_path: Path) -> None:
    late = tmp_path / "late"
    sleep = (sys.executable, "-c", "import time; time.sleep(60)")
    supervisor = Supervisor([Part("late", (str(late),)), Part("other", sleep)], {}, grace=10.0)
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: supervisor.children["late"].restarts >= 1)
        other = supervisor.children["other"].pid
        assert other is not None
        late.symlink_to("/bin/cat")
        await until(lambda: supervisor.children["late"].last_code == 0)  # its input is empty
        assert supervisor.children["other"].pid == other
    finally:
        supervisor.stop()
        assert await running == 0


async def test_what_was_drained_does_not_come_back_and_without_a_part_left_it_ends() -> None:
    async with supervising(f"import os; os._exit({EXIT_DRAINED})") as supervisor:
        child = supervisor.children["part"]
        await until(lambda: child.last_code == EXIT_DRAINED and child.pid is None)
    assert child.restarts == 0


@pytest.fixture
def nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("nohup")
async def test_under_nohup_it_goes_on_when_its_terminal_is_gone() -> None:
    async with supervising(TELLS) as supervisor:
        child = supervisor.children["part"]
        await until(lambda: child.pid is not None)
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(child.pid or 0, signal.SIGKILL)
        await until(lambda: child.restarts == 1)
        assert not supervisor.is_stopping


FINISHES = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(not os.write(2, b"finished")))
os.write(2, b"runs ")
time.sleep(60)
"""
HUNG_UP = f"""
import asyncio, os, sys
from processors.supervisor import Part, Supervisor
asyncio.run(Supervisor([Part("part", (sys.executable, "-c", {FINISHES!r}))], dict(os.environ), grace=10.0).run())
"""


def test_what_it_supervises_finishes_when_their_terminal_is_gone() -> None:
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HUNG_UP]
    with subprocess.Popen(command, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True) as supervisor:
        assert supervisor.stderr is not None and supervisor.stderr.read(5) == b"runs "
        os.killpg(supervisor.pid, signal.SIGHUP)
        assert supervisor.communicate(timeout=20)[1] == b"finished"


async def test_the_watchdog_of_a_control_process_is_at_work_before_any_server_answers(tmp_path: Path) -> None:
    """Faust's own command line starts it by a signal; our way in has to."""
    (tmp_path / "jobledger.yaml").write_text("kafka: {bootstrap: '127.0.0.1:1'}")
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JOBLEDGER_CONFIG": str(tmp_path / "jobledger.yaml")}
    supervisor = Supervisor(parts(queues=[], only="control"), here, grace=10.0)
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: supervisor.children["control"].pulse is not None)
        assert not supervisor.children["control"].is_ready
    finally:
        supervisor.stop()
        await running


async def test_no_pipe_is_left_behind() -> None:
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208  # names alone
    async with supervising("pass") as supervisor:
        await until(lambda: supervisor.children["part"].restarts >= 2)
    with suppress(TimeoutError):
        await until(lambda: len(os.listdir("/dev/fd")) <= before + 1)  # noqa: PTH208
    assert len(os.listdir("/dev/fd")) <= before + 1  # noqa: PTH208  # the loop may keep one for its signals


@pytest.mark.parametrize("number", ["", "x", "0x3", "99999"])
def test_a_process_without_a_supervisor_tells_nobody(number: str) -> None:
    environ = {PULSE_FD: number}
    assert to_supervisor(environ) is tell_nobody
    assert environ == {}


def test_a_file_of_that_number_that_is_no_pipe_is_not_written_to() -> None:
    with open(os.devnull, "wb") as file:  # noqa: PTH123  # its number is wanted
        assert to_supervisor({PULSE_FD: str(file.fileno())}) is tell_nobody


def test_a_supervisor_that_does_not_listen_blocks_nobody() -> None:
    ours, theirs = os.pipe()
    tell = to_supervisor({PULSE_FD: str(theirs)})
    for _ in range(10_000):
        tell(Pulse(True))
    os.close(ours)
    tell(Pulse(True))
    os.close(theirs)

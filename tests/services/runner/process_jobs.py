"""CPU-bound handlers for the tests of processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import structlog

from ledger import AttemptCancelled, CallNext, Context, Exclusive, Jobs, ProcessDied, Refused, Retry, Snooze

log = structlog.get_logger(__name__)
FIRST_AT_ONCE = Retry(attempts=3, backoff="fixed", first="7ms")


async def doubled(ctx: Context, call_next: CallNext) -> object:
    value = await call_next()
    return 2 * value if isinstance(value, int) else value


jobs = Jobs()
wrapped = Jobs(middleware=[doubled])


@jobs.job("where", run_in="process")
def where(data: dict[str, int]) -> dict[str, object]:
    return {**data, "pid": os.getpid(), "parent": os.getppid()}


@jobs.job("steps", run_in="process")
def steps(ctx: Context) -> str:
    for percent in (10, 50, 90):
        ctx.progress(percent, f"{percent} of 100")
    print("a line that is printed")
    log.warning("a line of the handler's module")
    ctx.log.warning("a line of the job")
    return ctx.idempotency_key


@jobs.job("bad", run_in="process", retries=FIRST_AT_ONCE)
def bad() -> None:
    raise LookupError("no such customer")


@jobs.job("exits", run_in="process", retries=FIRST_AT_ONCE)
def exits(data: int) -> None:
    os._exit(data)


def to_the_worker() -> int:
    """The file that a handler knows nothing of."""
    return next(fd for fd in range(3, 64) if Path(f"/proc/self/fd/{fd}").is_socket())


@jobs.job("closes", run_in="process", retries=FIRST_AT_ONCE)
def closes() -> None:
    os.close(to_the_worker())


@jobs.job("babbles", run_in="process", retries=FIRST_AT_ONCE)
def babbles(data: str) -> None:
    os.write(to_the_worker(), bytes.fromhex(data))
    time.sleep(60)


@jobs.job("dies", run_in="process", retries=FIRST_AT_ONCE)
def dies() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@jobs.job("dies-for-good", run_in="process", retries=Retry(never=(ProcessDied,)))
def dies_for_good() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.job("greedy", run_in="process", retries=FIRST_AT_ONCE)
def greedy() -> int:
    return len(bytearray(8 * 1024**3))


@jobs.job("polite", run_in="process")
def polite(ctx: Context) -> None:
    ctx.progress(1, str(os.getpid()))
    while True:
        time.sleep(0.005)
        ctx.raise_if_cancelled()


@jobs.job("stubborn", run_in="process", timeout="300ms", retries=FIRST_AT_ONCE)
def stubborn(data: str | None, ctx: Context) -> None:
    """Works on, and so does what it started: both show it by a growing file, if they are told where."""
    ctx.progress(1, str(os.getpid()))
    if data is not None:
        subprocess.Popen([sys.executable, "-c", f"import time\nwhile 1: open({data + '.grandchild'!r}, 'a').write('.'); time.sleep(.01)"])
    while True:
        if data is not None:
            with Path(data).open("a") as file:
                file.write(".")
        time.sleep(0.01)


@jobs.job("asks", run_in="process", retries=FIRST_AT_ONCE)
def asks(data: list[str], ctx: Context) -> list[str]:
    told = []
    for job in data:
        try:
            told.append(ctx.submit_blocking(job, {"n": 1}).execution_id)
        except Refused as refused:
            told.append(refused.reason)
        except AttemptCancelled:
            ctx.progress(99, "cancelled")
            raise
    return told


@jobs.job("forks", run_in="process")
def forks() -> str:
    """What it forks leaves as it would in any program, before it does itself."""
    if (pid := os.fork()) == 0:
        sys.exit()
    os.waitpid(pid, 0)
    return "the code"


@jobs.job("terminates", run_in="process")
def terminates() -> int | None:
    started = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    started.start()
    started.terminate()
    started.join(10)
    return started.exitcode


@jobs.job("hangs-up", run_in="process")
def hangs_up() -> int:
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started.send_signal(signal.SIGHUP)
    return started.wait(10)


@jobs.job("early", run_in="process")
def early() -> Snooze:
    return Snooze("5m")


@jobs.job("leaves-a-thread", run_in="process", exclusive=Exclusive("job"))
def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return os.getpid()


@wrapped.job("wrapped", run_in="process")
def in_middleware(data: int) -> int:
    return data


jobs.include(wrapped)

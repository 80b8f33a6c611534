"""What code of users forks is no second copy of the process that runs it."""

import subprocess
import sys

import pytest

TERMINATES = """
import asyncio, multiprocessing, signal, time, uvloop
from processors import forks

def ends_a_process():
    started = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    started.start()
    started.terminate()
    started.join(10)
    return started.exitcode

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "we heard it")
    print(await asyncio.to_thread(ends_a_process))
    await asyncio.sleep(0.05)

uvloop.install()
forks.set_free()
asyncio.run(main())
"""
GOES_ON = """
import os, sys
from processors import forks

def forks_and(ends):
    if (pid := os.fork()) == 0:
        return {ends}
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

print(forks.called(forks_and, (None,)))
"""


def said(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30).stdout


def test_a_signal_to_what_was_forked_ends_it_and_is_not_heard_here() -> None:
    assert said(TERMINATES) == "-15\n"


@pytest.mark.parametrize(("ends", "code"), [("7", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('why')", 1), ("1 / 0", 1)])
def test_what_was_forked_ends_where_the_code_does(ends: str, code: int) -> None:
    assert said(GOES_ON.format(ends=ends)) == f"{code}\n"

"""What code of users forks, as `multiprocessing` does: a copy of its process that must neither hear for it nor go on in its place."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def set_free() -> None:
    """From now on what is forked here ends by SIGTERM, from its first moment, and this process does not hear that as its own."""
    os.register_at_fork(before=_hold, after_in_parent=_go_on, after_in_child=_begin)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _go_on() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _begin() -> None:
    signal.set_wakeup_fd(-1)  # it is the ear of our event loop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _go_on()


def called(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    """What the function returns or raises to us. What it forked and let come to its end, ends there."""
    mine = os.getpid()
    try:
        return function(*arguments)
    finally:
        if os.getpid() != mine:
            _end(sys.exception())


def _end(error: BaseException | None) -> NoReturn:
    """As a program of its own would."""
    match error:
        case None | SystemExit(code=None):
            code = 0
        case SystemExit(code=int(code)):
            pass
        case _:
            traceback.print_exception(error)
            code = 1
    try:
        sys.stdout.flush()
    finally:
        os._exit(code & 0xFF)

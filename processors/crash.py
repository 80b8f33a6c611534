"""What becomes of a bug of ours: the process ends, and its supervisor starts it again. What is skipped or goes on half dead loses work."""

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

EXIT_CRASHED: Final = 70
SAID: Final = "the process ends; its supervisor starts it again"


def crash(error: BaseException) -> NoReturn:
    """A bug of ours: say it and end the process, with nothing acked and nothing cleaned up. A crashed Faust app would hang for ever."""
    traceback.print_exception(error, file=sys.stderr)
    print(f"{type(error).__name__}: {error}; {SAID}", file=sys.stderr, flush=True)  # noqa: T201  # logging may be what failed
    os._exit(EXIT_CRASHED)


def or_crash(work: Callable[[], Awaitable[None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Work that ends the process if it ends with an error. (Any: what a coroutine yields.)"""

    async def guarded() -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            crash(error)

    return guarded

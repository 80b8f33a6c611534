"""Where a client is at home: the process and the event loop in which it is first used. What it holds open answers there alone."""

import asyncio
import os

from ledger.core.refusal import Refused


class Belonging:
    """Asked before each step outwards, as what is held open would be waited for in vain elsewhere, and for ever."""

    def __init__(self) -> None:
        self.is_closed = False
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None

    def check(self) -> None:
        """Raises `Refused` (`closed`, `elsewhere`)."""
        if self.is_closed:
            raise Refused("closed", "this client was closed: connect another one")
        here = os.getpid(), asyncio.get_running_loop()
        if self._home is None:
            self._home = here
        if self._home != here:
            raise Refused("elsewhere", "this client belongs to the process and the event loop that used it first: connect one in each")

"""What a process says of itself to its supervisor: a line at each look of its watchdog, over a pipe that it inherits.

The watchdog is a thread, so a process whose event loop hangs still says that it hangs.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Final

from msgspec import DecodeError, Struct, json

PULSE_FD: Final = "JOBLEDGER_PULSE_FD"
EXIT_DRAINED: Final = 79  # of a process that was asked to go and is not to be started again
MOST_BYTES: Final = 4096  # of a pipe that nobody empties in time; a line has fewer than 100


class Pulse(Struct, frozen=True):
    """Seconds. `stalled`: since the event loop moved. `behind`: since there is work and no progress. `stopped`: so many partitions, until
    somebody repairs the log."""

    ready: bool
    stalled: float = 0.0
    behind: float = 0.0
    stopped: int = 0


Tell = Callable[[Pulse], None]
_encode = json.Encoder().encode
_decoder = json.Decoder(Pulse)


def tell_nobody(pulse: Pulse) -> None:
    """Of a process that no supervisor started."""


def to_supervisor(environ: MutableMapping[str, str]) -> Tell:
    """Takes the pipe out of the environment: what this process starts by itself shall not write into it. Never blocks, never raises."""
    number = environ.pop(PULSE_FD, "")
    if not number.isdecimal():
        return tell_nobody
    pipe = int(number)
    try:
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            return tell_nobody
        os.set_inheritable(pipe, False)
        os.set_blocking(pipe, False)
    except OSError:
        return tell_nobody

    def tell(pulse: Pulse) -> None:
        with suppress(OSError):  # the supervisor is slow, or gone
            os.write(pipe, _encode(pulse) + b"\n")

    return tell


class Listener:
    """The supervisor's end, for one process: give it `child_end`, close that after the start, and `close` when it ended."""

    def __init__(self) -> None:
        self._pipe, self.child_end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._rest = b""
        self._last: Pulse | None = None
        self._heard_at = 0.0
        asyncio.get_running_loop().add_reader(self._pipe, self._hear)

    def last(self, within: float) -> Pulse | None:
        """The last word, if it is not older than so many seconds."""
        return self._last if time.monotonic() - self._heard_at <= within else None

    def started(self) -> None:
        os.close(self.child_end)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)

    def _hear(self) -> None:
        try:
            got = os.read(self._pipe, MOST_BYTES)
        except OSError:
            return
        if not got:  # its end is closed, and would be readable for ever
            asyncio.get_running_loop().remove_reader(self._pipe)
            return
        *lines, rest = (self._rest + got).split(b"\n")
        self._rest = rest[-MOST_BYTES:]
        if lines:
            with suppress(DecodeError):
                self._last, self._heard_at = _decoder.decode(lines[-1]), time.monotonic()

"""Where code of users prints: line by line, as its process may be killed, and whether anybody reads there is not what it is about."""

import io
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def let_go() -> None:
    """From now on a line that is printed here is written at once, and lost where it cannot be: a terminal or a reader that is gone."""
    if sys.__stdout__ is not None:
        sys.stdout = _lossy(sys.__stdout__)
    if sys.__stderr__ is not None:
        sys.stderr = _lossy(sys.__stderr__)


def _lossy(stream: TextIO) -> TextIO:
    raw = _Lossy(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True)


class _Lossy(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes

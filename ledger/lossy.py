"""Streams to a person: a line is written at once, and what the stream does not take is lost. Words end nothing."""

import io
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Lossy(io.FileIO):
    """Its reader left, or is slow and not waited for, or the disk there is full."""

    def write(self, data: "ReadableBuffer", /) -> int:
        with suppress(OSError):
            return super().write(data) or memoryview(data).nbytes
        return memoryview(data).nbytes


def lossy(descriptor: int, encoding: str | None = None, errors: str | None = "backslashreplace") -> TextIO:
    raw = _Lossy(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True)

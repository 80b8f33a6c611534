"""Files that commands write: each takes its name when everything is in it and on the disk, so a half one is never taken for a whole one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shutil import copymode
from typing import BinaryIO


@contextmanager
def written(file: Path) -> Iterator[BinaryIO]:
    """Until then it has a name that nobody else's has. What exists and is no file (a device, a pipe) stays what it is, and a link names
    what it named. Raises `OSError`."""
    if file.exists() and not file.is_file():
        with file.open("wb") as out:
            yield out
        return
    file = Path(os.path.realpath(file))
    part = file.with_name(f"{file.name}.{token_hex(4)}.part")
    try:
        with part.open("xb") as out:
            with suppress(FileNotFoundError):
                copymode(file, part)  # what was there may be for few eyes
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)

"""Other zone data: a package of `tzdata` from a file, a folder or the package index, and a process that reckons with it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from msgspec import json

import ledger
from ledger.cli.rehearsing.child import Answered, Question, encode
from ledger.core.invalid import Invalid
from ledger.core.refusal import LedgerError, Refused, Unavailable

DOWNLOADING: Final = 120.0  # seconds
_RELEASE: Final = re.compile(r"(20[0-9]{2})([a-z])")
_PACKAGE: Final = re.compile(r"20[0-9]{2}\.[0-9]{1,2}")


def package_version(release: str) -> str:
    """`2025b`, as the zone data call it, is 2025.2 as a package. Raises `Invalid`."""
    if _PACKAGE.fullmatch(release):
        return release
    found = _RELEASE.fullmatch(release)
    if found is None:
        raise Invalid("invalid", "--tzdata", release, "is neither a release nor a file or folder of a package", "'2025b'")
    return f"{found[1]}.{ord(found[2]) - ord('a') + 1}"


def package_of(wanted: str, folder: Path) -> Path:
    """A wheel or folder that holds the package `tzdata`: the given one, or the release of that name, fetched by pip into `folder`."""
    given = Path(wanted)
    if given.exists():
        return given.resolve()
    version = package_version(wanted)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    by_hand = f"fetch the wheel of tzdata {version} by other means and say --tzdata FILE.whl"
    try:
        done = subprocess.run([*command, f"tzdata=={version}"], capture_output=True, text=True, timeout=DOWNLOADING, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"tzdata {version} did not come within {DOWNLOADING:g} s: {by_hand}") from None
    wheels = sorted(folder.glob(f"tzdata-{version}*.whl"))
    if done.returncode != 0 or not wheels:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unavailable(f"pip did not fetch tzdata {version} ({last}): {by_hand}")
    return wheels[0]


@dataclass(frozen=True, slots=True)
class OtherSide:
    """A process with other zone data. `version`: which."""

    version: str
    _asking: IO[bytes]
    _answering: IO[bytes]

    def ask(self, question: Question) -> Answered:
        self._asking.write(encode(question) + b"\n")
        self._asking.flush()
        line = self._answering.readline()
        if not line:
            raise LedgerError("the process with the other zone data ended: its last words are above")
        return json.decode(line, type=Answered)


@contextmanager
def other_side(package: Path) -> Iterator[OtherSide]:
    """For the time of the block."""
    paths = [str(package), str(Path(ledger.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-P", "-m", "ledger.cli.rehearsing.child"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            if not first:
                raise Refused("invalid", f"--tzdata {package} holds no package `tzdata` that can be read")
            yield OtherSide(json.decode(first, type=str), process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait(10)

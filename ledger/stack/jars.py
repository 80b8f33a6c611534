"""Kafka's jars: where they are kept, whether they are whole, and how they come there.

Judging needs no lock and no network: a folder is accepted when it was finished (its lock file is written last) and when
each jar has the SHA-256 of the list beside this module. Fetching is a child process of the keeper (`jar_fetch`).
"""

import asyncio
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from ledger.stack.failure import ServerSilent, StackFailed
from ledger.stack.offspring import Child, Offspring, Program
from ledger.stack.server import Say

KAFKA_VERSION = "4.3.1"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-reload4j:1.7.36"
ENVIRONMENTS = Path("jgo", "envs", "org", "apache", "kafka", "kafka_2.13")
FINISHED = "jgo.lock.toml"
OFFLINE = 5
PROGRESS_EVERY = 4.0
PATIENCE = 900.0


def cache_folder(environment: Mapping[str, str], directory: Path) -> Path:
    """`JOBLEDGER_CACHE`, else the user's cache folder; without a home, beside the stack's own data."""
    if named := environment.get("JOBLEDGER_CACHE"):
        return Path(named).expanduser().resolve()
    if (base := Path(environment.get("XDG_CACHE_HOME", ""))).is_absolute():
        return base / "jobledger"
    home = Path(environment.get("HOME", ""))
    if not (home.is_absolute() and home.is_dir()):
        return directory / "cache"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "jobledger"


def wanted() -> dict[str, str]:
    """File name -> SHA-256 of every jar."""
    lines = (files("ledger.stack") / f"kafka-{KAFKA_VERSION}.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def jars_of(environment: Path) -> Iterator[Path]:
    for folder in ("jars", "modules"):
        yield from sorted((environment / folder).glob("*.jar"))


def is_whole(environment: Path, expected: Mapping[str, str]) -> bool:
    if not (environment / FINISHED).is_file():
        return False
    found = {path.name: path for path in jars_of(environment)}
    return found.keys() == expected.keys() and all(sha256(path) == expected[name] for name, path in found.items())


def sha256(path: Path) -> str:
    with path.open("rb") as jar:
        return hashlib.file_digest(jar, "sha256").hexdigest()


def find(cache: Path, expected: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """The jars of a whole environment in this cache; empty when there is none."""
    expected = wanted() if expected is None else expected
    for environment in sorted((cache / ENVIRONMENTS).glob("*")):
        if is_whole(environment, expected):
            return tuple(jars_of(environment))
    return ()


class Jars:
    """The keeper's side: use what is there, have the rest fetched, and say how far it is."""

    def __init__(self, cache: Path, say: Say) -> None:
        self.cache = cache
        self._say = say

    async def ensure(self, offspring: Offspring, folder: Path) -> tuple[Path, ...]:
        if os.pathsep in str(self.cache):
            raise StackFailed(
                f"The cache's path {self.cache} holds a '{os.pathsep}', which Java's class path cannot: name another with JOBLEDGER_CACHE."
            )
        if found := self._find():
            return found
        await self._fetch(offspring, folder)
        if found := self._find():
            return found
        raise StackFailed(f"Kafka's jars in {self.cache} are still not whole after fetching them: delete that folder and start again.")

    def _find(self) -> tuple[Path, ...]:
        try:
            return find(self.cache)
        except OSError as error:
            raise StackFailed(
                f"Kafka's jars in the cache {self.cache} cannot be read: {error.filename}: {error.strerror}. "
                "Name another folder with JOBLEDGER_CACHE."
            ) from error

    async def _fetch(self, offspring: Offspring, folder: Path) -> None:
        self._say(f"fetching Kafka {KAFKA_VERSION} into {self.cache} ({len(wanted())} jars, 44 MB, once)")
        log = folder / "fetch.log"
        argv = (sys.executable, "-P", "-m", "ledger.stack.jar_fetch", str(self.cache))
        child = offspring.spawn("the fetching of jars", Program(argv, folder, log, signal.SIGKILL, environment=dict(os.environ)))
        await self._watch(child)
        if child.exit_code == OFFLINE:
            raise ServerSilent(_last(child))
        if child.exit_code:
            raise StackFailed(f"{_last(child)} (more in {log})")

    async def _watch(self, child: Child) -> None:
        began = time.monotonic()
        while not child.ended.is_set():
            try:
                async with asyncio.timeout(PROGRESS_EVERY):
                    await child.ended.wait()
            except TimeoutError:
                seconds = time.monotonic() - began
                if seconds > PATIENCE:
                    child.signal(signal.SIGKILL)
                    raise ServerSilent(f"Kafka's jars did not arrive within {PATIENCE:.0f} s: is the network up?") from None
                self._say(f"fetching Kafka: {self._progress()} after {seconds:.0f} s")

    def _progress(self) -> str:
        sizes = [path.stat().st_size for path in (self.cache / "m2").rglob("*.jar") if path.exists()]
        return f"{len(sizes)} of {len(wanted())} jars, {sum(sizes) / 1e6:.0f} MB"


def _last(child: Child) -> str:
    return (child.said() or ["the fetching of Kafka's jars ended without a word"])[-1]

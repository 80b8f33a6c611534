"""The archive of Kafka's classes: made once, and whatever becomes of it, a start goes on without."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ledger.stack import Stack
from ledger.stack.archive import KEPT, LISTED, Archive
from ledger.stack.folder_lock import end_orphans, program_of
from ledger.stack.kafka import JVM, java
from ledger.stack.layout import Layout
from ledger.stack.offspring import Child, Offspring

WRITES = "echo archive > $file; echo made >> made"
FAILS = "echo half > $file; exit 1"
HANGS = "echo half > $file; kill -STOP $$"


@pytest.fixture
async def offspring(tmp_path: Path) -> AsyncIterator[Offspring]:
    with Layout(tmp_path).lock.open("w") as lock:
        offspring = Offspring(lock.fileno())
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, offspring.reap)
        yield offspring


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a start has listed a class and, as Java writes on, a piece of another."""
    listed = tmp_path / LISTED
    listed.parent.mkdir()
    listed.write_text("java/lang/Object\njava/la")
    (tmp_path / "cache").mkdir()
    return tmp_path


def archive(folder: Path, does: str, jar: str = "a.jar") -> Archive:
    """Of a Java that does this with the `$file` it is to write."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\nfor word; do case $word in -XX:SharedArchiveFile=*) file=${{word#*=}};; esac; done\n{does}\n")
    program.chmod(0o755)
    (folder / jar).touch()
    return Archive(folder / "cache", (str(program),), (folder / jar,))


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "cache" / "cds").iterdir() if path.name != "lock")


def is_used(archive: Archive) -> bool:
    return any(option.startswith("-XX:SharedArchiveFile=") for option in archive.options())


async def test_java_takes_it_when_it_is_whole_and_else_goes_on_without_a_word_and_it_is_removed(folder: Path, offspring: Offspring) -> None:
    (folder / "a.jar").touch()
    mine = Archive(folder / "cache", (java(), *JVM), (folder / "a.jar",))
    assert mine.options() == (f"-XX:DumpLoadedClassList={LISTED}",)
    await mine.make(offspring, folder)
    (file,) = kept(folder)
    whole = file.read_bytes()

    def starts() -> bool:
        """Whether with the archive."""
        argv = (java(), *JVM, *mine.options(), "-cp", str(folder / "a.jar"), "-version")
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
        assert done.stdout == "" and len(done.stderr.splitlines()) == 3, "it says its version and nothing else"
        return "sharing" in done.stderr

    assert await asyncio.to_thread(starts)
    await mine.make(offspring, folder)
    assert kept(folder) == [file]
    middle = len(whole) // 2
    for damaged in (
        b"",
        b"nonsense",
        whole[:middle],
        whole[:middle] + b"another!" + whole[middle + 8 :],
        whole.replace(b"(25.", b"(24.", 1),
    ):
        assert damaged != whole
        file.write_bytes(damaged)
        assert not await asyncio.to_thread(starts)
        await mine.make(offspring, folder)
        assert kept(folder) == []


async def test_two_at_once_make_one(folder: Path, offspring: Offspring) -> None:
    mine = archive(folder, WRITES)
    await asyncio.gather(mine.make(offspring, folder), mine.make(offspring, folder))
    await mine.make(offspring, folder)
    assert (folder / "made").read_text() == "made\n"
    assert is_used(mine)


async def test_another_java_and_other_jars_have_another_one(folder: Path, offspring: Offspring) -> None:
    await archive(folder, WRITES).make(offspring, folder)
    assert not is_used(archive(folder, WRITES)), "the program was written anew"
    assert not is_used(archive(folder, WRITES, "b.jar"))


async def test_the_last_few_are_kept(folder: Path, offspring: Offspring) -> None:
    for number in range(KEPT + 1):
        await archive(folder, WRITES, f"{number}.jar").make(offspring, folder)
        for path in kept(folder):
            os.utime(path, (0, path.stat().st_mtime - 60))
    assert len(kept(folder)) == KEPT


async def test_the_one_just_made_is_kept_whatever_the_clock_said_at_the_others(folder: Path, offspring: Offspring) -> None:
    for number in range(KEPT):
        await archive(folder, WRITES, f"{number}.jar").make(offspring, folder)
    for path in kept(folder):
        os.utime(path, (0, path.stat().st_mtime + 86_400))
    await (mine := archive(folder, WRITES)).make(offspring, folder)
    assert is_used(mine) and len(kept(folder)) == KEPT


async def test_of_one_that_could_not_be_made_nothing_is_left(folder: Path, offspring: Offspring) -> None:
    await (mine := archive(folder, FAILS)).make(offspring, folder)
    assert kept(folder) == [] and not is_used(mine)


@asynccontextmanager
async def making(mine: Archive, offspring: Offspring, folder: Path) -> AsyncIterator[Child]:
    """The child that does it; after the block it was told to end, as with the stack."""
    task = asyncio.create_task(mine.make(offspring, folder))
    async with asyncio.timeout(20):
        while not (folder / "cache" / "cds").exists() or not kept(folder):  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.01)
    (child,) = offspring.living()
    try:
        yield child
    finally:
        task.cancel()
        await asyncio.wait({task})
        await asyncio.wait_for(child.ended.wait(), 20)


async def test_the_end_of_the_stack_ends_its_making(folder: Path, offspring: Offspring) -> None:
    async with making(mine := archive(folder, HANGS), offspring, folder) as child:
        pass
    assert child.exit_code == -signal.SIGKILL
    assert kept(folder) == [] and not is_used(mine)


@pytest.mark.skipif(sys.platform != "linux", reason="only there it can be said")
async def test_where_memory_is_short_its_making_is_ended_and_no_server(folder: Path, offspring: Offspring) -> None:
    async with making(archive(folder, HANGS), offspring, folder) as child:
        assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "1000\n"


async def test_who_ends_what_a_killed_kafka_left_does_not_end_its_making(folder: Path, offspring: Offspring) -> None:
    async with making(archive(folder, HANGS), offspring, folder) as child:
        assert end_orphans(Layout(folder), frozenset({program_of(child.pid)})), "nothing was there to be ended"


async def test_what_a_killed_maker_left_is_not_used_and_goes(folder: Path, offspring: Offspring) -> None:
    mine = archive(folder, WRITES)
    (folder / "cache" / "cds").mkdir()
    (left := folder / "cache" / "cds" / "4.3.1-0123456789abcdef.1.new").write_text("half")
    assert not is_used(mine)
    await mine.make(offspring, folder)
    assert is_used(mine) and left not in kept(folder)


async def test_a_cache_that_cannot_be_written_is_no_failure(folder: Path, offspring: Offspring) -> None:
    (folder / "cache" / "cds").touch()
    await (mine := archive(folder, WRITES)).make(offspring, folder)
    assert not is_used(mine) and not (folder / "made").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells what a process has mapped")
def test_kafka_runs_on_it_or_lists_its_classes_for_it(stack: Stack) -> None:
    """All else here would go by unseen: a start without it is only slower."""
    if "kafka" not in stack.pids:
        pytest.skip("Kafka was given")
    process = Path("/proc") / str(stack.pids["kafka"])
    if b"-XX:SharedArchiveFile=" in (process / "cmdline").read_bytes():
        assert ".jsa" in (process / "maps").read_text()
    else:
        assert "kafka/Kafka" in (stack.directory / "kafka" / LISTED).read_text()

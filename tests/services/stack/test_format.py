"""What formats Kafka's folder is ours; what it writes is what Kafka's own tool does."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.stack.jars import Jars, cache_folder
from ledger.stack.kafka import JVM, Kafka, java
from ledger.stack.layout import Layout
from ledger.stack.offspring import Offspring, Program
from ledger.stack.ports import Ports

TOOL = ("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", "server.properties")
CRC_AND_TIMES = (*range(17, 21), *range(27, 43))
BEFORE_THE_LENGTH = 12
CAN_MOUNT = os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None


def batches(checkpoint: Path) -> list[bytes]:
    """Without what differs from one moment to the next."""
    rest, found = checkpoint.read_bytes(), list[bytes]()
    while rest:
        end = BEFORE_THE_LENGTH + int.from_bytes(rest[8:BEFORE_THE_LENGTH])
        found.append(bytes(0 if at in CRC_AND_TIMES else byte for at, byte in enumerate(rest[:end])))
        rest = rest[end:]
    return found


def names(properties: Path) -> set[str]:
    return {line.partition("=")[0] for line in properties.read_text().splitlines() if not line.startswith("#")}


async def formatted(directory: Path) -> tuple[Kafka, Offspring, Layout]:
    layout = Layout(directory)
    kafka = Kafka(layout, Ports(layout.ports, print), Jars(cache_folder(os.environ, directory), print), fast=True)
    kafka.settle_ports()
    offspring = Offspring(0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, offspring.reap)  # the jars may have to be fetched
    await kafka.prepare(offspring)
    return kafka, offspring, layout


async def test_a_folder_is_formatted_as_by_kafka_s_own_tool(tmp_path: Path) -> None:
    kafka, offspring, layout = await formatted(tmp_path)
    theirs = layout.folder("kafka") / "data"
    ours = theirs.rename(tmp_path / "ours")
    argv = kafka.program().argv
    told = (java(), *JVM, *argv[argv.index("-cp") :][:2], *TOOL)
    assert (await offspring.run("format", Program(told, layout.folder("kafka"), tmp_path / "format.log"))).exit_code == 0
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    assert names(ours / "meta.properties") == names(theirs / "meta.properties")
    assert batches(ours / "bootstrap.checkpoint") == batches(theirs / "bootstrap.checkpoint")


def make_disk(image: Path) -> None:
    with image.open("wb") as disk:
        disk.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(not CAN_MOUNT, reason="mounts a disk, which only root may")
async def test_a_folder_is_formatted_also_where_the_power_goes_just_then(tmp_path: Path) -> None:
    """Names come to a disk before what is in the files: Kafka would not start on empty ones, ever."""
    disk, left = tmp_path / "disk", tmp_path / "left"
    make_disk(disk)
    with mounted(disk, tmp_path / "before") as place:
        _, _, layout = await formatted(place)
        data = layout.folder("kafka") / "data"
        written = {path.name: path.read_bytes() for path in data.iterdir()}
        with (place / "another").open("wb") as other:
            os.fsync(other.fileno())  # and with it the names of all that was made before
        shutil.copyfile(disk, left)
    with mounted(left, tmp_path / "after") as place:
        assert {path.name: path.read_bytes() for path in (place / "kafka" / "data").iterdir()} == written

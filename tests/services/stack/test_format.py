"""What formats Kafka's folder is ours; what it writes is what Kafka's own tool does."""

import asyncio
import os
import signal
from pathlib import Path

from ledger.stack.jars import Jars, cache_folder
from ledger.stack.kafka import JVM, Kafka, java
from ledger.stack.layout import Layout
from ledger.stack.offspring import Offspring, Program
from ledger.stack.ports import Ports

TOOL = ("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", "server.properties")
CRC_AND_TIMES = (*range(17, 21), *range(27, 43))
BEFORE_THE_LENGTH = 12


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


async def test_a_folder_is_formatted_as_by_kafka_s_own_tool(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    kafka = Kafka(layout, Ports(layout.ports, print), Jars(cache_folder(os.environ, tmp_path), print), fast=True)
    kafka.settle_ports()
    offspring = Offspring(0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, offspring.reap)  # the jars may have to be fetched
    await kafka.prepare(offspring)
    theirs = layout.folder("kafka") / "data"
    ours = theirs.rename(tmp_path / "ours")
    argv = kafka.program().argv
    told = (java(), *JVM, *argv[argv.index("-cp") :][:2], *TOOL)
    assert (await offspring.run("format", Program(told, layout.folder("kafka"), tmp_path / "format.log"))).exit_code == 0
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    assert names(ours / "meta.properties") == names(theirs / "meta.properties")
    assert batches(ours / "bootstrap.checkpoint") == batches(theirs / "bootstrap.checkpoint")

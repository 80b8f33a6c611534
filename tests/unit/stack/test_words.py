"""What is said when a server ends: the line of its log that explains it, and what to do."""

import asyncio
import errno
import signal
from pathlib import Path

import pytest

from ledger.stack.failure import FolderBusy, ServerSilent, StackFailed, failure
from ledger.stack.keeper import failed_by
from ledger.stack.messages import Failed
from ledger.stack.offspring import Child, Offspring, Program
from ledger.stack.server import explain_end, port_was_busy, telling_line

KAFKA_DISK = """[2026-01-01] ERROR Error while appending records to commands-0 in dir /d/data (kafka.log.LogManager)
java.io.IOException: No space left on device
	at java.base/sun.nio.ch.UnixFileDispatcherImpl.write0(Native Method)
[2026-01-01] ERROR Shutdown broker because all log dirs in /d/data have failed (kafka.log.LogManager)"""
KAFKA_PORT = """main ERROR Reconfiguration failed: No configuration found for '5ffd2b27' at 'null' in 'null'
[2026-01-01] ERROR [KafkaServer id=1] Fatal error during startup.
org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.
	at kafka.network.Acceptor.openServerSocket(SocketServer.scala:722)"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (KAFKA_DISK, "java.io.IOException: No space left on device"),
        (KAFKA_PORT, "org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use."),
        ("one\nPANIC:  could not write to file\nlast", "PANIC:  could not write to file"),
        ("main ERROR Reconfiguration failed: No configuration found\nquiet", "quiet"),
        ("", "(nothing)"),
    ],
)
def test_the_telling_line(log: str, line: str) -> None:
    assert telling_line(log.splitlines()) == line


def test_a_busy_port_is_known_in_each_server_s_words() -> None:
    assert port_was_busy(KAFKA_PORT.splitlines())
    assert port_was_busy(["# Warning: Could not create server TCP listening socket 127.0.0.1:1: bind: Address already in use"])
    assert port_was_busy(["FATAL:  could not create any TCP/IP sockets"])
    assert not port_was_busy(KAFKA_DISK.splitlines())


async def ended(folder: Path, script: str) -> Child:
    offspring = Offspring(0)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, offspring.reap)
    return await offspring.run("valkey", Program(("/bin/sh", "-c", script), folder, folder / "valkey.log"))


async def test_an_end_names_server_exit_code_log_and_line(tmp_path: Path) -> None:
    child = await ended(tmp_path, "echo fine; echo 'FATAL: no luck'; exit 3")
    assert explain_end(child, tmp_path) == f"valkey ended with exit code 3. Its log {tmp_path}/valkey.log says: FATAL: no luck"


async def test_a_kill_is_called_one(tmp_path: Path) -> None:
    assert explain_end(await ended(tmp_path, "kill -9 $$"), tmp_path).startswith("valkey was killed by signal 9. ")


async def test_a_full_disk_is_named_with_its_folder_and_what_to_do(tmp_path: Path) -> None:
    said = explain_end(await ended(tmp_path, "echo 'write: No space left on device'; echo bye; exit 1"), tmp_path)
    assert "says: write: No space left on device" in said
    assert f"The disk of {tmp_path} is full: free some space and start again" in said


async def test_only_the_lines_of_this_run_count(tmp_path: Path) -> None:
    await ended(tmp_path, "echo 'error of yesterday'; exit 1")
    assert (await ended(tmp_path, "echo today; exit 1")).said() == ["today"]


DENIED = PermissionError(errno.EACCES, "Permission denied", "/d/valkey/x")
FULL = OSError(errno.ENOSPC, "No space left on device", "/d/ports.json.new")


@pytest.mark.parametrize(
    ("errors", "words", "exit_code"),
    [
        ([DENIED], "The stack in /d cannot work with /d/valkey/x: Permission denied.", 1),
        ([FULL], "The disk of /d/ports.json.new is full: free some space and start again; what was acknowledged is kept.", 1),
        ([OSError(errno.ENOSPC, "No space")], "The disk of /d is full: free some space and start again; what was acknowledged is kept.", 1),
        ([DENIED, ServerSilent("of our own")], "of our own", 5),
        ([ExceptionGroup("", [ValueError("x")]), DENIED], "the keeper failed: ValueError: x", 1),
    ],
)
def test_of_what_broke_a_start_one_error_is_told_in_words(errors: list[Exception], words: str, exit_code: int) -> None:
    assert failed_by(ExceptionGroup("several servers", errors), Path("/d")) == Failed(words, exit_code)


def test_exit_codes_choose_the_family_of_the_error() -> None:
    assert [type(failure("x", code)) for code in (1, 4, 5)] == [StackFailed, FolderBusy, ServerSilent]

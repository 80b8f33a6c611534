"""Each thing that was seen to go wrong, with the words in which it is told."""

import asyncio
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from ledger.core.refusal import Unavailable
from ledger.stack import ServerSilent, Stack, StackFailed
from ledger.stack.jars import ENVIRONMENTS, cache_folder, find
from ledger.stack.layout import Layout
from ledger.stack.messages import Failed, Message, Request, Stopped, Up
from tests.services.stack.processes import ROOT, nothing_left, until

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which only root may")


@contextmanager
def small_disk(place: Path, *options: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_kept_port_that_is_busy_is_replaced_aloud(tmp_path: Path, stack: Stack) -> None:
    with Stack.start(tmp_path, kafka=stack.kafka) as first:
        port = int(first.redis.rpartition(":")[2].partition("/")[0])
    said: list[str] = []
    with socket.create_server(("127.0.0.1", port)), Stack.start(tmp_path, kafka=stack.kafka, on_progress=said.append) as second:
        other = int(second.redis.rpartition(":")[2].partition("/")[0])
    assert f"port {port} of valkey is busy, using {other}" in said


def test_a_port_taken_between_look_and_bind_is_replaced_too(tmp_path: Path, stack: Stack) -> None:
    """initdb runs in between, and gives us the time."""
    said: list[str] = []
    layout = Layout(tmp_path)

    def steal() -> None:
        def port() -> int | None:
            try:
                return msgspec.json.decode(layout.ports.read_bytes(), type=dict[str, int]).get("postgres")
            except FileNotFoundError:
                return None

        until(lambda: port() is not None, "the port is chosen")
        thieves.append(socket.create_server(("127.0.0.1", port() or 0)))

    thieves: list[socket.socket] = []
    thief = threading.Thread(target=steal)
    thief.start()
    with Stack.start(tmp_path, kafka=stack.kafka, on_progress=said.append):
        thief.join()
        thieves[0].close()
    assert "another program took a port of postgres meanwhile; trying another one" in said


@root
def test_a_disk_that_is_too_small_is_refused_with_its_folder(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=100m") as disk, pytest.raises(StackFailed) as refused:
        Stack.start(disk / "s")
    assert str(refused.value) == (
        f"The disk of {disk}/s has 99 MB free and the stack needs 300 MB. Free some space, or name another folder with --dir."
    )


@root
@pytest.mark.skipif(shutil.which("capsh") is None, reason="drops capabilities with capsh")
def test_root_without_capabilities_is_told_to_start_as_somebody_else(tmp_path: Path, stack: Stack) -> None:
    command = shlex.join([sys.executable, "-m", "tests.services.stack.parent", str(tmp_path / "s"), stack.kafka])
    refused = subprocess.run(
        ["capsh", "--drop=all", "--", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "this root may not change to the account `nobody`" in refused.stderr
    assert "Start the stack as an ordinary user." in refused.stderr


def test_java_killed_during_its_start_is_told_at_once_and_the_next_start_works(tmp_path: Path) -> None:
    layout = Layout(tmp_path)

    def kill() -> None:
        def java() -> list[str]:
            try:
                noted = msgspec.json.decode(layout.pids.read_bytes(), type=dict[str, str])
            except FileNotFoundError:
                return []
            return [pid for pid, program in noted.items() if program == "java"]

        until(lambda: bool(java()), "java is started", 60)
        os.kill(int(java()[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StackFailed, match=r"^kafka was killed by signal 9\. Its log .*kafka\.log says: "):
        Stack.start(tmp_path, fast=True)
    killer.join()
    nothing_left(tmp_path, {})
    with Stack.start(tmp_path, fast=True) as again:
        assert again.pids["kafka"]


def test_offline_with_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ServerSilent) as refused:
        Stack.start(tmp_path / "s", cache=tmp_path / "cache")
    assert str(refused.value).startswith(f"Kafka's jars are not in the cache {tmp_path}/cache and could not be fetched: ")
    assert str(refused.value).endswith("Go online once, or name a filled cache with JOBLEDGER_CACHE.")


@root
def test_an_empty_cache_that_cannot_be_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "cache", "size=1m", "ro") as cache, pytest.raises(StackFailed) as refused:
        Stack.start(tmp_path / "s", cache=cache)
    assert f"Kafka's jars are not in the cache {cache} and cannot be written there: Read-only file system. " in str(refused.value)
    assert "Name a folder that can be written with JOBLEDGER_CACHE." in str(refused.value)


def test_a_colon_in_the_cache_s_path(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match="holds a ':', which Java's class path cannot"):
        Stack.start(tmp_path / "s", cache=tmp_path / "a:b")


def test_who_cannot_be_told_of_the_start_is_told_no_more_and_the_stack_comes_up(tmp_path: Path, stack: Stack) -> None:
    said: list[str] = []

    def leave(text: str) -> None:
        said.append(text)
        raise BrokenPipeError

    with Stack.start(tmp_path, kafka=stack.kafka, on_progress=leave) as own:
        own.kill("valkey")
    assert len(said) == 1


def test_a_server_that_was_named_and_is_silent(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"Kafka at {address} does not answer"):
            Stack.start(tmp_path, kafka=address)


def test_servers_that_were_named_and_answer_are_used(tmp_path: Path, stack: Stack) -> None:
    with Stack.start(tmp_path, kafka=stack.kafka, redis=stack.redis, database=stack.database) as given:
        assert (given.kafka, given.redis, given.database) == (stack.kafka, stack.redis, stack.database)
        assert given.pids == {} and list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["a jar cut short", "half-built"])
def test_a_damaged_cache_repairs_itself(tmp_path: Path, damage: str) -> None:
    """Needs the network: all jars are fetched again."""
    cache = tmp_path / "cache"
    subprocess.run(["cp", "-a", str(cache_folder(os.environ, tmp_path)), str(cache)], check=True)
    jars = find(cache)
    if damage == "half-built":
        for jar in jars[10:]:
            jar.unlink()
    else:
        for path in list(cache.rglob(jars[0].name)):
            path.write_bytes(path.read_bytes()[:1000])
    assert find(cache) == ()
    said: list[str] = []
    with Stack.start(tmp_path / "s", cache=cache, fast=True, on_progress=said.append):
        assert len(find(cache)) == len(jars)
    assert any(text.startswith("fetching Kafka") for text in said)
    assert len(list((cache / ENVIRONMENTS).glob("*"))) == 1


def take_room(ballast: Path, leave: int) -> None:
    """`leave` may be 0: the last piece then does not fit."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while shutil.disk_usage(ballast.parent).free > leave and file.write(b"\0" * 65_536):
                pass
        except OSError:
            assert leave == 0


async def write_until_the_end(stack: Stack) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, acks="all", request_timeout_ms=2000)
    await producer.start()
    try:
        async with asyncio.timeout(60):
            while stack.failure is None:
                await asyncio.wait_for(producer.send_and_wait("filled", b"x" * 500_000), 3)
    except (KafkaError, TimeoutError):
        pass
    finally:
        await asyncio.wait({asyncio.create_task(producer.stop())}, timeout=5)


@root
@pytest.mark.slow
def test_a_disk_that_fills_up_later_ends_the_stack_with_the_line_about_space(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")  # it would say 20 lines a second
    said: list[str] = []
    with small_disk(tmp_path / "disk", "size=400m") as disk:
        with Stack.start(disk / "s", fast=True, on_progress=said.append) as stack:
            asyncio.run(make_topic(stack))
            take_room(disk / "ballast", 20 * 2**20)
            until(lambda: any("MB left; when it is full Kafka ends" in text for text in said), "the warning")
            take_room(disk / "more ballast", 0)
            asyncio.run(write_until_the_end(stack))
            until(lambda: stack.failure is not None, "the stack ends", 60)
            assert stack.failure and "o space left" in stack.failure.message
            assert f"The disk of {disk}/s is full: free some space and start again; what was acknowledged is kept." in stack.failure.message
        nothing_left(disk / "s", stack.pids)
        (disk / "ballast").unlink()
        (disk / "more ballast").unlink()
        with Stack.start(disk / "s", fast=True) as again:
            assert again.failure is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_a_keeper_whose_log_takes_no_more_ends_its_servers_in_order(tmp_path: Path) -> None:
    request = Request(str(tmp_path), str(tmp_path / "cache"), ("valkey",), attached=False)
    argv = [sys.executable, "-m", "ledger.stack.keeper", msgspec.json.encode(request).decode()]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=full) as keeper:
        assert keeper.stdout
        up = msgspec.json.decode(keeper.stdout.readline(), type=Up)
        os.kill(up.pid, signal.SIGKILL)
        said = [msgspec.json.decode(line, type=Message) for line in keeper.stdout]
    assert [type(message) for message in said[-2:]] == [Failed, Stopped]
    assert keeper.returncode == 1


async def make_topic(stack: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("filled", 1, 1)])
    await admin.close()

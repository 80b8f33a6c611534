"""`--probe-port`: lives, is ready, and in figures; bounded whatever comes in."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger.config import Settings
from ledger.config.settings import Kafka, Redis
from ledger.core.refusal import Misconfigured
from processors.probe import LARGEST_REQUEST, MOST_CONNECTIONS, answer, probe
from processors.pulse import Pulse
from processors.servers import Servers, look_at
from processors.supervisor import Child

NOW = time.monotonic()


@dataclass
class Said:
    """Instead of the pipe."""

    pulse: Pulse | None

    def last(self, within: float) -> Pulse | None:
        return self.pulse


@dataclass
class FakeSupervisor:
    children: dict[str, Child] = field(default_factory=dict)
    is_stopping: bool = False

    def child(self, name: str, pulse: Pulse | None, *, pid: int | None = 7, restarts: int = 0) -> "FakeSupervisor":
        self.children[name] = Child(name, pid, NOW - 12, restarts, hears=Said(pulse), last_code=None if pid else -9)
        return self


def test_it_lives() -> None:
    assert answer(FakeSupervisor(), "/livez", NOW) == (200, "ok\n")


def test_it_is_ready_when_every_process_says_so() -> None:
    kept = FakeSupervisor().child("control", Pulse(True)).child("runner-default", Pulse(True))
    assert answer(kept, "/readyz", NOW) == (200, "ready\n")


@pytest.mark.parametrize(
    ("pulse", "pid", "words"),
    [
        (Pulse(False), 7, "[-] runner-default: starting; pid 7, up 12 s, restarted 3 times"),
        (
            Pulse(True, stopped=1),
            7,
            "[-] runner-default: partitions that stopped: 1; its log says why, and what to do; pid 7, up 12 s, restarted 3 times",
        ),
        (None, 7, "[-] runner-default: says nothing of itself (yet); pid 7, up 12 s, restarted 3 times"),
        (Pulse(True), None, "[-] runner-default: does not run, ended with -9; restarted 3 times"),
    ],
    ids=["starting", "stopped", "silent", "gone"],
)
def test_one_process_that_is_not_ready_is_enough(pulse: Pulse | None, pid: int | None, words: str) -> None:
    kept = FakeSupervisor().child("control", Pulse(True)).child("runner-default", pulse, pid=pid, restarts=3)
    assert answer(kept, "/readyz", NOW) == (503, "not ready\n")
    assert answer(kept, "/readyz?verbose", NOW) == (
        503,
        f"[+] control: ready; pid 7, up 12 s, restarted 0 times\n{words}\nnot ready\n",
    )


def test_what_the_watchdog_sees_is_told() -> None:
    kept = FakeSupervisor().child("control", Pulse(True, stalled=3.5, behind=40.0))
    assert (
        "[+] control: ready, has had work and no progress for 40 s, its event loop has not moved for 3.5 s; pid 7"
        in answer(kept, "/readyz?verbose", NOW).body
    )


def test_one_that_stops_is_not_ready() -> None:
    kept = FakeSupervisor(is_stopping=True).child("control", Pulse(True))
    assert answer(kept, "/readyz", NOW) == (503, "stopping\n")


def test_the_figures() -> None:
    kept = FakeSupervisor().child("control", Pulse(True, 0.2, 1.5, 3)).child('runner-"x"', None, pid=None, restarts=2)
    kept.children['runner-"x"'].ended_by_watchdog = 1
    lines = answer(kept, "/metrics", NOW).body.splitlines()
    assert 'jobledger_process_up{part="control"} 1' in lines
    assert 'jobledger_process_up{part="runner-\\"x\\""} 0' in lines
    assert 'jobledger_process_ready{part="control"} 0' in lines, "a partition stopped"
    assert 'jobledger_process_restarts_total{part="runner-\\"x\\""} 2' in lines
    assert 'jobledger_process_watchdog_ends_total{part="runner-\\"x\\""} 1' in lines
    assert 'jobledger_process_behind_seconds{part="control"} 1.5' in lines
    assert 'jobledger_process_stopped_partitions{part="control"} 3' in lines
    assert 'jobledger_process_uptime_seconds{part="control"} 12' in lines
    assert sum(line.startswith("# TYPE ") for line in lines) == 8


@pytest.mark.parametrize("path", ["/", "/metrics/", "/nosuch?verbose"])
def test_another_path_is_not_there(path: str) -> None:
    assert answer(FakeSupervisor(), path, NOW).status == 404


@pytest.mark.parametrize(
    ("servers", "code", "words"),
    [
        (Servers("kafka", 3, ()), 200, "[+] kafka: all 3 answer"),
        (Servers("kafka", 1, ("k1:9092",)), 503, "[-] kafka: no answer from k1:9092"),
        (Servers("kafka", 3, ("k1:9092", "k3:9092")), 200, "[+] kafka: no answer from k1:9092, k3:9092; 1 of 3 answer"),
        (Servers("locks", 3, ("r2 (TimeoutError)",), 2), 200, "[+] locks: no answer from r2 (TimeoutError); 2 of 3 answer"),
        (Servers("locks", 3, ("r2", "r3"), 2), 503, "[-] locks: no answer from r2, r3; 1 of 3 answer"),
    ],
)
def test_servers_that_do_not_answer_are_told_and_too_few_make_it_unready(servers: Servers, code: int, words: str) -> None:
    kept, one = FakeSupervisor().child("control", Pulse(True)), Servers("redis", 1, ())
    ready = "ready" if code == 200 else "not ready"
    assert answer(kept, "/readyz", NOW, [one, servers]) == (code, f"{ready}\n")
    assert answer(kept, "/readyz?verbose", NOW, [one, servers]).body == (
        f"[+] control: ready; pid 7, up 12 s, restarted 0 times\n[+] redis: answers\n{words}\n{ready}\n"
    )


async def test_servers_that_are_away_are_told_without_their_logins() -> None:
    secret = SecretStr("redis://ann:secret@127.0.0.1:1/0")
    look = look_at(Settings(kafka=Kafka(bootstrap="127.0.0.1:1,[::1]:1,a..b:1,"), redis=Redis(url=secret)))
    async with probe(FakeSupervisor().child("control", Pulse(True)), 0, look) as port:
        got = (await exchange(port, b"GET /readyz?verbose HTTP/1.1\r\n\r\n")).decode()
    assert got.startswith("HTTP/1.1 503 ")
    assert (
        "\n[-] kafka: no answer from 127.0.0.1:1, [::1]:1, a..b:1; 0 of 3 answer\n[-] redis: no answer from redis://***@127.0.0.1:1/0 ("
        in got
    )
    assert "secret" not in got


async def nothing_to_ask() -> Sequence[Servers]:
    return ()


async def exchange(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    except OSError:
        return b""  # it was cut
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"HEAD /livez HTTP/1.1\r\n\r\n", 200),
        (b"GET /readyz HTTP/1.0\r\n\r\n", 503),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"hello\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n", 400),
        (b"GET /" + b"x" * 2 * LARGEST_REQUEST, 400),
        (b"\xff\xfe\x00\r\n\r\n", 400),
    ],
    ids=["get", "head", "old", "post", "words", "cut", "long", "bytes"],
)
async def test_over_the_wire(request_bytes: bytes, status: int) -> None:
    async with probe(FakeSupervisor().child("control", None), 0, nothing_to_ask) as port:
        got = await exchange(port, request_bytes)
        assert got.startswith(f"HTTP/1.1 {status} ".encode()) or (status == 400 and got == b"")  # unread bytes may reset the connection
        head, _, body = got.partition(b"\r\n\r\n")
        if request_bytes.startswith(b"HEAD"):
            assert body == b"" and b"Content-Length: 3" in head


async def test_more_connections_than_that_are_closed_at_once() -> None:
    async with probe(FakeSupervisor(), 0, nothing_to_ask) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        assert await exchange(port, b"GET /livez HTTP/1.1\r\n\r\n") == b""
        for _, writer in idle:
            await close(writer)


async def test_a_port_that_is_taken_is_said() -> None:
    async with probe(FakeSupervisor(), 0, nothing_to_ask) as port:
        with pytest.raises(Misconfigured, match=f"--probe-port {port}: 127.0.0.1:{port} cannot be used .*name a free port"):
            async with probe(FakeSupervisor(), port, nothing_to_ask):
                pass


async def test_a_worker_whose_port_is_taken_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "jobledger.yaml").write_text("kafka: {bootstrap: '127.0.0.1:1'}\n")
    async with probe(FakeSupervisor(), 0, nothing_to_ask) as port:
        program = (sys.executable, "-m", "ledger.cli", "worker", "--only", "control", "--no-apply", "--probe-port", str(port))
        ended = await asyncio.to_thread(
            subprocess.run,
            program,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"error: --probe-port {port}: 127.0.0.1:{port} cannot be used" in ended.stderr
    assert "process.started" not in ended.stderr + ended.stdout

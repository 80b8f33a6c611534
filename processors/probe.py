"""`/livez`, `/readyz?verbose` and `/metrics` of a supervisor, on loopback: what it knows of the processes that it keeps and of the servers
that they need.

As little of HTTP as a probe needs: one GET or HEAD a connection, bounded in size, time and number. Source: interfaces.md, sections 2 and 4.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple, Protocol

import structlog

from ledger.core.refusal import Misconfigured
from processors.servers import Look, Servers
from processors.supervisor import Child

log = structlog.get_logger(__name__)
LOOPBACK: Final = "127.0.0.1"
READY: Final = "/readyz"
LARGEST_REQUEST: Final = 8192  # bytes, of the request line and the headers
PATIENCE: Final = 5.0  # seconds for a whole exchange
MOST_CONNECTIONS: Final = 32
REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Kept(Protocol):
    """The part of the supervisor that is asked."""

    @property
    def children(self) -> Mapping[str, Child]: ...
    @property
    def is_stopping(self) -> bool: ...


class Reply(NamedTuple):
    status: int
    body: str


@asynccontextmanager
async def probe(kept: Kept, port: int, look: Look) -> AsyncIterator[int]:
    """Answers on this port of 127.0.0.1 (0: any free one) for the time of the block; the port. Raises `Misconfigured` if it is taken."""
    open_now: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(open_now) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(_serve(kept, look, reader, writer))
        open_now.add(task)
        task.add_done_callback(open_now.discard)

    try:
        server = await asyncio.start_server(accept, LOOPBACK, port, limit=LARGEST_REQUEST)
    except OSError as error:
        raise Misconfigured(f"--probe-port {port}: {LOOPBACK}:{port} cannot be used ({error.strerror}); name a free port") from error
    try:
        taken = int(server.sockets[0].getsockname()[1])
        log.info("probe answers", action="probe.started", url=f"http://{LOOPBACK}:{taken}/readyz?verbose")
        yield taken
    finally:
        server.close()
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


async def _serve(kept: Kept, look: Look, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                head, reply = await _exchange(kept, look, reader)
                body = reply.body.encode()
                allow = "Allow: GET, HEAD\r\n" if reply.status == 405 else ""
                writer.write(
                    f"HTTP/1.1 {reply.status} {REASONS[reply.status]}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    f"Content-Length: {len(body)}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
                )
                writer.write(b"" if head else body)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
    finally:
        writer.transport.abort()


async def _exchange(kept: Kept, look: Look, reader: asyncio.StreamReader) -> tuple[bool, Reply]:
    """Whether only the head is wanted, and the answer."""
    try:
        request = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        return False, Reply(400, f"not a request of at most {LARGEST_REQUEST} bytes\n")
    words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return False, Reply(400, "not a request of HTTP/1.1\n")
    method, target, _ = words
    if method not in ("GET", "HEAD"):
        return False, Reply(405, "GET and HEAD are answered\n")
    servers = await look() if target.partition("?")[0] == READY else ()
    return method == "HEAD", answer(kept, target, time.monotonic(), servers)


def answer(kept: Kept, target: str, now: float, servers: Sequence[Servers] = ()) -> Reply:
    """What is said to a GET of this path. `servers`: as they were seen just now."""
    path, _, query = target.partition("?")
    verbose = any(word.partition("=")[0] == "verbose" for word in query.split("&"))
    ways: dict[str, Callable[[], Reply]] = {
        "/livez": lambda: Reply(200, "ok\n"),  # an event loop that answers lives; each process has a watchdog of its own
        READY: lambda: readiness(kept, now, servers, verbose=verbose),
        "/metrics": lambda: Reply(200, metrics(kept, now)),
    }
    return ways[path]() if path in ways else Reply(404, "there are /livez, /readyz?verbose and /metrics\n")


def readiness(kept: Kept, now: float, servers: Sequence[Servers], *, verbose: bool) -> Reply:
    """Ready: every process runs and its watchdog said within the last seconds that it is ready, no partition stopped, and enough of the
    servers answer."""
    parts = [(child.name, child.is_ready, described(child, now)) for child in kept.children.values()]
    parts += [(one.name, one.suffice, str(one)) for one in servers]
    ready = not kept.is_stopping and all(is_ready for _, is_ready, _ in parts)
    lines = [f"[{'+' if is_ready else '-'}] {name}: {words}" for name, is_ready, words in parts]
    verdict = "ready" if ready else "stopping" if kept.is_stopping else "not ready"
    return Reply(200 if ready else 503, "\n".join([*(lines if verbose else ()), verdict, ""]))


def described(child: Child, now: float) -> str:
    """A process in words."""
    if child.pid is None:
        return f"does not run{'' if child.last_code is None else f', ended with {child.last_code}'}; restarted {child.restarts} times"
    pulse = child.pulse
    if pulse is None:
        state = "says nothing of itself (yet)"
    elif not pulse.ready:
        state = "starting"
    elif pulse.stopped:
        state = f"partitions that stopped: {pulse.stopped}; its log says why, and what to do"
    else:
        state = "ready" if pulse.behind == 0 else f"ready, has had work and no progress for {pulse.behind:g} s"
    stalled = f", its event loop has not moved for {pulse.stalled:g} s" if pulse is not None and pulse.stalled >= 2 else ""
    return f"{state}{stalled}; pid {child.pid}, up {now - child.since:.0f} s, restarted {child.restarts} times"


def metrics(kept: Kept, now: float) -> str:
    """In the text format of Prometheus."""
    children = list(kept.children.values())
    pulses = [(child, pulse) for child in children if (pulse := child.pulse) is not None]
    return "".join(
        (
            _family("up", "gauge", "The process runs.", {one.name: one.pid is not None for one in children}),
            _family(
                "ready",
                "gauge",
                "Its watchdog says that it is ready, and no partition stopped.",
                {one.name: one.is_ready for one in children},
            ),
            _family("restarts_total", "counter", "Starts after the first one.", {one.name: one.restarts for one in children}),
            _family("watchdog_ends_total", "counter", "Ended by its watchdog.", {one.name: one.ended_by_watchdog for one in children}),
            _family("uptime_seconds", "gauge", "Since its last start.", {one.name: now - one.since for one in children if one.pid}),
            _family("stalled_seconds", "gauge", "Since its event loop moved.", {one.name: pulse.stalled for one, pulse in pulses}),
            _family("behind_seconds", "gauge", "With work, without progress.", {one.name: pulse.behind for one, pulse in pulses}),
            _family("stopped_partitions", "gauge", "Somebody has to repair the log.", {one.name: pulse.stopped for one, pulse in pulses}),
        )
    )


def _family(name: str, kind: str, words: str, values: Mapping[str, float]) -> str:
    full = f"jobledger_process_{name}"
    lines = [f'{full}{{part="{_label(part)}"}} {float(value):g}' for part, value in values.items()]
    return "\n".join((f"# HELP {full} {words}", f"# TYPE {full} {kind}", *lines, ""))


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

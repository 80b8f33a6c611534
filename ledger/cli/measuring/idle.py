"""Idle schedules: what a hundred thousand that fire once a year cost control, beside a few that fire every second."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from msgspec import DecodeError, Struct, json
from psycopg.sql import SQL, Identifier

from ledger.cli.measuring.bed import PATIENCE, Bed, Say, bed
from ledger.cli.measuring.result import Result, percentile, result
from ledger.cli.measuring.schedules import Window, watch
from ledger.client.ledger import Ledger
from ledger.client.scheduling import Plan
from ledger.config import Settings
from ledger.core.refusal import Misconfigured, Unavailable
from projections.connecting import conninfo_of

AT_ONCE: Final = 10_000  # schedules in one call
SETTLING: Final = 5.0  # seconds after a start, until nothing of it is under way
IN_FORCE: Final = SQL("select count(*) from {schema}.job_status where in_force_version is not null")


class Line(Struct):
    """What is read of a line that a process logged. `seconds`: what the actor's own recovery took."""

    action: str = ""
    seconds: float = 0.0
    timestamp: datetime = datetime.min  # noqa: DTZ901  # a line without one is of no interest


_line = json.Decoder(Line)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Of a process whose actors are all ready, in seconds: from its start on until it asked the broker for its partitions (`begun`), until
    it had them (what lies between is the broker's: a dead member keeps them until its session ends), and until each actor was ready."""

    begun: float
    assigned: float
    ready: float
    slowest: float  # the longest recovery of one actor

    @property
    def waited(self) -> float:
        return self.assigned - self.begun


@dataclass(frozen=True, slots=True)
class State:
    """Control at one time: resident memory in MB, and the ticks of a while; how it came back, if it was restarted."""

    memory: float
    window: Window
    back: Readiness | None = None


async def measure(settings: Settings, say: Say, *, schedules: int, firing: int, seconds: int) -> list[Result]:
    """Memory, readiness and lateness, with and without the idle ones. Raises `Misconfigured` where /proc does not tell memory."""
    resident_mb(_status_of("self"))
    async with bed(settings, say) as made, Ledger.connect(made.settings) as ledger:
        watched = Watched(made, made.processes[0], firing, seconds)
        plans: list[Plan] = [{"job": "stamp", "name": f"n{nth}", "every": "1s", "exclusive": "none", "data": {}} for nth in range(firing)]
        await ledger.schedule_many(plans, timeout=PATIENCE)
        without = await watched.restart(signal.SIGKILL)
        say(f"without: {said(without)}")
        took = await _schedule_idle(made, ledger, schedules, firing, say)
        registered = await watched.look()
        say(f"with {schedules} idle schedules: {said(registered)}")
        restarted = await watched.restart(signal.SIGTERM)
        say(f"after a restart: {said(restarted)}")
        killed = await watched.restart(signal.SIGKILL)
        say(f"after a kill -9: {said(killed)}")
    how = f"{schedules} yearly schedules beside {firing} that fire every second; one control, one runner, one projection"
    return results([without, registered, restarted, killed], how, took)


async def _schedule_idle(made: Bed, ledger: Ledger, schedules: int, firing: int, say: Say) -> float:
    began = time.perf_counter()
    today = datetime.now(UTC)
    for first in range(0, schedules, AT_ONCE):
        await ledger.schedule_many([yearly(number, today) for number in range(first, min(first + AT_ONCE, schedules))], timeout=PATIENCE)
        say(f"{min(first + AT_ONCE, schedules)} scheduled, {time.perf_counter() - began:.1f} s")
    deadline = asyncio.get_running_loop().time() + PATIENCE
    query = IN_FORCE.format(schema=Identifier(made.settings.database.table_schema))
    async with await psycopg.AsyncConnection.connect(conninfo_of(made.settings), autocommit=True) as connection:
        while True:
            row = await (await connection.execute(query)).fetchone()
            known = int(str(row[0])) if row is not None else 0
            if known >= schedules + firing:
                return time.perf_counter() - began
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{known} of {schedules + firing} schedules are in force; the processes said:\n{made.complain()}")
            await asyncio.sleep(1)


def yearly(number: int, today: datetime) -> Plan:
    """Half a year from now, each at another minute of the month: none is due while others are measured."""
    minute, hour, day = number % 60, number // 60 % 24, number // 1440 % 28 + 1
    month = (today.month + 5) % 12 + 1
    cron = f"{minute} {hour} {day} {month} *"
    return {"job": "stamp", "name": f"y{number}", "tenant": f"t{number % 500}", "cron": cron, "exclusive": "none", "data": {"user": number}}


class Watched:
    """Control of the bed, and what replaces it."""

    def __init__(self, made: Bed, control: "subprocess.Popen[bytes]", firing: int, seconds: int) -> None:
        self._made = made
        self._control = control
        self._firing = firing
        self._seconds = seconds

    async def look(self) -> State:
        await asyncio.sleep(SETTLING)
        window = await watch(self._made, self._firing, self._seconds)
        return State(resident_mb(_status_of(str(self._control.pid))), window)

    async def restart(self, by: signal.Signals) -> State:
        """End it, and put another one in its place."""
        self._control.send_signal(by)
        await asyncio.to_thread(self._control.wait)
        started = time.time()
        self._control = self._made.spawn_control()
        back = await self._until_ready(started)
        state = await self.look()
        return State(state.memory, state.window, back)

    async def _until_ready(self, started: float) -> Readiness:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while (ready := readiness(self._made.words(self._control), self._made.settings.partitions + 1, started)) is None:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"control is not ready within {PATIENCE:g} s; the processes said:\n{self._made.complain()}")
            await asyncio.sleep(0.1)
        return ready


def readiness(words: str, actors: int, started: float) -> Readiness | None:
    """What the log of a control process says once so many actors are ready; None before. A line may be half written."""
    lines: dict[str, list[Line]] = {"control.begun": [], "control.assigned": [], "actor.ready": []}
    for text in words.splitlines():
        try:
            line = _line.decode(text)
        except DecodeError:
            continue
        if line.action in lines:
            lines[line.action].append(line)
    begun, assigned, ready = lines.values()
    if not begun or not assigned or len(ready) < actors:
        return None
    first, last = min(one.timestamp for one in assigned), max(one.timestamp for one in ready)
    at = [one.timestamp() - started for one in (begun[0].timestamp, first, last)]
    return Readiness(at[0], max(at[0], at[1]), at[2], max(one.seconds for one in ready))


def _status_of(process: str) -> str:
    try:
        return Path("/proc", process, "status").read_text()
    except OSError as error:
        raise Misconfigured(
            f"memory is read from /proc/{process}/status, which cannot be read ({error.strerror}): measure on Linux"
        ) from error


def resident_mb(status: str) -> float:
    """Resident memory in MB (10^6 bytes), from the text of /proc/PID/status. Raises `Misconfigured`."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024 / 1e6
    raise Misconfigured("/proc tells no VmRSS of a process: measure on Linux")


def said(state: State) -> str:
    decided = state.window.decided
    ready = ""
    if (back := state.back) is not None:
        ours = f"began after {back.begun:.1f}, waited {back.waited:.1f} for the broker, slowest actor {back.slowest:.2f}"
        ready = f"; ready {back.ready:.1f} s after its start ({ours})"
    return f"{state.memory:.0f} MB; decided p50 {percentile(decided, 0.5):.1f} ms, p99 {percentile(decided, 0.99):.1f}{ready}"


def results(states: Sequence[State], how: str, took: float) -> list[Result]:
    """What they add to memory and to the start, and the lateness of the others beside them. `states`: without them, with them,
    after a restart, after a kill -9."""
    without, registered, restarted, killed = states
    return [
        result(
            "idle_memory",
            [registered.memory - without.memory],
            "MB",
            f"{how}; resident memory of control beyond that without them, after it took them in; restarted: after a SIGTERM and a restart",
            {"restarted": round(restarted.memory - without.memory, 1), "control_without": round(without.memory, 1)},
        ),
        _ready(restarted, killed, without, how),
        _lateness(states, how, took),
    ]


def _ready(restarted: State, killed: State, without: State, how: str) -> Result:
    more: dict[str, float] = {}
    for name, state in (("restarted", restarted), ("killed", killed), ("killed_without", without)):
        if (back := state.back) is not None:
            figures = {"ready": back.ready, "began": back.begun, "waited_for_the_broker": back.waited, "slowest_actor": back.slowest}
            more |= {f"{name}_{figure}": round(value, 3) for figure, value in figures.items()}
    counted = (
        f"{how}; start of the process after a SIGTERM -> each actor ready; waited: until the broker gave it partitions, after a kill -9 "
        "as long as the dead member's session lasts, while the registry is folded"
    )
    return result("idle_ready", [0.0 if restarted.back is None else restarted.back.ready], "s", counted, more)


def _lateness(states: Sequence[State], how: str, took: float) -> Result:
    without, registered, restarted, killed = states
    lateness = {
        f"{share}_{name}": round(percentile(state.window.decided, at), 3)
        for name, state in (("without", without), ("restarted", restarted), ("killed", killed))
        for share, at in (("p50", 0.5), ("p99", 0.99))
    }
    missed = float(sum(state.window.expected - state.window.fired for state in states))
    more = {"p99": round(percentile(registered.window.decided, 0.99), 3), **lateness, "missed": missed, "scheduled_in_s": round(took, 1)}
    counted = f"{how}; of those that fire every second: assigned instant -> decision, p50"
    return result("idle_lateness", [percentile(registered.window.decided, 0.5)], "ms", counted, more)

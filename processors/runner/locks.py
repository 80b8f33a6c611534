"""The lock of an exclusivity key, in Redis: the guard beside the log, which is the judge. Its value is the grant's token and the worker.

Over several independent servers it is held if a majority of them granted it, for as long as the slowest of their answers and the drift of
their clocks leave (Redlock). One round trip a server for all that is asked at a moment. Whoever lets go takes away its own value only.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, Protocol

import redis
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
DRIFT_SHARE: Final = 0.01  # of a lock's life: how differently the servers' clocks may run, as redlock-py and node-redlock have it
DRIFT_MOST: Final = 0.002  # seconds: Redis ends a key that much too late or too early
AWAY: Final = 1.0  # seconds for which one of several servers is not asked again after it did not answer
MOST_AT_ONCE: Final = 500

TAKE: Final = """
local answer = {}
for i, key in ipairs(KEYS) do
  local value = ARGV[1 + i]
  if redis.call('SET', key, value, 'NX', 'PX', ARGV[1]) then
    answer[i] = 'h'
  elseif redis.call('GET', key) == value then
    redis.call('PEXPIRE', key, ARGV[1])
    answer[i] = 'h'
  else
    answer[i] = 'b'
  end
end
return table.concat(answer)
"""
RENEW: Final = """
local answer = {}
for i, key in ipairs(KEYS) do
  local value = ARGV[1 + i]
  local there = redis.call('GET', key)
  if not there or there == value then
    redis.call('SET', key, value, 'PX', ARGV[1])
    answer[i] = 'h'
  else
    answer[i] = 'b'
  end
end
return table.concat(answer)
"""
LET_GO: Final = """
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1 + i] then redis.call('DEL', key) end
end
return ''
"""

Verdict = Literal["held", "busy", "unknown"]
Wanted = Sequence[tuple[str, str]]  # key, value
HELD, BUSY = ord("h"), ord("b")


class Locks(Protocol):
    async def take(self, wanted: Wanted) -> tuple[list[Verdict], float]:
        """For each whether it is held, and until when those that are (by the monotonic clock). What is held already is held anew."""

    async def let_go(self, held: Wanted) -> None:
        """Best effort: else they run out."""


class Renewals(Protocol):
    """The same locks from a thread; blocks."""

    def renew(self, held: Wanted) -> tuple[list[Verdict], float]:
        """Written anew where they are gone. `busy`: another value stands in too many places."""

    def let_go_again(self, held: Wanted) -> None:
        """What was let go while it was renewed."""


class NoLocks:
    """Where there are none to be had: nothing exclusive starts."""

    async def take(self, wanted: Wanted) -> tuple[list[Verdict], float]:
        return ["unknown"] * len(wanted), 0.0

    async def let_go(self, held: Wanted) -> None:
        """None is held."""

    def renew(self, held: Wanted) -> tuple[list[Verdict], float]:
        return ["unknown"] * len(held), 0.0

    def let_go_again(self, held: Wanted) -> None:
        """None is held."""


def valid_for(life: float) -> float:
    """How much of a lock's life its holder may count on, from before it was asked for."""
    return life * (1 - DRIFT_SHARE) - DRIFT_MOST


def verdicts_of(answers: Sequence[bytes | None], count: int) -> list[Verdict]:
    """By majority of the servers; `None`: one that did not answer."""
    majority = len(answers) // 2 + 1
    there = [answer for answer in answers if answer is not None]
    if len(there) < majority:
        return ["unknown"] * count
    found: list[Verdict] = []
    for nth in range(count):
        held = sum(answer[nth] == HELD for answer in there)
        refused = sum(answer[nth] == BUSY for answer in there)
        found.append("held" if held >= majority else "busy" if refused > len(answers) - majority else "unknown")
    return found


class Patience:
    """Which of several servers is worth asking: one that did not answer costs its timeout once a second, not every time."""

    def __init__(self, servers: int, clock: Callable[[], float]) -> None:
        self._away_until = [0.0] * servers
        self._clock = clock

    def asks(self, server: int) -> bool:
        return len(self._away_until) == 1 or self._clock() >= self._away_until[server]

    def failed(self, server: int, error: Exception) -> None:
        if len(self._away_until) > 1:
            log.warning("a Redis of the locks did not answer", action="locks.away", server=server, error=repr(error))
            self._away_until[server] = self._clock() + AWAY


def arguments(wanted: Wanted, life: float) -> tuple[list[str], list[str | int]]:
    return [key for key, _ in wanted], [round(life * 1000), *(value for _, value in wanted)]


def checked(answer: object, count: int) -> bytes:
    if not isinstance(answer, bytes) or len(answer) != count:
        raise RedisError(f"{answer!r} is no answer to {count} locks")
    return answer


class RedisLocks:
    """`life` in seconds. A lock that is granted with less than `least` of it left is given up."""

    def __init__(self, servers: "Sequence[Redis]", life: float, least: float) -> None:
        self._servers = servers
        self._life = life
        self._least = least
        self._patience = Patience(len(servers), time.monotonic)

    async def take(self, wanted: Wanted) -> tuple[list[Verdict], float]:
        until = time.monotonic() + valid_for(self._life)
        answers = await asyncio.gather(*(self._ask(nth, TAKE, wanted, len(wanted)) for nth in range(len(self._servers))))
        verdicts = verdicts_of(answers, len(wanted))
        if until - time.monotonic() < self._least:
            verdicts = ["unknown" if verdict == "held" else verdict for verdict in verdicts]
        granted = [any(answer is not None and answer[nth] == HELD for answer in answers) for nth in range(len(wanted))]
        if vain := [one for one, got, verdict in zip(wanted, granted, verdicts, strict=True) if got and verdict != "held"]:
            await self.let_go(vain)
        return verdicts, until

    async def let_go(self, held: Wanted) -> None:
        await asyncio.gather(*(self._ask(nth, LET_GO, held, 0) for nth in range(len(self._servers))))

    async def _ask(self, server: int, script: str, wanted: Wanted, count: int) -> bytes | None:
        if not self._patience.asks(server):
            return None
        keys, values = arguments(wanted, self._life)
        try:
            return checked(await self._servers[server].eval(script, len(keys), *keys, *values), count)
        except (RedisError, OSError, TimeoutError) as error:
            self._patience.failed(server, error)
            return None


class BlockingLocks:
    """For the thread that renews. Several servers are asked side by side."""

    def __init__(self, servers: "Sequence[redis.Redis]", life: float) -> None:
        self._servers = servers
        self._life = life
        self._patience = Patience(len(servers), time.monotonic)
        self._threads = ThreadPoolExecutor(len(servers), thread_name_prefix="locks") if len(servers) > 1 else None

    def renew(self, held: Wanted) -> tuple[list[Verdict], float]:
        until = time.monotonic() + valid_for(self._life)
        verdicts: list[Verdict] = []
        for start in range(0, len(held), MOST_AT_ONCE):
            some = held[start : start + MOST_AT_ONCE]
            verdicts += verdicts_of(self._ask_all(RENEW, some, len(some)), len(some))
        return verdicts, until

    def let_go_again(self, held: Wanted) -> None:
        self._ask_all(LET_GO, held, 0)

    def _ask_all(self, script: str, held: Wanted, count: int) -> list[bytes | None]:
        def ask(server: int) -> bytes | None:
            return self._ask(server, script, held, count)

        every = range(len(self._servers))
        return list(map(ask, every) if self._threads is None else self._threads.map(ask, every))

    def _ask(self, server: int, script: str, held: Wanted, count: int) -> bytes | None:
        if not self._patience.asks(server):
            return None
        keys, values = arguments(held, self._life)
        try:
            return checked(self._servers[server].eval(script, len(keys), *keys, *values), count)
        except (RedisError, OSError) as error:
            self._patience.failed(server, error)
            return None

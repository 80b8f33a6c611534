"""The sign of life of this worker, and of the claims it works under: written anew at a third of the lease.

A thread of its own, so that a handler which keeps the event loop busy does not make its worker look dead; whether the loop is alive is the
watchdog's question. Everything is written as if it were the first time: a Redis that was flushed or restarted is whole again at once.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError

from ledger.config import Settings
from ledger.core.ids import WorkerId
from ledger.core.workers import DRAIN
from processors.runner.claims import LIFE_IN_LEASES

log = structlog.get_logger(__name__)
CLAIMS_AT_ONCE: Final = 500
RENEW: Final = """
redis.call('SET', ARGV[4], ARGV[5], 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[6], ARGV[1])
local lost = {}
for i, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if not holder or string.match(holder, '^%S*') == ARGV[1] then
    redis.call('SET', key, holder or ARGV[1], 'PX', ARGV[2])
  else
    lost[#lost + 1] = key
  end
end
return lost
"""


class Lease:
    """`held_claims` is asked at each renewal, from this object's thread. `changed` is called, there too, when `is_held` has changed,
    `renew_locks` at each renewal (False asks for another one soon), and `drain` as long as somebody asks this worker to go."""

    def __init__(
        self,
        redis: "Redis",
        settings: Settings,
        worker: WorkerId,
        about: Callable[[], bytes],
        held_claims: Callable[[], Sequence[str]],
        changed: Callable[[], None],
        renew_locks: Callable[[], bool] = lambda: True,
        drain: Callable[[], None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._worker = worker
        self._about = about
        self._lease = settings.limits.lease
        self._key = settings.redis_key("worker", worker)
        self._channel = settings.redis_key("renewals")
        self._held_claims = held_claims
        self._changed = changed
        self._renew_locks = renew_locks
        self._drain = drain
        self._drain_key = settings.redis_key(DRAIN, worker)
        self._until = 0.0
        self._since = 0.0  # since when it was held without a gap
        self._was_held = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def is_held(self) -> bool:
        """Others can see that this worker lives. If not, they may take its claims, so it must not make new ones."""
        return time.monotonic() < self._until

    def was_held_for(self) -> float:
        """Seconds without a gap until now: nobody can have taken this worker for lost meanwhile. 0 if it is not held."""
        now = time.monotonic()
        return now - self._since if now < self._until else 0.0

    def end(self) -> None:
        """Stop renewing and take the sign of life away; blocks for a second at most. Best effort: else it runs out by itself."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._until = 0.0
        try:
            self._redis.delete(self._key)
        except (RedisError, OSError) as error:
            log.warning("the lease was left to run out", action="lease.left", error=repr(error))

    def _run(self) -> None:
        pause = 0.0
        while not self._end.wait(pause):
            began = time.monotonic()
            renewed = self._renewed(began)
            renewed = self._renew_locks() and renewed  # they may be on other servers
            pause = self._lease / 3 if renewed else min(self._lease / 3, 1.0) * random.uniform(0.2, 1.0)  # noqa: S311
            if self.is_held() is not self._was_held:
                self._was_held = not self._was_held
                self._changed()

    def _renewed(self, began: float) -> bool:
        try:
            self.renew()
            if self._redis.exists(self._drain_key):
                self._drain()
        except (RedisError, OSError) as error:
            log.warning(
                "the lease was not renewed", action="lease.not_renewed", seconds_left=round(self._until - began, 1), error=repr(error)
            )
            return False
        if began >= self._until:
            self._since = time.monotonic()
        self._until = began + self._lease
        return True

    def renew(self) -> None:
        """One round trip for each 500 claims."""
        claims = list(self._held_claims())
        for start in range(0, max(1, len(claims)), CLAIMS_AT_ONCE):
            keys = claims[start : start + CLAIMS_AT_ONCE]
            life = round(LIFE_IN_LEASES * self._lease * 1000)
            lost = self._redis.eval(
                RENEW, len(keys), *keys, self._worker, life, round(self._lease * 1000), self._key, self._about(), self._channel
            )
            if lost:
                log.warning(
                    "another worker took over what this one still performs: it was away for too long",
                    action="claims.taken",
                    claims=[key.decode() for key in lost],
                )

"""Step 4, claim: of all workers that hear of a grant, one performs it. One round trip to Redis for all that arrived together.

A claim lives longer than the offer it answers is believed, so an offer that is delivered again finds it even after the attempt has ended.
It says who holds it and which re-offer it answers. A dead worker's claim is taken over only by a later re-offer, for only that says that
control heard of no start: the same record delivered once more may belong to an attempt that control counts and will call lost.
Measured at 500 claims a batch: by this script 1.5 us of CPU and 3 ms in all, by a pipeline of SETs 18 us and 11 ms.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.config import Settings
from ledger.core.ids import WorkerId
from ledger.core.limits import Limit
from ledger.core.refusal import Unavailable
from ledger.spread import spread
from processors.runner.limited_claims import CLAIM_LIMITED, Refused, asked, refusals

log = structlog.get_logger(__name__)
LIFE_IN_LEASES: Final = 3
FIRST_PAUSE: Final = 0.05  # seconds between two tries
LONGEST_PAUSE: Final = 2.0
CLAIM: Final = """
local answer = {}
for i, key in ipairs(KEYS) do
  local again = ARGV[3 + i]
  local mine = ARGV[1]
  if again and again ~= '0' then mine = mine .. ' ' .. again end
  if redis.call('SET', key, mine, 'NX', 'PX', ARGV[2]) then
    answer[i] = 'w'
  else
    local holder, held = string.match(redis.call('GET', key) or '', '^(%S*) ?(%d*)')
    if holder == ARGV[1] then
      answer[i] = 'm'
    elseif holder == '' or (tonumber(again) or 0) > (tonumber(held) or 0) and redis.call('EXISTS', ARGV[3] .. holder) == 0 then
      redis.call('SET', key, mine, 'PX', ARGV[2])
      answer[i] = 'w'
    else
      answer[i] = 'l'
    end
  end
end
return table.concat(answer)
"""

LET_GO: Final = """
for i, key in ipairs(KEYS) do
  if string.match(redis.call('GET', key) or '', '^%S*') == ARGV[1] then redis.call('DEL', key) end
end
return ''
"""

Verdict = Literal["won", "mine", "lost"] | Refused
_VERDICTS: Final[dict[int, Verdict]] = {ord("w"): "won", ord("m"): "mine", ord("l"): "lost"}
REFUSED: Final = ord("x")
NO_LIMITS: Final[Sequence[Sequence[Limit]]] = ()


class Claims(Protocol):
    async def claim(self, keys: Sequence[str], again: Sequence[int] = (), limits: Sequence[Sequence[Limit]] = NO_LIMITS) -> list[Verdict]:
        """`again`: how often each was offered again; empty: none was. `limits`: what each has to keep within; empty: nothing. "mine": this
        worker held it already.

        Raises `Unavailable` if what became of the claims is not known."""

    async def let_go(self, keys: Sequence[str]) -> None:
        """What this worker claimed and has not started may be another's. Best effort: else the claims run out."""


async def until_known(
    claims: Claims,
    keys: Sequence[str],
    again: Sequence[int],
    away: Callable[[bool], None],
    limits: Sequence[Sequence[Limit]] = NO_LIMITS,
) -> tuple[list[Verdict], bool]:
    """The verdicts, however long Redis is away (`away` is told so), and whether they answer a repeated question: then "mine" may have been
    won by an earlier one whose answer got lost."""
    pause, repeated = FIRST_PAUSE, False
    while True:
        try:
            verdicts = await claims.claim(keys, again, limits)
        except Unavailable as error:
            if not repeated:
                log.warning("nothing new is started until Redis is back", action="claims.away", error=str(error))
            repeated = True
            away(True)
            await asyncio.sleep(spread(pause))
            pause = min(LONGEST_PAUSE, pause * 2)
        else:
            away(False)
            return verdicts, repeated


class RedisClaims:
    def __init__(self, redis: "Redis", settings: Settings, worker: WorkerId) -> None:
        self._redis = redis
        self._worker = worker
        self._life_ms = round(LIFE_IN_LEASES * settings.limits.lease * 1000)
        self._lease_ms = round(settings.limits.lease * 1000)
        self._prefix = len(settings.redis_key("claim", ""))
        self._settings = settings
        self._workers = settings.redis_key("worker", "")

    async def claim(self, keys: Sequence[str], again: Sequence[int] = (), limits: Sequence[Sequence[Limit]] = NO_LIMITS) -> list[Verdict]:
        try:
            if limits:
                return await self._claim_within(keys, again or [0] * len(keys), limits)
            answer = await self._redis.eval(CLAIM, len(keys), *keys, self._worker, self._life_ms, self._workers, *again)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis did not take the claims: {error!r}") from error
        return _verdicts(answer, len(keys))

    async def _claim_within(self, keys: Sequence[str], again: Sequence[int], limits: Sequence[Sequence[Limit]]) -> list[Verdict]:
        """Still one round trip: what no limit bounds is claimed in it as ever."""
        bounded = [nth for nth, wanted in enumerate(limits) if wanted]
        free = [nth for nth, wanted in enumerate(limits) if not wanted]
        named = [keys[nth] for nth in bounded]
        known, said = asked([self.name_of(key) for key in named], [limits[nth] for nth in bounded])
        of_limits = [self._settings.redis_key(kind, limit.key) for limit in known for kind in ("places", "rate")]
        common = self._worker, self._life_ms, self._workers
        pipe = self._redis.pipeline(transaction=False)
        if free:
            pipe.eval(CLAIM, len(free), *(keys[nth] for nth in free), *common, *(again[nth] for nth in free))
        counts = [again[nth] for nth in bounded]
        pipe.eval(CLAIM_LIMITED, len(named) + len(of_limits), *named, *of_limits, *common, len(named), self._lease_ms, said, *counts)
        *unlimited, limited = await pipe.execute()
        found = dict(zip(bounded, _limited_verdicts(limited, len(named), known), strict=True))
        found.update(zip(free, _verdicts(unlimited[0], len(free)) if free else [], strict=True))
        return [found[nth] for nth in range(len(keys))]

    def name_of(self, claim: str) -> str:
        """As a holder of places: execution and token."""
        return claim[self._prefix :]

    async def let_go(self, keys: Sequence[str]) -> None:
        try:
            await self._redis.eval(LET_GO, len(keys), *keys, self._worker)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("claims were left to run out", action="claims.left", count=len(keys), error=repr(error))


def _verdicts(answer: object, count: int) -> list[Verdict]:
    if not isinstance(answer, bytes) or len(answer) != count:
        raise Unavailable(f"Redis answered {answer!r} to {count} claims")
    return [_VERDICTS[letter] for letter in answer]


def _limited_verdicts(answer: object, count: int, known: Sequence[Limit]) -> list[Verdict]:
    if not isinstance(answer, list) or not isinstance(answer[0], bytes) or len(answer[0]) != count:
        raise Unavailable(f"Redis answered {answer!r} to {count} claims")
    told = iter(refusals(answer[1:], known))
    return [next(told) if letter == REFUSED else _VERDICTS[letter] for letter in answer[0]]

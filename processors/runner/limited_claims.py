"""Claims of attempts that limits over all workers bound: both in one script, so that who gets the claim has its places too, or neither.

`concurrency`: a sorted set of who holds a place and until when; those that are over, or that a clock which was set back left far in the
future, are taken out first. `rate`: the generic cell rate algorithm, one figure a limit: when the next start would be due if all were
spaced evenly. Time is Redis' own, so the workers' clocks do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ledger.core.limits import Limit

CLAIM_LIMITED: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local count, life = tonumber(ARGV[4]), ARGV[5] * 1000
local asked = cjson.decode(ARGV[6])
local seen, letters, told = {}, {}, {}

local function look(l)
  local one = seen[l]
  if one then return one end
  local said = asked.limits[l]
  one = {most = said[1], interval = said[2], saved = said[3], used = 0, due = now}
  one.places, one.rate = KEYS[count + 2 * l - 1], KEYS[count + 2 * l]
  if one.most > 0 then
    redis.call('ZREMRANGEBYSCORE', one.places, '-inf', now)
    redis.call('ZREMRANGEBYSCORE', one.places, '(' .. string.format('%.0f', now + life), '+inf')
    one.used = redis.call('ZCARD', one.places)
  end
  if one.interval > 0 then
    local due = tonumber(redis.call('GET', one.rate) or '')
    if due and due > now and due <= now + one.saved + one.interval then one.due = due end
  end
  seen[l] = one
  return one
end

local function refused(wants, name, mine)
  for _, l in ipairs(wants) do
    local one = look(l)
    if one.most > 0 and one.used >= one.most and not redis.call('ZSCORE', one.places, name) then return l, -1 end
    if one.interval > 0 and not mine and one.due - one.saved > now then return l, one.due - one.saved - now end
  end
end

local function take(wants, name, mine)
  for _, l in ipairs(wants) do
    local one = look(l)
    if one.most > 0 then one.used = one.used + redis.call('ZADD', one.places, now + life, name) end
    if one.interval > 0 and not mine then one.due = one.due + one.interval end
    one.taken = true
  end
end

for i = 1, count do
  local key, again, value = KEYS[i], ARGV[6 + i], ARGV[1]
  if again ~= '0' then value = value .. ' ' .. again end
  local holder, held = string.match(redis.call('GET', key) or '', '^(%S*) ?(%d*)')
  local mine = holder == ARGV[1]
  if holder == '' or mine or (tonumber(again) > (tonumber(held) or 0) and redis.call('EXISTS', ARGV[3] .. holder) == 0) then
    local wants, name = asked.wants[i], asked.names[i]
    local l, wait = refused(wants, name, mine)
    if l then
      letters[i] = 'x'
      told[#told + 1] = l
      told[#told + 1] = wait
    else
      take(wants, name, mine)
      if not mine then redis.call('SET', key, value, 'PX', ARGV[2]) end
      letters[i] = mine and 'm' or 'w'
    end
  else
    letters[i] = 'l'
  end
end

for _, one in pairs(seen) do
  if one.taken and one.most > 0 then redis.call('PEXPIRE', one.places, ARGV[5]) end
  if one.taken and one.interval > 0 then
    redis.call('SET', one.rate, string.format('%.0f', one.due), 'PX', math.ceil((one.due - now) / 1000) + 1000)
  end
end
return {table.concat(letters), unpack(told)}
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not claimed, because this limit is reached. `wait` in seconds; None: until somebody who holds a place has ended."""

    limit: Limit
    wait: float | None


def asked(names: Sequence[str], limits: Sequence[Sequence[Limit]]) -> tuple[list[Limit], bytes]:
    """Each limit once, and what the script reads of all this."""
    numbers: dict[Limit, int] = {}
    wants = [[numbers.setdefault(limit, len(numbers) + 1) for limit in wanted] for wanted in limits]
    return list(numbers), msgspec.json.encode({"limits": [_figures(limit) for limit in numbers], "wants": wants, "names": names})


def _figures(limit: Limit) -> tuple[int, int, int]:
    rate = limit.rate
    return limit.concurrency or 0, 0 if rate is None else rate.interval_us, 0 if rate is None else rate.saved_us


def refusals(told: Sequence[object], known: Sequence[Limit]) -> list[Refused]:
    """What the script said after its letters: pairs of a limit and microseconds."""
    found: list[Refused] = []
    for number, wait in zip(told[::2], told[1::2], strict=True):
        assert isinstance(number, int)
        assert isinstance(wait, int)
        found.append(Refused(known[number - 1], None if wait < 0 else wait / 1e6))
    return found

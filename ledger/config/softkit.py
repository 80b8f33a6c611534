"""The layout of `@softkit/jobs`: a `jobsConfig:` root, camelCase keys, milliseconds. Read as it is, so a team moves without rewriting.

Keys that we have and `@softkit/jobs` has not may stand beside its own, in camelCase (`pauseOnFailure`). Other roots of such a file
belong to the application (`logs:`, `db:`) and are not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final

from ledger.config import softkit_redis
from ledger.config.complaints import no_such_key
from ledger.config.overlay import snake
from ledger.config.settings import Settings, SystemJob
from ledger.config.told import ROOT, Told, key_of
from ledger.config.yaml_text import Place
from ledger.core.refusal import Misconfigured

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DURATIONS: Final = frozenset({"every", "offset", "jitter", "timeout", "start_deadline", "backoff_first", "backoff_max", "window"})
_HISTORY: Final = "the log and the tables keep the whole history"
_LEFT_OUT: Final = {
    "removeOnComplete": _HISTORY,
    "removeOnFail": _HISTORY,
    "keepLogs": "logs go to your log system, with the job's identity",
    "stackTraceLimit": "an attempt keeps its error's type and message, the stack goes to your log system",
    "sizeLimit": "data may have 256 KB",
    "lifo": "executions wait by priority, then age",
    "failParentOnFailure": "executions have no parents",
    "removeDependencyOnFailure": "executions have no parents",
    "blockingConnection": softkit_redis.BY_ITSELF,
    "skipVersionCheck": softkit_redis.BY_ITSELF,
    "redisLockConfig": "locks are leased and renewed by the workers; `limits.lease` says how long",
    "applicationStartupLock": "starts need no lock: they are decided in one order in the registry",
    "systemJobLockTimeoutMillis": "starts need no lock: they are decided in one order in the registry",
    "count": "how often a version fired is counted in the log",
    "prevMillis": "the last tick is known from the log",
    "jobId": "the id of a system job is its name",
    "key": "the id of a system job is its name",
}
_REPEAT: Final = ("pattern", "every", "tz", "limit", "startDate", "endDate", "immediately", "offset")


def foreign_keys(told: Told) -> frozenset[str]:
    """The top-level keys that belong to the rest of the application. Only beside a `jobsConfig:`, and none that looks like a slip."""
    if ROOT not in told.values:
        return frozenset()
    ours = [*Settings.model_fields, ROOT]
    return frozenset(key for key in told.values if key not in ours and not get_close_matches(snake(key), ours, n=1, cutoff=0.75))


def understood(told: Told, foreign: frozenset[str] = frozenset()) -> tuple[Told, tuple[str, ...]]:
    """The same in our own layout, and what was left out. Raises `Misconfigured` for a key that is said twice."""
    if ROOT not in told.values:
        return told, ()
    work = _Translation(told, {key: value for key, value in told.values.items() if key != ROOT and key not in foreign})
    config = told.values[ROOT]
    work.root(config if config is not None else {}, (ROOT,))
    warnings = [f"{told.origin((key,)).where}: {key}: is no part of the jobs' configuration and was not read" for key in sorted(foreign)]
    return replace(told, values=work.values, renamed=work.renamed), (*work.warnings, *warnings)


@dataclass
class _Translation:
    """`old` is where something stands in the file, `new` where it belongs."""

    told: Told
    values: dict[str, object]
    renamed: dict[Place, Place] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def root(self, config: object, old: Place) -> None:
        theirs = "defaultJobOptions"  # last: it goes into our `defaults`, where there are some
        for key, value in sorted(self._mapping(config, old).items(), key=lambda one: one[0] == theirs):
            place = (*old, key)
            match key:
                case "jobs":
                    self._put(
                        ("jobs",), [self._job(one, ("jobs", n), (*place, n)) for n, one in enumerate(self._list(value, place))], place
                    )
                case "systemJobs":
                    self._system_jobs(value, place)
                case "redisConfig":
                    self._redis(value, place)
                case "defaultJobOptions":
                    self._default_options(value, place)
                case _ if not self._left_out(key, place):
                    self._put((snake(key),), self._native(value, (snake(key),), place), place)

    def _default_options(self, value: object, old: Place) -> None:
        if not isinstance(defaults := self.values.get("defaults") or {}, dict):
            return  # which is told of `defaults` itself
        if defaults.get("options") is not None:
            raise self._twice(("defaults", "options"), old)
        self.values["defaults"] = {**defaults, "options": self._options(value, ("defaults", "options"), old)}
        if not defaults:
            self.renamed["defaults",] = old

    def _system_jobs(self, value: object, old: Place) -> None:
        """A list, or a mapping with a list of `jobs`."""
        if isinstance(value, dict):
            for key in value:
                if key != "jobs" and not self._left_out(key, (*old, key)):
                    raise self._wrong((*old, key), "there is no such key; there are jobs, systemJobLockTimeoutMillis")
            old, value = (*old, "jobs"), value.get("jobs")
        jobs = [self._system_job(one, ("system_jobs", n), (*old, n)) for n, one in enumerate(self._list(value, old))]
        self._put(("system_jobs",), jobs, old)

    def _job(self, value: object, new: Place, old: Place) -> object:
        made: dict[str, object] = {}
        self.renamed[new] = old
        for key, one in self._mapping(value, old).items():
            self._job_key(key, one, made, new, (*old, key))
        return made

    def _system_job(self, value: object, new: Place, old: Place) -> object:
        made: dict[str, object] = {}
        self.renamed[new] = old
        for key, one in self._mapping(value, old).items():
            place = (*old, key)
            match key:
                case "repeat":
                    self._repeat(one, made, new, place)
                case "jobData":
                    self._set(made, new, "data", one, place)
                case _:
                    self._job_key(key, one, made, new, place)
        return made

    def _job_key(self, key: str, value: object, made: dict[str, object], new: Place, old: Place) -> None:
        match key:
            case "jobVersion":
                self._set(made, new, "version", value, old)
            case "defaultJobOptions" | "options":
                options = self._options(value, (*new, "options"), old)
                before = made.get("options")
                made["options"] = {**before, **options} if isinstance(before, dict) else options
            case _ if not self._left_out(key, old):
                self._set(made, new, snake(key), self._native(value, (*new, snake(key)), old), old)

    def _repeat(self, value: object, made: dict[str, object], new: Place, old: Place) -> None:
        for key, one in self._mapping(value, old).items():
            place = (*old, key)
            match key:
                case "pattern":
                    self._set(made, new, "cron", one, place)
                case "tz":
                    self._set(made, new, "timezone", one, place)
                case "startDate" | "endDate":
                    self._set(made, new, key.removesuffix("Date"), _instant(one), place)
                case _ if snake(key) not in SystemJob.model_fields and key not in _LEFT_OUT:
                    raise self._unknown(place, _REPEAT)
                case _ if not self._left_out(key, place):
                    self._set(made, new, snake(key), self._native(one, (*new, snake(key)), place), place)

    def _options(self, value: object, new: Place, old: Place) -> dict[str, object]:
        made: dict[str, object] = {}
        self.renamed[new] = old
        for key, one in self._mapping(value, old).items():
            place = (*old, key)
            if key == "backoff" and isinstance(one, dict):
                for name, written in one.items():
                    ours = {"type": "backoff", "delay": "backoff_first"}.get(name)
                    if ours is None:
                        raise self._wrong((*place, name), "there is no such key; there are type, delay")
                    self._set(made, new, ours, _duration(ours, written), (*place, name))
            elif key == "backoff" and (pause := _milliseconds(one)) != one:
                self._set(made, new, "backoff", "fixed", place)
                self._set(made, new, "backoff_first", pause, place)
            elif key == "repeat":
                self.warnings.append(f"{self._said(place)}: was left out: a job of `jobs` is scheduled by a command, of `systemJobs` here")
            elif not self._left_out(key, place):
                self._set(made, new, snake(key), _duration(snake(key), one), place)
        return made

    def _redis(self, value: object, old: Place) -> None:
        """The first connection is ours; `commonConfig` stands below it."""
        redis = self._mapping(value, old)
        for key in redis:
            if key not in ("config", "commonConfig") and not self._left_out(key, (*old, key), softkit_redis.SECTION_LEFT_OUT):
                raise self._unknown((*old, key), ["config", "commonConfig", *softkit_redis.SECTION_LEFT_OUT])
        config, place = redis.get("config"), (*old, "config")
        if isinstance(config, list):
            if len(config) > 1:
                self.warnings.append(f"{self._said((*place, 1))}: was left out: one connection is used, the first")
            config, place = (config[0] if config else {}), (*place, 0)
        parts = [*self._connection(redis.get("commonConfig") or {}, (*old, "commonConfig")), *self._connection(config or {}, place)]
        said = {str(one[-1]): (value, one) for one, value in parts}
        try:
            url = softkit_redis.address_of({key: value for key, (value, _) in said.items()})
        except softkit_redis.Unfit as unfit:
            raise self._wrong((*said[unfit.keys[0]][1], *unfit.keys[1:]), str(unfit)) from None
        self._put(("redis",), {"url": url}, place)
        self.renamed["redis", "url"] = place

    def _connection(self, value: object, old: Place) -> Iterator[tuple[Place, object]]:
        """What of it is part of the address, with its place."""
        for key, one in self._mapping(value, old).items():
            place = (*old, key)
            if key in softkit_redis.IN_THE_ADDRESS:
                yield place, one
            elif key in softkit_redis.SEVERAL_SERVERS:
                raise self._wrong(place, softkit_redis.ONE_SERVER)
            elif key not in softkit_redis.NAMES and not self._left_out(key, place, softkit_redis.LEFT_OUT):
                known = [*softkit_redis.IN_THE_ADDRESS, *softkit_redis.NAMES, *softkit_redis.LEFT_OUT]
                raise self._unknown(place, known, softkit_redis.IN_THE_ADDRESS)

    def _native(self, value: object, new: Place, old: Place) -> object:
        """Our own keys in camelCase, at whatever depth, except inside data."""
        match value:
            case dict() if new[-1] not in ("data", "queues", "tenants"):
                made = {}
                for key, one in value.items():
                    self.renamed[*new, snake(key)] = (*old, key)
                    made[snake(key)] = self._native(one, (*new, snake(key)), (*old, key))
                return made
        match new[0]:
            case "limits":
                return value  # in seconds
            case "keep":
                return _milliseconds(value)
        return _duration(str(new[-1]), value)

    def _set(self, made: dict[str, object], new: Place, name: str, value: object, old: Place) -> None:
        if name in made:
            raise self._wrong(old, f"says `{name}` a second time, first as `{key_of(self.renamed[*new, name])}`: keep one")
        made[name] = value
        self.renamed[*new, name] = old

    def _put(self, new: Place, value: object, old: Place) -> None:
        name = str(new[0])
        if name in self.values:
            raise self._twice((name,), old)
        self.values[name] = value
        self.renamed[new] = old

    def _twice(self, new: Place, old: Place) -> Misconfigured:
        first = self.told.origin(self.renamed.get(new, new)).where
        return self._wrong(old, f"says `{key_of(new)}` a second time, first at {first}: keep one")

    def _left_out(self, key: str, place: Place, reasons: Mapping[str, str] = _LEFT_OUT) -> bool:
        if (why := reasons.get(key)) is not None:
            self.warnings.append(f"{self._said(place)}: was left out: {why}")
        return why is not None

    def _mapping(self, value: object, place: Place) -> dict[str, object]:
        if not isinstance(value, dict):
            raise self._wrong(place, "has to be a section with keys of its own")
        return value

    def _list(self, value: object, place: Place) -> list[object]:
        if not isinstance(value, list | None):
            raise self._wrong(place, "has to be a list of jobs, each after a dash")
        return value or []

    def _said(self, place: Place) -> str:
        origin = self.told.origin(place)
        return f"{origin.where}: {origin.key}"

    def _unknown(self, place: Place, known: Sequence[str], shown: Sequence[str] | None = None) -> Misconfigured:
        return self._wrong(place, no_such_key(str(place[-1]), known, shown))

    def _wrong(self, place: Place, what: str) -> Misconfigured:
        return Misconfigured(f"{self._said(place)}: {what}")


def _duration(name: str, value: object) -> object:
    return _milliseconds(value) if name in _DURATIONS else value


def _milliseconds(value: object) -> object:
    """A plain number, where a duration is meant."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and value.strip().isascii() and value.strip().lstrip("-").isdigit()):
        return f"{str(value).strip()}ms"
    return value


def _instant(value: object) -> object:
    """A plain number is milliseconds since 1970, as JavaScript has it."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 253_402_300_800_000:
        return (_EPOCH + timedelta(milliseconds=value)).isoformat().replace("+00:00", "Z")
    return value

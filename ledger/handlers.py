"""The registry of handlers: which code runs a job, and how. An instance, handed to whoever needs it; importing declares nothing.

jobs = Jobs()

@jobs.job("send-invoice", version=3, timeout="10m", retries=Retry(attempts=5))
async def send_invoice(data: Invoice, ctx: Context) -> Receipt: ...
"""

import inspect
import types
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal, TypeVar

from ledger.config.fields import check_job_name
from ledger.config.named import module_of
from ledger.context import Context
from ledger.core.limits import Rate, parse_rate
from ledger.core.refusal import Misconfigured, Refused
from ledger.core.retry import Policy
from ledger.signature import Signature, read_signature, runs_async
from ledger.terms import Duration, Exclusive, ExclusiveScope, Retry, is_whole, milliseconds

RunIn = Literal["async", "thread", "process"]
CallNext = Callable[[], Awaitable[object]]
Middleware = Callable[[Context, CallNext], Awaitable[object]]

DEFAULT_QUEUE = "default"
DEFAULT_TIMEOUT = "15m"

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Handler:
    """A declared job. `place` is where its code stands; `concurrency` and `rate` bound its attempts over all workers."""

    name: str
    version: int
    minimal_supported_version: int
    queue: str
    exclusive: Exclusive | None
    concurrency: int | None
    timeout_ms: int
    retries: Retry
    policy: Policy
    run_in: RunIn
    configured: bool
    function: Callable[..., object]
    signature: Signature
    place: str
    rate: Rate | None = None
    middleware: tuple[Middleware, ...] = ()  # the first is the outermost


@dataclass(slots=True)
class Jobs:
    """Handlers by job name.

    `middleware` stands around each of them: async callables that take the context and `call_next`, which performs the handler (or the
    next of them) and returns its result. They see only attempts whose data fits, may return something else, `Snooze` and `Cancel` included,
    and what they raise is the attempt's failure. They run where the handler does: with one of `run_in="process"` in its process.

    >>> import asyncio, time
    >>> from ledger import Context, Jobs
    >>> async def timed(ctx: Context, call_next: CallNext) -> object:
    ...     began = time.perf_counter()
    ...     try:
    ...         return await call_next()
    ...     finally:
    ...         ctx.log.info("took", seconds=time.perf_counter() - began)
    >>> jobs = Jobs(middleware=[timed])
    >>> @jobs.job("double")
    ... async def double(data: int) -> int:
    ...     return 2 * data
    >>> [handler.middleware == (timed,) for handler in jobs]
    [True]
    """

    _handlers: dict[str, Handler] = field(default_factory=dict)
    middleware: Sequence[Middleware] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        for one in self.middleware:
            if not runs_async(one):
                raise Misconfigured(f"middleware {one!r}: write it as `async def name(ctx, call_next)` that awaits `call_next()`")

    def job(
        self,
        name: str,
        *,
        version: int = 1,
        minimal_supported_version: int = 1,
        queue: str = DEFAULT_QUEUE,
        exclusive: Exclusive | ExclusiveScope | None = None,
        concurrency: int | None = None,
        rate: str | None = None,
        timeout: Duration = DEFAULT_TIMEOUT,
        retries: Retry | None = None,
        run_in: RunIn | None = None,
        configured: bool = True,
    ) -> Callable[[F], F]:
        """Declare the decorated function as the handler of `name`; the function itself stays as it is.

        `version` is the newest data it understands, where versions are numbered by hand or in a file: what users edit is numbered by its
        content, and is for any handler. `concurrency` and `rate` (`"100/s"`) hold over all workers.
        `run_in` is by default "async" for coroutines and "thread" for plain functions;
        "process" gives a plain function a process of its own: for code that reckons, and so that it can be killed when its time is up.
        `exclusive="tenant"` is short for `Exclusive("tenant")`. `configured=False`: no file needs to name this job."""
        if callable(name):
            raise Misconfigured(f'{place_of(name)}: a handler is declared by its name, as `@jobs.job("clean-carts")`')

        def declare(function: F) -> F:
            place = place_of(function)
            signature = read_signature(function, place)
            _check_name(name, place)
            _check_versions(version, minimal_supported_version, place)
            if concurrency is not None and (not is_whole(concurrency) or concurrency < 1):
                raise Misconfigured(f"{place}: concurrency={concurrency!r}: a whole number from 1, or leave it out")
            _check_kind("queue", queue, str, "the name of one, as 'mail'", place)
            _check_kind("exclusive", exclusive, Exclusive | str | None, "as Exclusive('tenant')", place)
            _check_kind("retries", retries, Retry | None, "as Retry(attempts=3)", place)
            policy = retries or Retry()
            handler = Handler(
                name=name,
                version=version,
                minimal_supported_version=minimal_supported_version,
                queue=queue,
                exclusive=Exclusive(exclusive) if isinstance(exclusive, str) else exclusive,
                concurrency=concurrency,
                timeout_ms=milliseconds(timeout, f"timeout of {name}", zero=False),
                retries=policy,
                policy=policy.policy(),
                run_in=_where_to_run(run_in, signature, place),
                configured=configured,
                rate=_rate_of(rate, place),
                function=function,
                signature=signature,
                place=place,
                middleware=tuple(self.middleware),
            )
            self._add(handler)
            return function

        return declare

    def include(self, other: "Jobs") -> None:
        """Take over the handlers of another registry, all or none. Its middleware stays with them, inside this one's."""
        for handler in other:
            self._refuse_duplicate(handler)
        for handler in other:
            self._add(replace(handler, middleware=(*self.middleware, *handler.middleware)))

    def _add(self, handler: Handler) -> None:
        self._refuse_duplicate(handler)
        self._handlers[handler.name] = handler

    def _refuse_duplicate(self, handler: Handler) -> None:
        known = self._handlers.get(handler.name)
        if known is not None:
            raise Misconfigured(f"two handlers are called {handler.name!r}: {known.place} and {handler.place}; rename one of them")

    def bounded(self, concurrency: Mapping[str, int], rates: Mapping[str, Rate] = MappingProxyType({})) -> "Jobs":
        """The same handlers, those that are named with another `concurrency` or `rate`: settings go before the declaration."""
        return Jobs(
            {
                name: replace(one, concurrency=concurrency.get(name, one.concurrency), rate=rates.get(name, one.rate))
                for name, one in self._handlers.items()
            }
        )

    def get(self, name: str) -> Handler | None:
        return self._handlers.get(name)

    def find(self, name: str) -> Handler:
        """The handler of this name. Raises `Refused("unknown_handler")` with a near miss."""
        handler = self._handlers.get(name)
        if handler is None:
            raise Refused("unknown_handler", f"no handler is called {name!r}{near_miss(name, list(self._handlers))}")
        return handler

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    def __len__(self) -> int:
        return len(self._handlers)

    def __contains__(self, name: object) -> bool:
        return name in self._handlers


def load_jobs(target: str) -> Jobs:
    """The registry at `module:attribute`. Raises `Misconfigured` with what is there instead."""
    module, attribute = module_of("app", target, "jobs:jobs")
    found: object = getattr(module, attribute, None)
    if not isinstance(found, Jobs):
        candidates = [name for name, value in vars(module).items() if isinstance(value, Jobs)]
        have = f"it has {', '.join(candidates)}" if candidates else "it declares no `jobs = Jobs()`"
        raise Misconfigured(f"app {target!r}: {module.__name__} has no registry of jobs called {attribute!r}; {have}")
    return found


def near_miss(name: str, known: list[str]) -> str:
    """What to say after "there is no such": a near miss, or what there is."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(sorted(known)[:10])}" if known else "; none is declared"


def place_of(function: Callable[..., object]) -> str:
    """File, line and name of a function, for messages."""
    code = inspect.unwrap(function)
    try:
        line = inspect.getsourcelines(code)[1]
        return f"{inspect.getsourcefile(code)}:{line} ({getattr(code, '__qualname__', code)})"
    except (OSError, TypeError):
        return f"{getattr(code, '__module__', '?')}.{getattr(code, '__qualname__', code)}"


def _check_name(name: object, place: str) -> None:
    try:
        check_job_name(name)
    except ValueError as error:
        raise Misconfigured(f"{place}: {error}") from None


def _check_versions(version: int, minimal: int, place: str) -> None:
    if not is_whole(version) or not is_whole(minimal) or not 1 <= minimal <= version:
        raise Misconfigured(
            f"{place}: version={version!r}, minimal_supported_version={minimal!r}: "
            "both are whole numbers from 1, the minimal not above the other"
        )


def _check_kind(name: str, value: object, kind: type | types.UnionType, how: str, place: str) -> None:
    if not isinstance(value, kind):
        raise Misconfigured(f"{place}: {name}={value!r}: write it {how}")


def _rate_of(rate: str | None, place: str) -> Rate | None:
    _check_kind("rate", rate, str | None, "as '100/s'", place)
    try:
        return None if rate is None else parse_rate(rate)
    except Refused as refused:
        raise Misconfigured(f"{place}: {refused.detail}") from refused


def _where_to_run(run_in: RunIn | None, signature: Signature, place: str) -> RunIn:
    fitting: RunIn = "async" if signature.is_async else "thread"
    if run_in is None or run_in == fitting or (run_in == "process" and not signature.is_async):
        return run_in or fitting
    kind = "an async" if signature.is_async else "a plain"
    raise Misconfigured(f"{place} is {kind} function: run_in={run_in!r} does not fit; leave it out (then it is {fitting!r})")

"""The registry of handlers: what a declaration accepts, refuses and remembers."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.context import Context
from ledger.core.refusal import Misconfigured, Refused
from ledger.core.retry import Policy
from ledger.handlers import Jobs, load_jobs
from ledger.terms import Exclusive, Retry
from projections.known import known


def a_job(ctx: Context) -> None: ...


async def an_async_job(data: dict[str, int]) -> int:
    return data["n"]


def test_a_declared_function_stays_what_it_is_and_is_found_by_its_name() -> None:
    jobs = Jobs()
    assert jobs.job("sync")(a_job) is a_job
    assert jobs.find("sync").function is a_job
    assert "sync" in jobs
    assert len(jobs) == 1


def test_everything_that_is_declared_is_remembered() -> None:
    jobs = Jobs()
    jobs.job(
        "send-invoice",
        version=3,
        minimal_supported_version=2,
        queue="mail",
        exclusive=Exclusive("tenant", busy="skip"),
        concurrency=4,
        timeout="10m",
        retries=Retry(attempts=5, backoff="fixed", first=timedelta(seconds=1.5)),
        configured=False,
    )(an_async_job)
    handler = jobs.find("send-invoice")
    assert (handler.version, handler.minimal_supported_version, handler.queue, handler.concurrency) == (3, 2, "mail", 4)
    assert (handler.timeout_ms, handler.run_in, handler.configured) == (600_000, "async", False)
    assert handler.exclusive == Exclusive("tenant", busy="skip")
    assert handler.policy == Policy(5, "fixed", 1500, 3_600_000)


def test_settings_go_before_the_declared_concurrency() -> None:
    jobs = Jobs()
    jobs.job("a", concurrency=4)(a_job)
    jobs.job("b", concurrency=4)(a_job)
    assert [handler.concurrency for handler in jobs.bounded({"a": 1, "nowhere": 2})] == [1, 4]
    assert jobs.find("a").concurrency == 4


def test_what_is_left_out_has_the_documented_defaults() -> None:
    jobs = Jobs()
    jobs.job("sync")(a_job)
    handler = jobs.find("sync")
    assert (handler.version, handler.minimal_supported_version, handler.queue) == (1, 1, "default")
    assert (handler.timeout_ms, handler.run_in, handler.concurrency, handler.exclusive) == (900_000, "thread", None, None)
    assert handler.policy == Policy(3, "exponential", 15_000, 3_600_000)


def test_a_second_handler_of_a_name_is_refused_at_once_with_both_places() -> None:
    jobs = Jobs()
    jobs.job("sync")(a_job)
    with pytest.raises(Misconfigured) as refusal:
        jobs.job("sync")(an_async_job)
    assert "(a_job)" in str(refusal.value)
    assert "(an_async_job)" in str(refusal.value)
    assert "test_jobs.py:" in str(refusal.value)


def test_including_a_registry_takes_all_of_its_handlers_or_none() -> None:
    ours, theirs = Jobs(), Jobs()
    ours.job("sync")(a_job)
    theirs.job("report")(a_job)
    theirs.job("sync")(an_async_job)
    with pytest.raises(Misconfigured, match="two handlers are called 'sync'"):
        ours.include(theirs)
    assert [handler.name for handler in ours] == ["sync"]
    other = Jobs()
    other.include(theirs)
    assert {handler.name for handler in other} == {"report", "sync"}


def test_a_name_that_is_not_there_is_answered_with_a_near_miss() -> None:
    jobs = Jobs()
    jobs.job("sync-integrations")(a_job)
    with pytest.raises(Refused, match="did you mean 'sync-integrations'"):
        jobs.find("sync-integration")
    with pytest.raises(Refused, match="there are sync-integrations"):
        jobs.find("zzz")


def two_data(first: int, second: int) -> None: ...
def keyword_only(data: int, *, flag: bool) -> None: ...
def of_an_unknown_type(data: "NoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # that is the point


async def async_generator(data: int) -> AsyncIterator[int]:
    yield data


@dataclass
class NotJson:
    what: "type[NotJson] | None" = None


def context_first(ctx: Context, data: int) -> None: ...
def context_by_name(data: int, *, ctx: Context | None = None) -> None: ...
def more_with_a_default(data: int, limit=10) -> None: ...  # type: ignore[no-untyped-def]
def whatever_comes(*args: object) -> None: ...
def whatever_is_named(data: int, **more: object) -> None: ...


class Generator:
    async def __call__(self, data: int) -> AsyncIterator[int]:
        yield data


@pytest.mark.parametrize(
    "function",
    [
        two_data,
        keyword_only,
        of_an_unknown_type,
        async_generator,
        context_first,
        context_by_name,
        more_with_a_default,
        whatever_comes,
        whatever_is_named,
    ],
)
def test_a_signature_that_is_no_handlers_is_refused_with_its_place(function: object) -> None:
    with pytest.raises(Misconfigured, match=r"test_jobs\.py:"):
        Jobs().job("x")(function)  # type: ignore[type-var]  # that is the point


def test_an_object_that_is_called_as_a_generator_is_refused() -> None:
    with pytest.raises(Misconfigured, match="is a generator"):
        Jobs().job("x")(Generator())


def test_a_refused_signature_is_told_without_the_values_of_its_defaults() -> None:
    def secretive(first: int, second: int = 4711, *, token: str = "hunter2") -> None: ...

    with pytest.raises(Misconfigured, match=r"takes \(first, second, \*, token\): a handler takes its data") as refusal:
        Jobs().job("x")(secretive)
    assert "hunter2" not in str(refusal.value)


def with_defaults(data: int = 7, ctx: Context | None = None) -> None: ...
def context_alone(ctx: Context | None = None) -> None: ...
def with_a_switch(data: int, *, dry: bool = False) -> None: ...


def test_parameters_with_defaults_are_given_what_those_without_are() -> None:
    jobs = Jobs()
    handlers: list[Callable[..., object]] = [with_defaults, context_alone, with_a_switch]
    for number, function in enumerate(handlers):
        jobs.job(str(number))(function)
    roles = [(handler.signature.takes_data, handler.signature.takes_context) for handler in jobs]
    assert roles == [(True, True), (False, True), (True, False)]


class Called:
    async def __call__(self, data: int, ctx: Context) -> None: ...


async def with_more(more: int, data: int) -> None: ...


def test_what_makes_a_coroutine_is_awaited_however_it_is_written() -> None:
    jobs = Jobs()
    handlers: list[Callable[..., object]] = [Called(), partial(Called()), partial(with_more, 3), Called().__call__]
    for number, function in enumerate(handlers):
        jobs.job(str(number))(function)
    assert [handler.run_in for handler in jobs] == ["async"] * 4


def test_a_handler_may_do_without_a_parameter_it_does_not_use() -> None:
    jobs = Jobs()
    jobs.job("a")(a_job)

    @jobs.job("b")
    def nothing() -> None: ...

    @jobs.job("c")
    def unannotated(data, ctx): ...  # type: ignore[no-untyped-def]

    roles = [(handler.signature.takes_data, handler.signature.takes_context) for handler in jobs]
    assert roles == [(False, True), (False, False), (True, True)]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"version": 0}, "version=0"),
        ({"version": 2, "minimal_supported_version": 3}, "minimal_supported_version=3"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"timeout": "0s"}, "timeout of x"),
        ({"timeout": 90}, "write a text with its unit"),
        ({"timeout": "soon"}, "timeout of x"),
        ({"run_in": "async"}, "does not fit"),
        ({"version": "2"}, "version='2'"),
        ({"version": True}, "version=True"),
        ({"concurrency": "4"}, "concurrency='4'"),
        ({"concurrency": 1.5}, "concurrency=1.5"),
        ({"rate": 10}, "rate=10: write it as '100/s'"),
        ({"queue": None}, "queue=None"),
        ({"retries": 3}, r"retries=3: write it as Retry\(attempts=3\)"),
        ({"exclusive": True}, r"exclusive=True: write it as Exclusive\('tenant'\)"),
        ({"exclusive": "nope"}, "scope='nope'.*: one of 'job', 'tenant', 'key'"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(declaration: dict[str, object], message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        Jobs().job("x", **declaration)(a_job)  # type: ignore[arg-type]  # that is the point


def test_a_decorator_without_a_name_is_refused_and_declares_nothing() -> None:
    jobs = Jobs()
    with pytest.raises(Misconfigured, match=r"test_jobs\.py:.*a handler is declared by its name"):
        jobs.job(a_job)  # type: ignore[arg-type]  # that is the point


def test_a_scope_alone_says_what_is_exclusive() -> None:
    jobs = Jobs()
    jobs.job("a", exclusive="tenant")(a_job)
    assert jobs.find("a").exclusive == Exclusive("tenant")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Retry(attempts=2.5), "attempts=2.5"),  # type: ignore[arg-type]  # that is the point
        (lambda: Retry(attempts="3"), "attempts='3'"),  # type: ignore[arg-type]
        (lambda: Retry(backoff="linear"), "backoff='linear'.*: one of 'exponential', 'fixed'"),  # type: ignore[arg-type]
        (lambda: Exclusive("nope"), "scope='nope'"),  # type: ignore[arg-type]
        (lambda: Exclusive("key", busy="never"), "busy='never'"),  # type: ignore[arg-type]
        (lambda: Exclusive("key", field="a..b"), "field='a..b'"),
        (lambda: Exclusive("key", field=""), "field=''"),
        (lambda: Exclusive("tenant", field="a"), "exclusive by tenant with the field 'a'"),
    ],
)
def test_terms_that_cannot_be_are_refused_where_they_are_written(make: Callable[[], object], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        make()


@pytest.mark.parametrize("name", ["a b", "a/b", "a..b", "~a", "", None])
def test_a_name_that_no_job_can_have_is_refused_at_once(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"is no name of a job: it .*; 1 to 200 of"):
        Jobs().job(name)(a_job)


def test_code_for_a_process_of_its_own_is_accepted_where_it_is_plain() -> None:
    jobs = Jobs()
    jobs.job("cpu", run_in="process")(a_job)
    assert jobs.find("cpu").run_in == "process"
    with pytest.raises(Misconfigured, match="does not fit"):
        jobs.job("no", run_in="process")(an_async_job)


def test_retries_are_for_the_errors_that_are_named() -> None:
    assert Retry().allows(ValueError())
    assert Retry(on=(OSError,)).allows(ConnectionError())
    assert not Retry(on=(OSError,)).allows(ValueError())
    assert not Retry(on=(OSError,), never=(ConnectionError,)).allows(ConnectionError())
    with pytest.raises(Misconfigured, match="attempts=0"):
        Retry(attempts=0)
    for wrong in ([KeyError], KeyError, ("KeyError",), (int,)):
        for name in ("on", "never"):
            with pytest.raises(Misconfigured, match=f"{name}=.*a tuple of exceptions"):
                Retry(**{name: wrong})  # type: ignore[arg-type]  # that is the point


def test_a_registry_is_found_where_the_settings_say(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "some_jobs.py").write_text("from ledger.handlers import Jobs\njobs = Jobs()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(load_jobs("some_jobs:jobs"), Jobs)
    with pytest.raises(Misconfigured, match="it has jobs"):
        load_jobs("some_jobs:job")
    with pytest.raises(Misconfigured, match="there is no module 'no_such_module'"):
        load_jobs("no_such_module:jobs")
    for no_target in ("some_jobs", "./some_jobs:jobs"):
        with pytest.raises(Misconfigured, match="module:attribute"):
            load_jobs(no_target)


@pytest.mark.parametrize("terms", ["retries=Retry(attempts=0)", "exclusive='tennant'", "timeout='5'", "concurrency=0"])
def test_wrong_terms_are_told_with_their_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terms: str) -> None:
    module = f"terms_{len(terms)}"
    code = f"from ledger import Jobs, Retry\njobs = Jobs()\n@jobs.job('a', {terms})\ndef a() -> None: ...\n"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Misconfigured, match=rf"^{tmp_path}/{module}\.py:3") as refusal:
        load_jobs(f"{module}:jobs")
    assert str(refusal.value).count(module) == 1  # and not twice


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("\ndef a(:", 2, "SyntaxError: invalid syntax"),
        ("import no_such_library", 1, "ModuleNotFoundError: No module named 'no_such_library'"),
        ("import json\n\njson.loads('nonsense')", 3, "JSONDecodeError: Expecting value"),
        ("import sys\nsys.exit(3)", 2, "SystemExit: 3"),
    ],
)
def test_handlers_that_cannot_be_imported_are_told_with_their_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, line: int, said: str
) -> None:
    module = f"broken_{len(code)}"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Misconfigured, match=rf"^app '{module}:jobs': it cannot be imported: {tmp_path}/{module}\.py:{line}: {said}"):
        load_jobs(f"{module}:jobs")


def test_a_projection_that_cannot_be_imported_is_told_like_handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_projection.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Misconfigured, match=r"broken_projection\.py:1: ZeroDivisionError"):
        known(Settings(projections=["broken_projection:costs"]))

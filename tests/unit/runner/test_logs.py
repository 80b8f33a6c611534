"""Every line says which attempt it belongs to, whoever wrote it and in whatever thread."""

import asyncio
import io
import json
import logging
from contextlib import suppress

import pytest
import structlog
from structlog.testing import capture_logs

from ledger.context import Context
from ledger.terms import Exclusive
from processors import logs
from processors.runner.perform import in_task
from processors.runner.submits import Submits, Submitting
from tests.unit.runner.runner_fakes import FakeClient, FakeSender, World, accepted, offer, record_of


@pytest.fixture
def output(request: pytest.FixtureRequest) -> io.StringIO:
    """What is logged, as JSON where the test asks for no other format."""
    stream = io.StringIO()
    logs.configure(getattr(request, "param", "json"), "INFO", stream)
    return stream


def lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


async def test_lines_of_user_code_carry_the_ids_in_tasks_in_threads_and_from_any_logger(world: World, output: io.StringIO) -> None:
    theirs = logging.getLogger("some.library")

    @world.jobs.job("async")
    async def in_task(ctx: Context) -> None:
        ctx.log.info("from the context", answer=42)
        theirs.warning("from %s", "a library")
        await asyncio.to_thread(theirs.warning, "from a thread of its own")

    @world.jobs.job("thread")
    def in_thread(ctx: Context) -> None:
        theirs.warning("from the job's thread")

    world.begin().take(record_of(offer(0, "async"), offer(2, "thread", attempt=2)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    found = {str(line["event"]): line for line in lines(output)}
    for event in ("from the context", "from a library", "from a thread of its own"):
        assert found[event]["execution_id"] == offer(0).execution_id
        assert (found[event]["job_id"], found[event]["job_name"], found[event]["job_version"]) == ("async", "async", 1)
        assert (found[event]["attempt"], found[event]["tenant"]) == (1, None)
    assert (found["from the job's thread"]["execution_id"], found["from the job's thread"]["attempt"]) == (offer(2).execution_id, 2)
    assert (found["from the context"]["answer"], found["from the context"]["logger"]) == (42, "async")


async def test_a_thread_that_is_used_again_does_not_speak_for_the_attempt_before(world: World, output: io.StringIO) -> None:
    @world.jobs.job("thread")
    def in_thread() -> None: ...

    world.begin().take(record_of(offer(0, "thread")))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    await asyncio.get_running_loop().run_in_executor(world.threads, logging.getLogger("x").warning, "nobody's")
    assert "execution_id" not in lines(output)[-1]


async def test_a_line_that_names_another_execution_is_not_given_the_ids_of_the_one_that_runs(world: World, output: io.StringIO) -> None:
    @world.jobs.job("sync")
    async def sync(ctx: Context) -> None:
        ctx.log.info("other", execution_id="e1-0")
        logging.getLogger("some.library").warning("other", extra={"execution_id": "e1-0"})
        ctx.log.info("ours", tenant="theirs")

    world.begin().take(record_of(offer(0, "sync", tenant="acme")))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    *others, ours = lines(output)
    assert [(line["execution_id"], line.keys() & {"job_id", "job_name", "attempt", "tenant"}) for line in others] == [("e1-0", set())] * 2
    assert (ours["execution_id"], ours["tenant"], ours["attempt"]) == (offer(0).execution_id, "theirs", 1)


class Says(FakeSender):
    """As the real one, where a broker refuses a record."""

    async def send(self, partition: int, record: bytes) -> None:
        structlog.get_logger("sender").warning("sends")
        await super().send(partition, record)


class SaysToo(FakeClient):
    async def opening(self) -> "SaysToo":
        structlog.get_logger("client").warning("opens")
        await super().opening()
        return self


async def test_what_an_attempt_sets_in_motion_does_not_speak_for_it(output: io.StringIO) -> None:
    world = World(sender=Says())
    world.ways["async"] = Submitting(in_task, Submits(SaysToo().opening))

    @world.jobs.job("sync")
    async def sync(ctx: Context) -> None:
        for percent in range(3):
            await ctx.progress(percent)
            await asyncio.sleep(0.3)  # told at once, and by a timer
        await ctx.submit("mail")
        theirs.append(asyncio.create_task(asyncio.to_thread(ctx.log.info, "mine")))

    theirs: list[asyncio.Task[None]] = []
    world.begin().take(record_of(offer(0, "sync")))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    await theirs[0]
    found = {(line["event"], line.get("execution_id")) for line in lines(output)}
    assert found == {("sends", None), ("opens", None), ("mine", offer(0).execution_id)}
    await world.end()


async def test_what_goes_on_too_long_is_told_by_its_own_name(world: World, output: io.StringIO) -> None:
    """It gets the slot of another, and its timer begins there."""
    world.limits = world.limits.model_copy(update={"slots": 1})
    world.answers = False
    ends = asyncio.Event()

    @world.jobs.job("first")
    async def first() -> None:
        await ends.wait()

    @world.jobs.job("stubborn", timeout="100ms", exclusive=Exclusive("key"))
    async def stubborn() -> None:
        while not world.stuck.is_set():
            with suppress(asyncio.CancelledError):
                await world.stuck.wait()

    runner = world.begin()
    runner.take(record_of(stubborn_offer := offer(4, "stubborn", key="k")))
    await world.sender.until(lambda: bool(world.sender.reports))
    runner.take(record_of(offer(2, "first", tenant="acme")))
    await world.sender.until(lambda: len(world.sender.reports) == 2)
    runner.obey(accepted(stubborn_offer))
    ends.set()
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    (line,) = [line for line in lines(output) if line["action"] == "attempt.stuck"]
    assert (line["execution_id"], line["job_name"], line.get("tenant")) == (stubborn_offer.execution_id, "stubborn", None)


async def test_a_failure_is_one_line_with_its_traceback(world: World, output: io.StringIO) -> None:
    @world.jobs.job("bad")
    async def bad() -> None:
        raise ValueError("no such customer")

    world.begin().take(record_of(offer(0, "bad")))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    (line,) = lines(output)
    assert (line["action"], line["error"], line["level"]) == ("attempt.failed", "no such customer", "warning")
    assert "ValueError: no such customer" in str(line["exception"])


@pytest.mark.parametrize("output", ["json", "console"], indirect=True)
async def test_a_traceback_tells_no_values_of_variables(world: World, output: io.StringIO) -> None:
    @world.jobs.job("bad")
    async def bad(data: dict[str, str]) -> None:
        password = data["password"]
        raise ValueError(len(password))

    world.begin().take(record_of(offer(0, "bad", data={"password": "hunter2"})))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    assert "ValueError: 7" in output.getvalue()
    assert "hunter2" not in output.getvalue()


def test_passwords_in_addresses_are_not_written(output: io.StringIO) -> None:
    logging.getLogger("x").warning("cannot reach %s", "postgresql://jobledger:s3cret@127.0.0.1:5432/postgres")
    structlog.get_logger("y").warning("cannot reach it", url="redis://:s3cret@127.0.0.1:6379/0")
    assert "s3cret" not in output.getvalue()
    assert "postgresql://***@127.0.0.1:5432/postgres" in output.getvalue()


def test_extra_of_the_standard_library_is_kept(output: io.StringIO) -> None:
    logging.getLogger("x").warning("hello", extra={"order": 7})
    assert lines(output)[0]["order"] == 7


def test_a_library_that_says_the_same_again_and_again_is_heard_once_in_a_while(output: io.StringIO) -> None:
    now = 0.0
    (handler,) = (one for one in logging.getLogger().handlers if one.name == "jobledger")
    handler.filters[:] = [logs.Seldom("aiokafka", lambda: now)]
    theirs, refused = logging.getLogger("aiokafka.conn"), "Unable connect to node with id %s: %s"
    for node in range(100):
        theirs.error(refused, node, ConnectionRefusedError("refused"))
    theirs.error(refused, 1, TimeoutError("too late"))
    for _ in range(2):
        logging.getLogger("theirs").error("again")
    now = logs.SELDOM
    theirs.error(refused, 2, ConnectionRefusedError("refused"))
    assert [(line["event"], line.get("said_since")) for line in lines(output)] == [
        ("Unable connect to node with id 0: refused", None),
        ("Unable connect to node with id 1: too late", None),
        ("again", None),
        ("again", None),
        ("Unable connect to node with id 2: refused", 99),
    ]


def test_what_is_below_the_level_is_not_written(output: io.StringIO) -> None:
    structlog.get_logger("z").debug("quiet")
    logging.getLogger("aiokafka").info("noise")
    assert output.getvalue() == ""


def test_who_has_spoken_before_follows_a_later_set_up(output: io.StringIO) -> None:
    """As where a command runs in the process of a test, or an application sets up logs of its own after ours."""
    ours = structlog.get_logger("ours")
    ours.warning("before")
    logs.configure("json", "INFO", io.StringIO())
    with capture_logs() as said:
        ours.warning("after")
    assert [line["event"] for line in said] == ["after"] and [line["event"] for line in lines(output)] == ["before"]

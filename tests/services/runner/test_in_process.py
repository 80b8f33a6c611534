"""Handlers in processes of their own: real processes, and a runner whose servers are in memory."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ledger.core.execution import Report
from ledger.core.options import Options
from ledger.core.orders import Order
from ledger.core.refusal import Refused
from processors.runner.children import Children, Command
from processors.runner.in_process import InProcess
from processors.runner.submits import Submits, Submitting
from tests.services.runner.process_jobs import jobs
from tests.unit.runner.runner_fakes import FakeClient, World, offer, record_of

APP = "tests.services.runner.process_jobs:jobs"
MEMORY = 2 * 1024**3


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    children = Children(Command(APP, MEMORY))
    await children.warm()
    world = World(jobs=jobs)
    world.limits = world.limits.model_copy(update={"processes": 2, "shutdown_grace": 5.0})
    world.ways["process"] = InProcess(children, patience=0.2)
    yield world
    await world.end()
    await children.end()


async def reports(world: World, count: int = 1) -> list[Report]:
    await world.sender.until(lambda: len(world.sender.ends) >= count, 20)
    return world.sender.ends


async def pid_told(world: World) -> int:
    """Of a handler that tells it as the note of its progress."""
    await world.sender.until(lambda: any(report.note for report in world.sender.reports), 20)
    return int(next(report.note for report in world.sender.reports if report.note) or 0)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_it_runs_in_a_child_that_is_kept_for_the_next_one(world: World) -> None:
    runner = world.begin()
    for nth in range(3):
        runner.take(record_of(offer(nth, "where", data={"n": nth})))
        await reports(world, nth + 1)
    results = [json.loads(bytes(report.result)) for report in world.sender.ends]
    assert [result["n"] for result in results] == [0, 1, 2]
    assert len({result["pid"] for result in results}) == 1 and results[0]["parent"] == os.getpid() != results[0]["pid"]


async def test_no_more_of_them_run_than_there_may_be_processes(world: World) -> None:
    world.begin().take(record_of(*(offer(2 * nth, "where", data={"n": nth}) for nth in range(10))))
    await world.sender.until(lambda: len(world.sender.ends) + sum(map(len, world.sender.returned.values())) == 10, 20)
    assert len(world.sender.ends) >= 2 and set(world.sender.returned) <= {"no_slot"}
    assert len({json.loads(bytes(report.result))["pid"] for report in world.sender.ends}) <= 2


async def test_progress_and_lines_with_the_ids_come_through(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    runner = world.begin()
    runner.take(record_of(offer(0, "exits", data=1)))  # the process after it is begun here, where its output is captured
    await reports(world)
    runner.take(record_of(offer(7, "steps")))
    end = (await reports(world, 2))[1]
    assert bytes(end.result).decode() == f'"{end.execution_id.rpartition("-")[0]}"'  # the same wherever it lives
    assert [report.progress for report in world.sender.reports if report.progress is not None][-1] == 90
    out, err = capfd.readouterr()
    assert out.endswith("a line that is printed\n")
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    said = {line["event"]: line for line in lines if line["event"].startswith("a line")}
    assert len(said) == 2
    assert all((line["execution_id"], line["job_name"], line["attempt"]) == (end.execution_id, "steps", 1) for line in said.values())


async def test_what_it_raises_is_its_failure_and_its_process_lives_on(world: World) -> None:
    world.begin().take(record_of(offer(0, "bad")))
    (end,) = await reports(world)
    assert (end.outcome, end.error_type, end.error_message, end.retry_after_ms) == ("failed", "LookupError", "no such customer", 7)


@pytest.mark.parametrize(
    ("job", "data", "how", "retry"),
    [
        ("exits", 3, "exit code 3", 7),
        ("exits", 0, "exit code 0", 7),
        ("closes", None, "closed or wrote to the socket", 7),
        ("babbles", "ffffffff", "closed or wrote to the socket", 7),
        ("babbles", "000000027b7d", "closed or wrote to the socket", 7),
        ("dies", None, "SIGSEGV (11)", 7),
        ("dies-for-good", None, "SIGKILL (9)", None),
    ],
)
async def test_its_crash_is_an_event_and_the_next_one_has_a_new_process(
    world: World, job: str, data: object, how: str, retry: int | None
) -> None:
    runner = world.begin()
    runner.take(record_of(offer(0, job, data=data)))
    (end,) = await reports(world)
    assert (end.outcome, end.error_type, end.retry_after_ms) == ("failed", "process_died", retry)
    assert how in (end.error_message or "")
    runner.take(record_of(offer(2, "where", data={})))
    assert (await reports(world, 2))[1].outcome == "completed"


async def test_its_memory_is_bounded(world: World) -> None:
    world.begin().take(record_of(offer(0, "greedy")))
    (end,) = await reports(world)
    assert (end.outcome, end.error_type, end.retry_after_ms) == ("failed", "MemoryError", 7)


async def test_one_that_takes_too_long_is_killed_with_what_it_started_before_the_attempt_ends(world: World, tmp_path: Path) -> None:
    file = tmp_path / "journal"
    world.begin().take(record_of(offer(0, "stubborn", data=str(file))))
    (end,) = await reports(world)
    assert (end.outcome, end.error_type, end.retry_after_ms) == ("timed_out", "Timeout", 7)
    assert is_gone(await pid_told(world))
    grandchild = file.with_suffix(".grandchild")
    sizes = [(one.stat().st_size if one.exists() else 0) for one in (file, grandchild)]
    await asyncio.sleep(0.1)  # in which they would have written
    assert [(one.stat().st_size if one.exists() else 0) for one in (file, grandchild)] == sizes and sizes[0] > 0
    assert not world.stuck.is_set()


async def test_one_that_listens_stops_by_itself_and_its_process_lives_on(world: World) -> None:
    runner = world.begin()
    one = offer(0, "polite")
    runner.take(record_of(one))
    pid = await pid_told(world)
    runner.obey(Order(one.execution_id, "cancelled", one.token))
    (end,) = await reports(world)
    assert end.outcome == "cancelled" and not is_gone(pid)


async def test_a_signal_to_the_whole_service_is_the_runners_to_judge(world: World) -> None:
    runner = world.begin()
    one = offer(0, "polite")
    runner.take(record_of(one))
    pid = await pid_told(world)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    runner.obey(Order(one.execution_id, "cancelled", one.token))
    (end,) = await reports(world)
    assert end.outcome == "cancelled" and not is_gone(pid)


@pytest.mark.parametrize("by", [None, "asked"])
async def test_one_that_does_not_listen_is_killed_when_it_is_cancelled(world: World, by: str | None) -> None:
    runner = world.begin()
    one = offer(0, "stubborn", options=Options(timeout_ms=60_000))
    runner.take(record_of(one))
    pid = await pid_told(world)
    runner.obey(Order(one.execution_id, "cancelled", one.token, reason=by))
    (end,) = await reports(world)
    assert end.outcome == "cancelled" and is_gone(pid) and not world.stuck.is_set()


async def test_a_worker_that_goes_hands_it_back_when_its_process_is_gone(world: World) -> None:
    world.limits = world.limits.model_copy(update={"shutdown_grace": 1.0})
    runner = world.begin()
    runner.take(record_of(offer(0, "stubborn", options=Options(timeout_ms=60_000))))
    pid = await pid_told(world)
    assert await runner.drain()
    assert [report.outcome for report in world.sender.ends] == ["handed_back"] and is_gone(pid)


async def test_of_exclusive_code_that_leaves_a_thread_the_process_ends_before_the_attempt(world: World) -> None:
    world.begin().take(record_of(offer(0, "leaves-a-thread")))
    (end,) = await reports(world)
    assert end.outcome == "completed" and is_gone(int(bytes(end.result)))


@pytest.mark.parametrize(("job", "result"), [("forks", b'"the code"'), ("terminates", b"-15")])
async def test_what_it_forks_is_no_second_copy_of_its_process(world: World, job: str, result: bytes) -> None:
    runner = world.begin()
    runner.take(record_of(offer(0, job)))
    assert [(end.outcome, bytes(end.result)) for end in await reports(world)] == [("completed", result)]
    runner.take(record_of(offer(2, "wrapped", data=1)))
    assert bytes((await reports(world, 2))[1].result) == b"2"


async def test_what_it_starts_is_deaf_to_no_signal(world: World) -> None:
    """As its runner is, in the hands of a supervisor, to the end of the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        runner = world.begin()
        runner.take(record_of(offer(0, "exits", data=1)))  # the process after it is begun here
        await reports(world)
        runner.take(record_of(offer(2, "hangs-up")))
        assert bytes((await reports(world, 2))[1].result) == b"-1"
    finally:
        signal.signal(signal.SIGHUP, before)


def may_submit(world: World, client: FakeClient) -> None:
    world.ways["process"] = Submitting(world.ways["process"], Submits(client.opening))


async def test_what_it_submits_is_accepted_or_refused_by_way_of_its_runner(world: World) -> None:
    client = FakeClient(refused={"nosuch": Refused("unknown_job", "there is none")})
    may_submit(world, client)
    world.begin().take(record_of(offer(0, "asks", data=["mail", "nosuch", "mail"], tenant="acme")))
    (end,) = await reports(world)
    first, again = client.sent
    assert json.loads(bytes(end.result)) == [f"made-of-{first.command_id}", "unknown_job", f"made-of-{again.command_id}"]
    assert (first.tenant, first.actor, bytes(first.data)) == ("acme", f"execution:{end.execution_id}", b'{"n":1}')
    assert first.command_id != again.command_id


async def test_what_waits_for_the_decision_of_a_submit_stops_when_it_is_cancelled(world: World) -> None:
    client = FakeClient()
    client.open.clear()
    may_submit(world, client)
    runner = world.begin()
    one = offer(0, "asks", data=["mail"])
    runner.take(record_of(one))
    await asyncio.wait_for(client.asked.wait(), 10)
    runner.obey(Order(one.execution_id, "cancelled", one.token, reason="asked"))
    (end,) = await reports(world)
    assert end.outcome == "cancelled" and client.sent == []


async def test_it_may_snooze(world: World) -> None:
    world.begin().take(record_of(offer(0, "early")))
    (end,) = await reports(world)
    assert (end.outcome, end.retry_after_ms) == ("snoozed", 300_000)


async def test_middleware_runs_with_it_in_its_process(world: World) -> None:
    world.begin().take(record_of(offer(0, "wrapped", data=21)))
    (end,) = await reports(world)
    assert bytes(end.result) == b"42"


RUNNER = f"""
import asyncio, sys
from processors.runner.children import Children, Command
from processors.runner.child_wire import Run
from tests.unit.runner.runner_fakes import offer
async def main():
    child = await Children(Command({APP!r})).take()
    child.send(Run(offer(0, "stubborn", data=sys.argv[1]), 60_000, 60.0))
    print((await child.receive()).note, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_the_child_of_a_killed_runner_does_not_work_on_nor_does_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    file = tmp_path / "journal"
    runner = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, str(file), stdout=asyncio.subprocess.PIPE)
    assert runner.stdout is not None
    pid = int(await asyncio.wait_for(runner.stdout.readline(), 20))
    works = (file, file.with_suffix(".grandchild"))
    await until(lambda: all(one.exists() for one in works))
    runner.send_signal(signal.SIGKILL)
    await until(lambda: is_gone(pid))
    async with asyncio.timeout(10):
        await runner.wait()  # and its output has ended: nobody holds it any more
    sizes = [one.stat().st_size for one in works]
    await asyncio.sleep(0.1)
    assert [one.stat().st_size for one in works] == sizes

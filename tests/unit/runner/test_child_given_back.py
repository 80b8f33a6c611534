"""The runner's side of code in a process, with a process that says what the test wants."""

import asyncio
import time

import uvloop

from ledger.context import Context
from ledger.handlers import Jobs
from processors.runner.attempt import Attempt
from processors.runner.child_wire import End, FromChild, Run, Stop, ToChild
from processors.runner.children import ChildGone
from processors.runner.in_process import InProcess
from tests.unit.runner.runner_fakes import attempt_of, offer

PATIENCE = 0.05
jobs = Jobs()


@jobs.job("sync", run_in="process")
def sync() -> None: ...


class FakeChild:
    """Its code runs until `ends`."""

    def __init__(self) -> None:
        self.is_alive = True
        self.heard: asyncio.Queue[ToChild] = asyncio.Queue()
        self._said: asyncio.Queue[FromChild | None] = asyncio.Queue()

    def ends(self) -> None:
        self._said.put_nowait(End("completed"))

    def send(self, message: ToChild) -> None:
        self.heard.put_nowait(message)

    async def receive(self) -> FromChild:
        if (said := await self._said.get()) is None:
            raise ChildGone("its process was ended by SIGKILL (9)")
        return said

    def kill(self) -> None:
        self.is_alive = False
        self._said.put_nowait(None)

    async def end(self) -> None:
        self.kill()


class FakeChildren:
    """Those that are taken, in their order."""

    def __init__(self) -> None:
        self.taken: list[FakeChild] = []
        self._idle: list[FakeChild] = []

    async def take(self) -> FakeChild:
        idle = [child for child in self._idle if child.is_alive]
        self._idle.clear()
        self.taken.append(idle[0] if idle else FakeChild())
        return self.taken[-1]

    def give_back(self, child: FakeChild) -> None:
        self._idle.append(child)

    async def discard(self, child: FakeChild) -> None:
        await child.end()


def attempt(nth: int) -> Attempt:
    made = attempt_of(offer(nth))
    made.handler, made.timeout_ms, made.due, made.context = jobs.find("sync"), 60_000, time.monotonic() + 60, Context(made.offer)
    return made


def test_who_ended_in_time_is_not_killed_with_the_next_one_in_its_process() -> None:
    """Under uvloop, whose timers go before all that is ready; another keeps the loop busy as the code ends."""

    async def main() -> None:
        children, first, second = FakeChildren(), attempt(0), attempt(2)
        perform = InProcess(children, PATIENCE)  # type: ignore[arg-type]  # all that is asked of them
        performing = asyncio.create_task(perform(first))
        await asyncio.sleep(0)
        (child,) = children.taken
        assert isinstance(await child.heard.get(), Run)
        first.stopping = "cancelled"
        performing.cancel()
        assert isinstance(await child.heard.get(), Stop)
        child.ends()
        following = asyncio.create_task(perform(second))
        await asyncio.sleep(0)
        time.sleep(2 * PATIENCE)  # noqa: ASYNC251  # another's code
        await performing
        children.taken[-1].ends()
        await following
        assert (first.outcome, second.outcome, second.error_type) == ("completed", "completed", None)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(asyncio.wait_for(main(), 5))


async def test_code_that_somebody_cancelled_has_no_more_time_than_any_when_it_has_to_stop_at_once() -> None:
    """Its lock is in doubt, or its worker has to go: with the time that it has to stop kindly it would take its worker with it."""
    children, one = FakeChildren(), attempt(0)
    performing = asyncio.create_task(InProcess(children, PATIENCE)(one))  # type: ignore[arg-type]  # all that is asked of them
    await asyncio.sleep(0)
    one.stopping, one.patience = "cancelled", 5.0
    for _ in range(2):
        performing.cancel()
        await asyncio.sleep(0)
    assert (await asyncio.wait([performing], timeout=2))[0]
    assert one.outcome == "cancelled" and not children.taken[0].is_alive

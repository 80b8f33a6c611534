"""Handlers in processes of their own, where there are none to be had. With real ones: `tests/services/runner/test_in_process.py`."""

from collections.abc import Sequence

from processors.runner.children import Children, Command
from processors.runner.in_process import InProcess
from tests.unit.runner.runner_fakes import World, offer, record_of


class NotToBeStarted(Command):
    def arguments(self, fd: int) -> Sequence[str]:
        return ("/no/such/program",)


async def test_a_process_that_cannot_be_started_fails_the_attempt_and_nothing_else(world: World) -> None:
    children = Children(NotToBeStarted("app:jobs"))
    world.ways["process"] = InProcess(children, 0.2)
    world.jobs.job("heavy", run_in="process")(lambda: None)
    world.jobs.job("sync")(lambda: None)
    await children.warm()
    world.begin().take(record_of(offer(0, "heavy"), offer(2)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    ended = {report.execution_id: (report.outcome, report.error_type) for report in world.sender.ends}
    assert ended == {offer(0).execution_id: ("failed", "process_died"), offer(2).execution_id: ("completed", None)}
    (message,) = [report.error_message for report in world.sender.ends if report.error_message]
    assert message.startswith("no process could be started for it: ")
    assert world.bugs == []

"""What `jobledger worker` is asked for."""

from pathlib import Path

import pytest

from ledger.bootstrap import Worker
from ledger.cli import worker
from ledger.cli.development import Development
from ledger.cli.worker import _named
from ledger.config import Settings
from ledger.config.settings import Queue
from processors.supervisor import parts
from tests.unit.cli.conftest import Call

SETTINGS = Settings(queues={"default": Queue(), "mail": Queue()})


@pytest.mark.parametrize(
    ("queues", "named"),
    [("", ()), ("mail", ("mail",)), ("default, mail", ("default", "mail")), ("mail,default,mail,", ("mail", "default"))],
)
def test_queues_are_named_in_any_way_and_each_is_served_once(queues: str, named: tuple[str, ...]) -> None:
    assert _named(queues, SETTINGS) == named


def test_a_queue_that_is_not_in_the_settings_is_a_usage_error_that_names_those_there_are(call: Call) -> None:
    ended = call("worker", "--queues", "default,nosuch")
    assert ended.code == 2
    assert "there is no queue 'nosuch'" in ended.stderr and "there are default" in ended.stderr


@pytest.mark.parametrize("command", ["worker", "dev", "projections run"])
def test_a_level_of_the_log_that_there_is_not_is_a_usage_error(call: Call, command: str) -> None:
    ended = call(*command.split(), "--log-level", "foo")
    assert ended.code == 2
    assert "'foo' is not one of" in ended.stderr


def test_the_level_of_the_log_is_that_of_all_its_processes(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Worker] = []

    async def run_worker(_: Settings, wanted: Worker) -> int:
        asked.append(wanted)
        return 0

    monkeypatch.setattr(worker, "run_worker", run_worker)
    assert call("worker", "--log-level", "error").code == 0
    development = Development(SETTINGS, Path(), lambda: None, asked[0].log_level)
    for part in (*parts(queues=["default", "mail"], only=None, log_level=asked[0].log_level), *development._parts()):
        assert part.command[-2:] == ("--log-level", "ERROR")

"""The command line in this process, with a ledger that needs no server."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from ledger.cli.errors import exit_code_of, message_of
from ledger.cli.main import build, command_in
from tests.unit.cli.cli_fakes import World


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> object:
        return json.loads(self.stdout)


Call = Callable[..., Ended]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def nothing_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that a shell names for the services tests are none of these tests'."""
    for name in [name for name in os.environ if name.startswith("JOBLEDGER_") and name != "JOBLEDGER_CACHE"]:
        monkeypatch.delenv(name)


@pytest.fixture
def call(world: World) -> Call:
    """`call("jobs", "list")`: what the program would print, and its exit code."""

    def run(*arguments: str, input: str | None = None) -> Ended:
        result = CliRunner().invoke(build(command_in(arguments)), list(arguments), input=input, obj=world.session())
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return Ended(exit_code_of(result.exception), result.stdout, result.stderr + message_of(result.exception))
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run

"""What the pages show can be typed: each command with its options, each link, each exit code, each variable."""

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup as Group
from typer.main import get_command

from ledger.cli import errors
from ledger.cli.main import build
from ledger.config.overlay import NOT_SETTINGS
from tests.unit.config.config_files import load

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
OPERATING = Path("docs/operating.md").read_text()


def shown() -> list[str]:
    """The commands of all console blocks, without what only a shell knows."""
    lines = [
        line for page in PAGES for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL) for line in block.split("\n")
    ]
    commands = [one for line in lines if line.startswith("$ ") for one in re.findall(r"jobledger (?!.*jobledger ).*", line)]
    return sorted({re.split(r' +#| [|>] |\)"|"\$\(', one)[0] for one in commands})


@pytest.mark.parametrize("line", shown())
def test_a_command_that_a_page_shows_can_be_typed(line: str) -> None:
    _, *words = shlex.split(line)
    command = get_command(build(words[0]))
    while isinstance(command, Group):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)  # refuses what it does not know


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)", page.read_text()):
        assert (page.parent / target).is_file(), target
    for target in re.findall(r"`((?:docs|decisions)/[^ `]+\.md)`", page.read_text()):
        assert any((folder / target).is_file() for folder in (Path(), page.parent)), target


def test_the_page_of_operating_knows_each_exit_code() -> None:
    codes = {value for name, value in vars(errors).items() if name in errors.__annotations__ and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", OPERATING, re.MULTILINE)} == codes


def test_the_page_of_operating_knows_each_variable_that_is_no_setting() -> None:
    assert set(re.findall(r"^\| `(JOBLEDGER_\w+)` \|", OPERATING, re.MULTILINE)) == NOT_SETTINGS - {
        "JOBLEDGER_CRASH_AT"
    }  # which is for tests


def test_its_settings_load(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", OPERATING, re.DOTALL)
    settings = load(tmp_path, text, REDIS_URL="redis://r:6379/0", DATABASE_URL="postgresql://jobledger@db/shop")
    assert (settings.kafka.replication, settings.kafka.min_insync_replicas) == (3, 2)

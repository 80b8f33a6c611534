"""What the project rests on and the laws it keeps: versions, private parts of libraries we rely on, the import law, the changelog."""

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from faust import streams

from ledger.version import __version__

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize(
    ("package", "prefix"), [("faust-streaming", "0.15."), ("aiokafka", "0.14."), ("mode-streaming", "0.7."), ("croniter", "5.")]
)
def test_pip_has_resolved_what_we_know(package: str, prefix: str) -> None:
    """A croniter of 6 or newer makes pip fall back to a faust-streaming of years ago, quietly."""
    assert version(package).startswith(prefix)


def test_faust_s_compiled_streams_are_there() -> None:
    """Without them it acks records that it never processed."""
    assert getattr(streams, "_CStreamIterator", None) is not None


def test_the_fetcher_has_the_two_knobs_that_we_turn() -> None:
    """`connect.fetch_promptly` sets them; a release without them would stall again."""
    assert {"_prefetch_backoff", "_fetch_max_wait_ms"} <= set(Fetcher.__init__.__code__.co_names)
    assert "_fetcher" in AIOKafkaConsumer.start.__code__.co_names


def test_every_module_has_a_place_in_the_import_law() -> None:
    (layers,) = (contract["layers"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"] if contract["type"] == "layers")
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    tops = {"processors", "projections"} | {f"ledger.{path.stem}" for path in (ROOT / "ledger").iterdir() if _is_module(path)}
    shared = {"ledger.__init__", "ledger.version", "ledger.crashpoints"}  # facade, a constant, and the tests' way to die
    assert tops - placed - shared == set()


@pytest.mark.parametrize("package", ["ledger.core", "ledger.client", "processors.control", "processors.runner", "projections"])
def test_the_map_of_a_package_names_each_of_its_modules_once(package: str) -> None:
    folder = ROOT / package.replace(".", "/")
    lines = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").splitlines()
    named = [name for line in lines if "  " in line for name in line.rpartition("  ")[2].rstrip(",").split(", ")]
    assert sorted(named) == sorted(path.stem for path in folder.glob("[a-z]*.py"))


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def test_the_lock_file_is_pinned_hashed_and_names_no_address() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and line[0] not in " #"]
    assert pins and all("==" in line and line.endswith("\\") for line in pins)
    assert not [line for line in lines if "://" in line or line.startswith(("--index", "--find", "--extra", "-i "))]


def test_the_changelog_speaks_of_this_version_or_of_what_is_not_released() -> None:
    assert any(f"## {heading}" in (ROOT / "CHANGELOG.md").read_text() for heading in ("Unreleased", f"[{__version__}]"))

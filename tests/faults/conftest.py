"""One stack for all; for each test a cluster of its own on it. The seed is printed, and JOBLEDGER_SEED repeats it."""

import os
import random
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from ledger.stack import Stack
from tests.faults.harness import Cluster, cluster_on

HERE = Path(__file__).parent
TAIL = 6000  # characters of each log that a failure shows


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.services)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the processes said."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.when == "call" and report.failed and isinstance(cluster, Cluster):
        for log in sorted(cluster.folder.glob("*.log")):
            report.sections.append((log.name, log.read_text(errors="replace")[-TAIL:]))
    return report


@pytest.fixture(scope="package")
def fault_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its own, whatever the environment names: its servers are killed. It ends with these tests: an idle broker is not idle."""
    with Stack.start(tmp_path_factory.mktemp("fault-stack"), fast=True, supervise=False) as stack:
        yield stack


@pytest.fixture
def seed() -> int:
    given = os.environ.get("JOBLEDGER_SEED")
    chosen = int(given) if given else random.SystemRandom().getrandbits(32)
    print(f"JOBLEDGER_SEED={chosen}")
    return chosen


@pytest.fixture
async def cluster(fault_stack: Stack, tmp_path: Path, seed: int) -> AsyncIterator[Cluster]:
    async with cluster_on(fault_stack, tmp_path, seed) as one:
        yield one

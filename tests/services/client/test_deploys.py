"""Fifty deploys of eight nodes each, while the job fires: one version a deploy, one schedule, and each tick has one outcome."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from ledger import Jobs, Settings
from ledger.client.applying import apply_configuration
from ledger.client.registry_now import registry_now
from ledger.core import wire
from ledger.core.execution import Requested
from ledger.core.tick import Missed, Skipped
from ledger.kafka.log_reader import LogReader
from tests.services.client.conftest import System, system_of

NODES, DEPLOYS = 8, 50
SECOND = 1_000_000
TICK: dict[str, object] = {"name": "tick", "every": "1s", "version": 1, "data": {"deploy": 1}}

jobs = Jobs()


@jobs.job("tick", version=DEPLOYS)
async def tick(data: dict[str, int]) -> None: ...


@pytest.fixture
def control(tmp_path: Path, settings: Settings) -> Iterator[System]:
    with system_of(tmp_path, settings, [TICK]) as system, system.running("worker", "--only", "control", "--no-apply"):
        yield system


def of_deploy(settings: Settings, number: int) -> Settings:
    wanted = {**TICK, "version": number, "data": {"deploy": number}}
    return Settings.model_validate({**settings.model_dump(by_alias=True), "jobs": [], "system_jobs": [wanted]})


async def outcomes(settings: Settings) -> list[tuple[int, int, int]]:
    """(first tick, last tick, how many) of each outcome in the log, in order."""
    found = []
    for number in range(settings.partitions):
        async with LogReader(settings, "events", number) as reader:
            bounds = await reader.bounds()
            async with aclosing(reader.batches(bounds.start, bounds.end)) as batches:
                async for batch in batches:
                    for event in (one for record in batch.records for one in wire.decode_commit(record.value).events):
                        if isinstance(event, Requested) and event.tick_at is not None:
                            found.append((event.tick_at, event.tick_at, 1))
                        elif isinstance(event, Skipped | Missed):
                            found.append((event.tick_at, event.last_tick_at, event.count))
    return sorted(found)


@pytest.mark.slow
async def test_fifty_deploys_of_eight_nodes(control: System) -> None:
    for number in range(1, DEPLOYS + 1):
        of_this, of_the_last = of_deploy(control.settings, number), of_deploy(control.settings, max(1, number - 1))
        nodes = [of_this] * NODES + [of_the_last]  # one that restarts with what it had
        await asyncio.gather(*(apply_configuration(node, jobs, timeout=60) for node in nodes))
        registry = (await registry_now(control.settings)).registry
        job = registry.jobs["tick"]
        assert [one.number for one in job.versions] == list(range(1, number + 1))
        assert (job.current_version, len(registry.manifests)) == (number, number)
    await _goes_back_on_purpose_only(control.settings)
    ticks = await outcomes(control.settings)
    assert sum(count for *_, count in ticks) == (ticks[-1][1] - ticks[0][0]) // SECOND + 1
    assert all(later[0] == earlier[1] + SECOND for earlier, later in pairwise(ticks))


async def _goes_back_on_purpose_only(settings: Settings) -> None:
    former = of_deploy(settings, DEPLOYS - 1)
    assert (await apply_configuration(former, jobs, timeout=60)).manifest == "stale"
    assert (await registry_now(settings)).registry.jobs["tick"].current_version == DEPLOYS
    assert (await apply_configuration(former, jobs, rollback=True, actor="ada", timeout=60)).manifest == "applied"
    assert (await registry_now(settings)).registry.jobs["tick"].current_version == DEPLOYS - 1

"""`apply`: idempotent, safe with many at once, and drift ends a worker with both contents told."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ledger import Settings
from ledger.client.applying import apply_configuration
from ledger.client.registry_now import registry_now
from ledger.core import wire
from ledger.core.execution import Requested
from ledger.kafka.log_reader import LogReader
from tests.services.client.conftest import System, system_of
from tests.services.client.shop import jobs

TICK: dict[str, object] = {"name": "tick", "every": "1h", "immediately": True}


async def runs_by_hand(settings: Settings) -> list[str]:
    """The jobs that the log says were run now."""
    found = []
    for number in range(settings.partitions):
        async with LogReader(settings, "events", number) as reader:
            bounds = await reader.bounds()
            async with aclosing(reader.batches(bounds.start, bounds.end)) as batches:
                async for batch in batches:
                    events = [event for record in batch.records for event in wire.decode_commit(record.value).events]
                    found += [one.job_id for one in events if isinstance(one, Requested) and one.trigger == "run_now"]
    return found


@pytest.fixture
def control(tmp_path: Path, settings: Settings) -> Iterator[System]:
    """Control alone, nothing applied."""
    with system_of(tmp_path, settings, [TICK]) as system, system.running("worker", "--only", "control", "--no-apply"):
        yield system


async def test_eight_nodes_at_once_leave_one_version(control: System) -> None:
    await asyncio.gather(*(apply_configuration(control.settings, jobs, timeout=60) for _ in range(8)))
    registry = (await registry_now(control.settings)).registry
    stored = {job.job_id: [one.number for one in job.versions] for job in registry.jobs.values()}
    assert stored == {job.name: [1] for job in jobs}
    assert len(registry.manifests) == 1
    assert [job.job_id for job in registry.scheduled] == ["tick"]
    assert await runs_by_hand(control.settings) == ["tick"]  # `immediately`, once


async def test_a_start_that_changes_nothing_writes_nothing(control: System) -> None:
    await apply_configuration(control.settings, jobs, timeout=60)
    before = (await registry_now(control.settings)).registry.at
    report = await apply_configuration(control.settings, jobs, timeout=60)
    assert (report.manifest, report.changes_something) == ("unchanged", False)
    assert (await registry_now(control.settings)).registry.at == before


def test_drift_is_told_and_ends_a_worker(control: System) -> None:
    assert control.call("apply").returncode == 0
    document = (control.folder / "jobledger.yaml").read_text().replace("every: 1h", "every: 2h")
    (control.folder / "jobledger.yaml").write_text(document)
    planned = control.call("apply", "--plan", "-o", "json")
    assert planned.returncode == 4
    assert [one["verdict"] for one in json.loads(planned.stdout)["changes"] if one["job_id"] == "tick"] == ["drift"]
    worker = control.call("worker", "--only", "control")
    assert worker.returncode == 4
    assert "schedule.every_ms: 3600000 -> 7200000" in worker.stderr

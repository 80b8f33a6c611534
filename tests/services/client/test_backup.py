"""A log goes on from its export: the same one in another place, and one that has more partitions."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from ledger import Ledger, Settings
from ledger.core.archive import REGISTRY, places
from ledger.kafka import topics
from ledger.kafka.archive_file import ArchiveFile
from projections import schema
from tests.services.client.conftest import System, until_all_are_over, write_settings
from tests.services.client.conftest import system_of as set_up
from tests.services.client.shop import jobs
from tests.services.client.test_acts import until
from tests.services.conftest import Fresh, run
from tests.services.log.writing import append_all, read_all

pytestmark = pytest.mark.slow

TICK: list[dict[str, object]] = [{"name": "tick", "every": "1s"}]


class Backup:
    """A log that was at work, and its export."""

    def __init__(self, system: System, file: Path, completed: list[str], keyed: str, delayed: str) -> None:
        self.system, self.file = system, file
        self.completed, self.keyed, self.delayed = completed, keyed, delayed


@pytest.fixture(scope="module")
def backup(fresh: Fresh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backup]:
    with ExitStack() as stack:
        system = stack.enter_context(set_up(tmp_path_factory.mktemp("former"), stack.enter_context(fresh(2)), TICK))
        with system.running("worker"), system.running("projections", "run"):
            completed, keyed, delayed = run(_work(system))
        file = system.folder / "backup.jsonl"
        exported = system.call("ledger", "export", str(file))
        assert exported.returncode == 0, exported.stderr
        yield Backup(system, file, completed, keyed, delayed)


async def _work(system: System) -> tuple[list[str], str, str]:
    async with Ledger.connect(system.settings, jobs=jobs) as ledger:
        await until(lambda: ledger.definitions.get("tick"))
        many = await ledger.submit_many([("bill", {"number": number}) for number in range(20)])
        keyed = await ledger.submit("bill", {"number": 99}, idempotency_key="order-99")
        delayed = await ledger.submit("bill", {"number": 100}, delay=timedelta(days=1))
        ids = [one for one in [*many, keyed.execution_id] if one is not None]
        await until_all_are_over(ledger, ids)
        await until(lambda: _fired(ledger, 2))
        return ids, keyed.execution_id, delayed.execution_id


async def _fired(ledger: Ledger, most: int) -> bool:
    return len((await ledger.ticks.list(job="tick", outcome="fired")).items) >= most


def with_its_jobs(backup: Backup, folder: Path, settings: Settings) -> System:
    """Nothing runs there yet."""
    former = backup.system.settings
    settings = settings.model_copy(update={"app": former.app, "jobs": former.jobs, "system_jobs": former.system_jobs})
    write_settings(folder, settings)
    return System(folder, settings)


@pytest.mark.parametrize("partitions", [2, 5], ids=["the same", "with more partitions"])
def test_workers_go_on(fresh: Fresh, backup: Backup, tmp_path: Path, partitions: int) -> None:
    with fresh(partitions) as settings:
        system = with_its_jobs(backup, tmp_path, settings)
        if partitions != 2:
            refused = system.call("ledger", "import", str(backup.file))
            assert (refused.returncode, "--grow" in refused.stderr) == (1, True)
        imported = system.call("ledger", "import", str(backup.file), *(["--grow"] if partitions != 2 else []), "-o", "json")
        assert imported.returncode == 0, imported.stderr
        assert json.loads(imported.stdout)["epoch"] == (1 if partitions == 2 else 2)
        schema.upgrade(settings)
        with system.running("worker"), system.running("projections", "run"):
            run(_go_on(system, backup))
        audited = system.call("audit", "-o", "json")
        assert audited.returncode == 0, audited.stdout + audited.stderr
        assert system.call("ledger", "verify").returncode == 0


def test_control_decides_nothing_with_half_a_registry(fresh: Fresh, backup: Backup, tmp_path: Path) -> None:
    """As after an import that died in its last moment."""
    archive = ArchiveFile(backup.file)
    logs = {place: list(archive.records(place)) for place in places(2)}
    logs[REGISTRY] = logs[REGISTRY][:1]
    with fresh(2) as settings:
        run(topics.apply(settings))
        run(append_all(settings, logs))
        system = with_its_jobs(backup, tmp_path, settings)
        with system.running("worker", "--only", "control", "--no-apply"):
            run(until(lambda: _says(tmp_path / "worker.log", "which ends at"), 60))
        for place in places(2):
            if place != REGISTRY:
                assert run(read_all(settings, *place)) == logs[place]


async def _says(file: Path, words: str) -> bool:
    return words in file.read_text()


async def _go_on(system: System, backup: Backup) -> None:
    """What was there is there, what comes again is known, what waited is done, what is new runs, and the clock strikes."""
    async with Ledger.connect(system.settings, jobs=jobs) as ledger:
        new = await ledger.submit("bill", {"number": 7})
        await until_all_are_over(ledger, [new.execution_id])
        rows = (await ledger.executions.list(job="bill", limit=100)).items
        assert {_head(one) for one in backup.completed} < {_head(one.execution_id) for one in rows if one.state == "completed"}
        again = await ledger.submit("bill", {"number": 99}, idempotency_key="order-99")
        assert _head(again.execution_id) == _head(backup.keyed)
        (delayed,) = (one.execution_id for one in rows if one.state == "delayed")
        assert _head(delayed) == _head(backup.delayed)
        assert (await ledger.cancel(delayed)).outcome == "applied"
        await until(lambda: _fired(ledger, 5))


def _head(execution_id: str) -> str:
    """What stands before the number of the partition."""
    return execution_id.rpartition("-")[0]

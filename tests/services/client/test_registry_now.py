"""The registry as a client reads it: from control's snapshot on, if that is of this log and not beyond its end."""

import pytest
from msgspec import structs

from ledger.client.registry_now import folded, registry_now
from ledger.config import Settings
from ledger.core import definition
from ledger.core.registry import RegistryFold
from ledger.kafka.opening import LogIdentity
from processors.control.appender import Appender
from processors.control.snapshots import Snapshots
from tests.services.log.writing import append, read_all
from tests.synthetic_log import SyntheticLog, registry_events


async def snapshot_of(settings: Settings, records: list[bytes]) -> None:
    """As control would write it that had folded these; with a job that no log names, so that it is known again."""
    fold, appender = RegistryFold(), Appender(settings)
    for offset, record in enumerate(records):
        fold.feed(record, offset)
    fold.registry.jobs["known-again"] = structs.replace(fold.registry.jobs["sync"], job_id="known-again")
    await Snapshots.of_registry(settings, fold, appender).write()
    await appender.stop()


@pytest.fixture
async def log(settings: Settings, opened: LogIdentity) -> SyntheticLog:
    (first,) = await read_all(settings, "registry", 0)
    log = SyntheticLog("registry", 0, first)
    log.fill(registry_events(), 5)
    return log


async def test_what_came_behind_a_snapshot_is_folded_onto_it(settings: Settings, log: SyntheticLog) -> None:
    await append(settings, "registry", 0, log.records[1:])
    plain = await registry_now(settings)
    assert (plain.head.seq, sorted(plain.registry.jobs)) == (log.seq, ["send-invoice", "sync", "tidy"])
    await snapshot_of(settings, log.records)
    more = [log.commit([definition.Registered("new", "new", "on_demand", "default")]), log.void([]), log.commit([])]
    await append(settings, "registry", 0, more)
    found = await registry_now(settings)
    assert (found.head.seq, sorted(found.registry.jobs)) == (log.seq, ["known-again", "new", "send-invoice", "sync", "tidy"])
    del found.registry.jobs["known-again"]
    whole = await folded(settings, RegistryFold())
    assert (found.head, found.registry.jobs, found.decided) == (whole.head, whole.registry.jobs, whole.decided)


@pytest.mark.parametrize("what", ["ahead", "another history"])
async def test_one_that_does_not_fit_its_log_is_not_used(settings: Settings, log: SyntheticLog, what: str) -> None:
    records = log.records
    if what == "ahead":
        await append(settings, "registry", 0, records[1:-1])
        await snapshot_of(settings, records)
    else:
        await append(settings, "registry", 0, records[1:])
        other = SyntheticLog("registry", 0, records[0])
        other.fill(registry_events(), 3)
        await snapshot_of(settings, other.records[:3])
    found = await registry_now(settings)
    assert sorted(found.registry.jobs) == ["send-invoice", "sync", "tidy"]
    assert found.head == (await folded(settings, RegistryFold())).head

"""The seam's shortcuts: past Faust's four tasks a record, and several records as one. The same comes of it."""

import asyncio
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from ledger.config import Settings
from processors.seam import TOGETHER, TOGETHER_BYTES, _Resumed, _SeamConsumer, build_app


async def test_a_coroutine_that_was_begun_goes_on_where_it_waits() -> None:
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def work() -> str:
        steps.append("begun")
        steps.append(await gate)
        await asyncio.sleep(0)
        return "done"

    coroutine = work()
    waits_for = coroutine.send(None)
    task = asyncio.ensure_future(_Resumed(coroutine, waits_for))
    await asyncio.sleep(0)
    assert steps == ["begun"] and not task.done()
    gate.set_result("resumed")
    assert await task == "done" and steps == ["begun", "resumed"]


def record(offset: int, value: bytes | None = None) -> ConsumerRecord:
    value = b"%d" % offset if value is None else value
    return ConsumerRecord("commands", 0, offset, 1000 + offset, 1, None, value, None, -1, len(value), ())


class Fetched:
    """Faust's thread, which has fetched these."""

    def __init__(self, records: dict[TP, list[ConsumerRecord]], end: int | None) -> None:
        self.records, self.end = records, end

    def assignment(self) -> set[TP]:
        return set(self.records)

    def highwater(self, tp: TP) -> int | None:
        return self.end

    async def getmany(self, active_partitions: set[TP], timeout: float) -> dict[TP, list[ConsumerRecord]]:
        return self.records


def consumer(records: dict[TP, list[ConsumerRecord]], end: int | None = None) -> Any:  # Any: as far as it is made
    made = object.__new__(_SeamConsumer)
    made._thread = Fetched(records, end)
    made._read_offset = defaultdict(lambda: None)
    made.app = SimpleNamespace(consumer_generation_id=7)
    made._acked, made._acked_index = defaultdict(list), defaultdict(set)
    return made


async def test_records_of_a_partition_come_together_some_at_a_time_and_all_in_order() -> None:
    some, few = TP("commands", 0), TP("commands", 1)
    together = consumer({some: [record(offset) for offset in range(5, 5 + 2 * TOGETHER + 1)], few: [record(3)]})
    found = await together._getmany({some, few}, 1.0)
    messages = [together._to_message(tp, one) for tp in (some, few) for one in found[tp]]
    assert [message.offset for message in messages] == [4 + TOGETHER, 4 + 2 * TOGETHER, 5 + 2 * TOGETHER, 3]
    assert {message.generation_id for message in messages} == {7}
    values = [one.value for message in messages[:3] for one in message.value.records]
    assert values == [b"%d" % offset for offset in range(5, 5 + 2 * TOGETHER + 1)]


async def test_large_records_come_one_by_one() -> None:
    tp, large = TP("commands", 0), b" " * TOGETHER_BYTES
    together = consumer({tp: [record(0), record(1, large), record(2, large), record(3), record(4, b"")]})
    found = await together._getmany({tp}, 1.0)
    assert [[one.offset for one in some] for some in found[tp]] == [[0, 1], [2], [3, 4]]


@pytest.mark.parametrize(("end", "read"), [(3, None), (24, 23), (23, 23), (None, 23)])
async def test_what_faust_has_read_of_a_topic_is_forgotten_only_where_the_topic_ends_before(end: int | None, read: int | None) -> None:
    """It was made anew then. Faust drops what it takes for read already: it would drop the new one until that has grown as long."""
    tp = TP("work", 0)
    one = consumer({tp: [record(0)]}, end)
    one._read_offset[tp], one._committed_offset = 23, {tp: 24}
    await one._getmany({tp}, 1.0)
    assert (one._read_offset[tp], one._committed_offset[tp]) == (read, read and 24)


async def test_what_was_handed_over_last_is_read_by_the_group_and_with_it_all_before() -> None:
    tp = TP("work", 0)
    reading = consumer({})
    assert reading._new_offset(tp) is None
    await reading._add_gap(tp, 101, 109)
    reading._acked[tp], reading._acked_index[tp] = [109, 120], {109, 120}
    assert reading._new_offset(tp) == 121
    assert reading._new_offset(tp) is None and not reading._acked_index[tp]


async def test_a_rebalance_without_sensors_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    app = build_app("control", Settings(), {})
    app.on_init_dependencies()
    app.on_rebalance_start()
    app.on_rebalance_return()
    app.on_rebalance_end()
    assert not caplog.records


async def test_a_start_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's of that name, or a disk that cannot be written, would end the process."""
    monkeypatch.chdir(tmp_path)
    app = build_app("control", Settings(), {})
    await app.on_first_start()
    assert not app.conf.datadir.exists()

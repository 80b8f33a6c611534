"""Where reading of commands may begin, and how a broker that is away is waited out."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.core.refusal import Conflict, Unavailable
from processors.control import log_access

Bounds = dict[TopicPartition, tuple[int, int]]


@pytest.mark.parametrize(
    ("start", "end", "what"),
    [
        (0, 3, "ends at 3, but commands up to offset 11 were decided: the topic was made anew"),
        (20, 30, "starts at 20, but commands up to 11 alone were decided: retention took commands"),
    ],
    ids=["made anew", "taken by retention"],
)
async def test_a_position_that_is_lost_says_what_repairs_it(monkeypatch: pytest.MonkeyPatch, start: int, end: int, what: str) -> None:
    async def bounds(settings: Settings, places: Sequence[TopicPartition]) -> Bounds:
        return dict.fromkeys(places, (start, end))

    monkeypatch.setattr(log_access, "bounds", bounds)
    with pytest.raises(Conflict) as lost:
        await log_access.readable_from(Settings(), "commands", 1, 12, 11)
    assert str(lost.value) == (
        f"commands[1] {what}; what was decided is in the log still: end all processes, `jobledger ledger export FILE`, and go on under "
        "another `prefix`, `jobledger ledger import FILE` first (docs/backup.md); commands that are gone have to be sent again"
    )


async def test_those_who_wait_for_a_broker_do_not_come_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def read() -> str:
        if len(pauses) % 10 < 9:
            raise Unavailable("it is away")
        pauses.append(0)
        return "read"

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(2):
        assert await log_access.patiently(read) == "read"
    first, second = pauses[:9], pauses[10:19]
    assert first != second
    assert all(0.05 <= one <= log_access.LONGEST_PAUSE for one in (*first, *second))

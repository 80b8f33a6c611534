"""Who holds what an execution waits for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ledger.client.redis_reads import Standing
from ledger.client.waits_for import WaitsFor, of_limit, waits_for
from ledger.config import Settings
from ledger.core.limits import Limit, Rate
from projections.reads import Reads
from projections.rows import Execution
from tests.unit.client.client_rows import execution_row

NOWHERE = Settings.model_validate({"redis": {"url": "redis://127.0.0.1:1/0"}})  # whoever asks there is not answered


class Line(Reads):
    def __init__(self, line: Sequence[Execution]) -> None:
        self._line = line

    async def line(self, exclusive_key: str) -> list[Execution]:
        return list(self._line)


def waiting(execution_id: str = "e1-0", **said: object) -> Execution:
    return replace(execution_row("waiting"), execution_id=execution_id, **said)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("state", ["active", "delayed", "completed"])
async def test_nothing_where_it_does_not_wait(state: str) -> None:
    assert await waits_for(NOWHERE, Line([]), execution_row(state)) == ()


async def test_in_line_it_is_who_holds_the_key_now() -> None:
    one = waiting(exclusive_key="key:k", waiting_reason="exclusive", blocked_by="e0-0")
    holder = waiting("e9-0", exclusive_key="key:k")
    found = await waits_for(NOWHERE, Line([holder, one]), one)
    assert found == (WaitsFor("exclusive", "key:k", ("e9-0",), 1),)
    assert (await waits_for(NOWHERE, Line([one]), one))[0].held_by == ("e0-0",)
    assert str(found[0]) == "exclusive key:k, held by e9-0"


async def test_behind_a_former_run_it_is_that() -> None:
    assert await waits_for(NOWHERE, Line([]), waiting(waiting_reason="overlap", blocked_by="e0-0")) == (
        WaitsFor("overlap", "greet", ("e0-0",), 1),
    )


async def test_without_redis_nothing_is_known_of_limits() -> None:
    assert await waits_for(NOWHERE, Line([]), waiting()) == ()


def test_a_limit_names_its_holders_or_the_time() -> None:
    held = of_limit(Standing(Limit("queue", "mail", 3), 3, ("e1-0", "e2-0")))
    assert (held.name, str(held)) == ("queue:mail", "limit queue:mail, held by e1-0, e2-0 and 1 more")
    rated = of_limit(Standing(Limit("tenant", "acme", None, Rate(1, 1000)), 0, (), 1500))
    assert (rated.next_start_ms, str(rated)) == (2, "limit tenant:acme, the next in 2 ms")

"""Rows past their time are removed for as long as the consumer runs, whatever Postgres says on the way."""

import asyncio
from collections.abc import Mapping

import pytest
from psycopg.errors import InsufficientPrivilege
from structlog.testing import capture_logs

from ledger.config import Settings
from ledger.config.settings import Keep
from projections import retention


async def test_who_may_not_remove_them_says_so_and_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, looks = asyncio.Event(), list[InsufficientPrivilege]()

    def purge_all(settings: Settings, keep: Mapping[str, int], stop: asyncio.Event) -> int:
        if looks:
            stop.set()
            return 3
        looks.append(InsufficientPrivilege("permission denied for table job_executions"))
        raise looks[0]

    monkeypatch.setattr(retention, "_purge_all", purge_all)
    monkeypatch.setattr(retention, "PAUSE", 0.001)
    with capture_logs() as logged:
        await retention.purge_on_and_on(Settings(keep=Keep(completed="1h")), stop)
    assert [(one["action"], one.get("detail"), one.get("executions")) for one in logged] == [
        ("projection.not_purged", "permission denied for table job_executions", None),
        ("projection.purged", None, 3),
    ]

"""`as_of`, `diff`, `whatif`: the past, asked of the logs. Nothing is written."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from ledger.client.as_of import AsOf
from ledger.client.as_of_reading import Progress, moment_of, quietly
from ledger.client.diffing import Change, diff
from ledger.client.line import Line
from ledger.client.moments import datetime_of
from ledger.client.whatif import WhatIf, whatif
from ledger.core.whatif import policy_of


class PastActs:
    """A part of `Ledger`. A moment is an aware datetime, an ISO text with an offset, or the name of an event: `3-120-2` is event 2 of
    commit 120 in partition 3, `registry-12` a commit of the registry. `progress` hears of records read, and how many there are."""

    _line: Line

    async def as_of(self, moment: datetime | str, *, progress: Progress = quietly) -> AsOf:
        """The ledger as it stood then. Raises `Invalid`, and `Refused` of a moment that is to come or not there."""
        settings = self._line.settings
        return AsOf(await moment_of(settings, "as_of", moment, _now()), settings, self._line.tables, progress)

    async def diff(self, from_: datetime | str, to: datetime | str, *, progress: Progress = quietly) -> Sequence[Change]:
        """What changed between two moments in jobs, versions, pauses and schedules."""
        settings, now = self._line.settings, _now()
        first, second = await moment_of(settings, "from", from_, now), await moment_of(settings, "to", to, now)
        return await diff(settings, first, second, progress)

    async def whatif(
        self,
        *jobs: str,
        from_: datetime | str,
        to: datetime | str | None = None,
        overlap: str | None = None,
        cron: str | Sequence[str] | None = None,
        timezone: str | None = None,
        catchup_window: str | timedelta | None = None,
        concurrency: int | None = None,
        progress: Progress = quietly,
    ) -> WhatIf:
        """The recorded past of jobs with a schedule, replayed in memory as if they had had this policy: runs added, removed and moved,
        ticks skipped, the change in waiting. With none it is the recorded history. `concurrency`: so many runs of a job at once.
        With the name of an event the range begins or ends behind its whole commit."""
        settings, now = self._line.settings, _now()
        first, second = await moment_of(settings, "from", from_, now), await moment_of(settings, "to", to or datetime_of(now), now)
        policy = policy_of(overlap, cron, timezone, catchup_window, concurrency)
        return await whatif(settings, jobs, first, second, policy, progress)


def _now() -> int:
    return time.time_ns() // 1000

"""Limits over all workers, as the pipeline meets them: before the claim, after it, and when a place is free again."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ledger.config import Settings
from ledger.core.limits import Limit
from ledger.handlers import Jobs
from processors.runner.attempt import Attempt
from processors.runner.claims import NO_LIMITS, Verdict
from processors.runner.gate import Gate
from processors.runner.limited_claims import Refused
from processors.runner.limits import Holdings, Table
from processors.runner.places import Holders, NoHolders, Renewals

NO_HOLDERS: Final = NoHolders()


class Limiting:
    """`wake`: there may be something to admit. Made inside a running event loop."""

    def __init__(
        self,
        settings: Settings,
        queue: str,
        jobs: Jobs,
        gate: Gate,
        wake: Callable[[], None],
        holders: Holders,
        renewals: Renewals,
        clock: Callable[[], float],
    ) -> None:
        claim_prefix = settings.redis_key("claim", "")
        self._table = Table(settings, queue, jobs)
        self._gate = gate
        self._wake = wake
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._holdings = Holdings(
            holders,
            renewals,
            lambda limit: settings.redis_key("places", limit.key),
            lambda attempt: attempt.claim.removeprefix(claim_prefix),
            settings.limits.lease,
            self._freed,
            clock,
        )

    def __bool__(self) -> bool:
        """There are any limits."""
        return bool(self._table)

    def find(self, attempt: Attempt) -> None:
        """Fill in what it has to keep within."""
        attempt.limits = self._table.of(attempt.offer.job_name, attempt.offer.tenant)

    def of(self, batch: Sequence[Attempt]) -> Sequence[Sequence[Limit]]:
        limits = [attempt.limits for attempt in batch]
        return limits if any(limits) else NO_LIMITS

    def within(
        self, batch: Sequence[Attempt], verdicts: Sequence[Verdict], is_wanted: Callable[[Attempt], bool]
    ) -> tuple[list[Attempt], list[Verdict]]:
        """What was claimed has its places too. What a limit refused waits behind it and is left out; if nobody wants it, it is lost."""
        waits: dict[Limit, float | None] = {}
        back: list[tuple[Attempt, Limit]] = []
        others: list[tuple[Attempt, Verdict]] = []
        for attempt, verdict in zip(batch, verdicts, strict=True):
            if isinstance(verdict, Refused):
                if is_wanted(attempt):
                    waits[verdict.limit] = verdict.wait
                    back.append((attempt, verdict.limit))
                else:
                    others.append((attempt, "lost"))
                continue
            if attempt.limits and verdict != "lost":
                self._holdings.took(attempt)
            others.append((attempt, verdict))
        self._gate.refuse(back)
        now = self._clock()
        for limit, wait in waits.items():
            self._loop.call_later(self._gate.close(limit, wait, now), self._open, limit)
        return [attempt for attempt, _ in others], [verdict for _, verdict in others]

    def _open(self, limit: Limit) -> None:
        if self._gate.open([limit]):
            self._wake()

    def _freed(self, limits: Iterable[Limit]) -> None:
        if self._gate.open(limits, freed=True):
            self._wake()

    def rest_ms(self, limit: Limit) -> int:
        """How long it makes no sense to try again, as far as anybody knows."""
        return 0 if limit.rate is None else max(0, round((self._gate.opens_at(limit) - self._clock()) * 1000))

    def let_go(self, attempt: Attempt) -> None:
        """Its code has ended, or never begins."""
        self._holdings.let_go(attempt)

    def renew(self) -> bool:
        """From the thread of the lease."""
        return self._holdings.renew()

    async def flush(self) -> None:
        await self._holdings.flush()

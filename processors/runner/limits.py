"""Limits over all workers: which an attempt has to keep within, and what this worker holds of them.

A place under a `concurrency` is taken with the claim, in the same script (`limited_claims`), and held until the code has ended: a member
of a sorted set that says until when it counts. It is renewed with the lease, so what a dead worker held is free a lease later. Redis may
forget all of it: then more than the limit allows may run until the next renewal has written it anew, a third of a lease later.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.config import Settings
from ledger.core.limits import Limit
from ledger.handlers import Jobs
from processors.runner.attempt import Attempt
from processors.runner.guards import YOUNG
from processors.runner.leaving import Leaving
from processors.runner.places import Holders, Places, Renewals

TENANTS_KNOWN: Final = 10_000


def limits_of_handlers(jobs: Jobs) -> list[Limit]:
    return [Limit("job", one.name, one.concurrency, one.rate) for one in jobs if one.concurrency is not None or one.rate is not None]


class Table:
    """The limits of what waits in `queue`."""

    def __init__(self, settings: Settings, queue: str, jobs: Jobs) -> None:
        self._settings = settings
        of_queue = settings.limit_of_queue(queue)
        self._any: tuple[Limit, ...] = () if of_queue is None else (of_queue,)
        self._jobs = {limit.name: (*self._any, limit) for limit in limits_of_handlers(jobs)}
        self._tenants: dict[str, Limit | None] = {}

    def __bool__(self) -> bool:
        """There are any."""
        return bool(self._any or self._jobs or self._settings.tenants)

    def of(self, job_name: str, tenant: str | None) -> tuple[Limit, ...]:
        found = self._jobs.get(job_name, self._any)
        if tenant is None or not self._settings.tenants:
            return found
        if tenant not in self._tenants:
            if len(self._tenants) >= TENANTS_KNOWN:
                self._tenants.clear()
            self._tenants[tenant] = self._settings.limit_of_tenant(tenant)
        limit = self._tenants[tenant]
        return found if limit is None else (*found, limit)


@dataclass(slots=True, eq=False)
class Holding:
    """What one attempt holds."""

    places: Places
    taken: float
    let_go: bool = False


class Holdings:
    """`held_key`: makes the name of a limit's sorted set. `freed` is called in the event loop once places are free for others."""

    def __init__(
        self,
        holders: Holders,
        renewals: Renewals,
        held_key: Callable[[Limit], str],
        name: Callable[[Attempt], str],
        lease: float,
        freed: Callable[[Iterable[Limit]], None],
        clock: Callable[[], float],
    ) -> None:
        self._holders = holders
        self._renewals = renewals
        self._held_key = held_key
        self._name = name
        self._lease = lease
        self._freed = freed
        self._clock = clock
        self._held: dict[Attempt, Holding] = {}
        self._leaving = Leaving(self._let_all_go)

    def took(self, attempt: Attempt) -> None:
        """It has its places, with its claim."""
        name = self._name(attempt)
        places = [(self._held_key(limit), name) for limit in attempt.limits if limit.concurrency is not None]
        if places:
            self._held[attempt] = Holding(places, self._clock())

    def let_go(self, attempt: Attempt) -> None:
        """Its code has ended, or never begins. What ends at the same moment is let go together."""
        holding = self._held.pop(attempt, None)
        if holding is None:
            return
        holding.let_go = True  # said before it is done: see `renew`
        self._leaving.add([(holding, attempt.limits)])

    async def _let_all_go(self, leaving: "list[tuple[Holding, Sequence[Limit]]]") -> None:
        await self._holders.let_go([place for holding, _ in leaving for place in holding.places])
        self._freed({limit for _, limits in leaving for limit in limits})

    async def flush(self) -> None:
        """Until everything is let go."""
        await self._leaving.flush()

    def renew(self) -> bool:
        """From the thread of the lease: all that is not young, as if it were the first time."""
        now = self._clock()
        due = [one for one in list(self._held.values()) if now - one.taken >= self._lease * YOUNG]
        if not due:
            return True
        renewed = self._renewals.renew([place for one in due for place in one.places])
        if late := [place for one in due if one.let_go for place in one.places]:  # it may have been written once more after that
            self._renewals.let_go_again(late)
        return renewed

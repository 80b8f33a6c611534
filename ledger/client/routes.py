"""Where a command belongs. A wrong guess costs a hop, as control forwards; but then the execution's id is not known beforehand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ledger.config import Settings
from ledger.core.bodies import exclusive_value
from ledger.core.ids import ExecutionId, execution_of_command, murmur2_of_all, partition_for, partition_of_hash, routing_key
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.core.request import RunNow, Submit
from ledger.core.uniqueness import routing_name
from ledger.handlers import Jobs

MOST_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """What decides the partition of a job's executions. `tenant` is that of a scheduled job; `home` its partition, where it is known;
    `field` is where the data has the value of its exclusivity key. `may_have_field`: here it is not known whether there is one.
    `is_guess`: nor what the job is exclusive by."""

    job_id: str
    job_name: str
    scope: str = "none"
    has_schedule: bool = False
    tenant: str | None = None
    home: int | None = None
    field: str | None = None
    may_have_field: bool = False
    is_guess: bool = False


Lookup = Callable[[str], Awaitable[Route | None]]  # of a job id, in the tables


class Routes:
    """From the handlers and the settings where they say it, else from the tables, else by the command's id."""

    def __init__(self, settings: Settings, jobs: Jobs | None, lookup: Lookup) -> None:
        self._partitions = settings.partitions
        self._lookup = lookup
        self._known: dict[str, Route] = {}
        self._guessed: dict[str, Route] = {}
        for handler in jobs or ():
            exclusive = handler.exclusive
            scope, path = ("none", None) if exclusive is None else (exclusive.scope, exclusive.field)
            self._known[handler.name] = Route(handler.name, handler.name, scope, field=path)
        for job in settings.jobs:
            if job.exclusive is not None or job.name in self._known:
                known = self._known.get(job.name)
                scope = job.exclusive or (known.scope if known is not None else "none")
                self._known[job.name] = Route(
                    job.name, job.name, scope, field=None if known is None else known.field, may_have_field=known is None and scope == "key"
                )
            else:
                self._guessed[job.name] = Route(job.name, job.name, is_guess=True)  # its handler may say more
        for system in settings.system_jobs:
            self._known[system.name] = Route(system.name, system.job or system.name, system.exclusive or "job", has_schedule=True)

    def guess(self, job_id: str) -> Route | None:
        """What is known without asking anybody."""
        return self._known.get(job_id) or self._guessed.get(job_id)

    async def find(self, job_id: str) -> Route:
        """What is known, asking the tables if need be."""
        if (known := self._known.get(job_id)) is not None:
            return known
        try:
            found = await self._lookup(job_id)
        except (Unavailable, Misconfigured):  # away, or there are no tables yet
            found = None
        if found is None:
            return self._guessed.get(job_id) or Route(job_id, job_id, is_guess=True)
        if len(self._known) < MOST_CACHED:
            self._known[job_id] = found
        return found

    def of_submits(self, commands: Sequence[Submit], routes: Sequence[Route]) -> list[tuple[int, ExecutionId | None]]:
        """Of each its partition, and the execution's id where it follows from the command alone. Raises `Refused` for data that has not
        what its exclusivity key is made of."""
        names = [_routing_name(command, route) for command, route in zip(commands, routes, strict=True)]
        placed: list[tuple[int, ExecutionId | None]] = []
        for command, route, hashed in zip(commands, routes, murmur2_of_all(names), strict=True):
            partition = partition_of_hash(hashed, self._partitions)
            is_guess = route.may_have_field and command.exclusive_key is None
            if is_guess or command.idempotency_key is not None or command.unique is not None:
                placed.append((partition, None))
            else:
                placed.append((partition, execution_of_command(command.command_id, command.tenant, "submit", partition)))
        return placed

    def of_run_now(self, command: RunNow, route: Route) -> tuple[int, ExecutionId]:
        """A run-now goes to the home partition of its job."""
        partition = self.home_of(route)
        return partition, execution_of_command(command.command_id, None, "run_now", partition)

    def home_of(self, route: Route) -> int:
        """Where a job's ticks are decided, and acts that concern it."""
        if route.home is not None and route.home < self._partitions:
            return route.home
        return partition_for(routing_key(route.job_id, route.job_name, route.tenant, route.scope, None, True, ""), self._partitions)


def _routing_name(command: Submit, route: Route) -> str:
    name = command.command_id if command.unique is None else routing_name(command.tenant, command.job_id, command.unique.key)
    if route.scope == "none":
        return name
    value = exclusive_value(command.exclusive_key, command.data, route.field)
    return routing_key(route.job_id, route.job_name, command.tenant, route.scope, value, route.has_schedule, name)

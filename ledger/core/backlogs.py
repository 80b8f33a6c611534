"""How many executions wait, by queue and tenant, and how many may. Judged where a submit is decided, in its partition.

Each partition takes an equal part of the limit, rounded up: no partition knows the others, and what is decided must follow from the log and
the settings alone. What is counted waits, is delayed or is in line; what runs is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ledger.core.execution import Buffered, Delayed, Requested, State, Waiting
from ledger.core.refusal import Refused

FULL: Final = "backlog_full"  # the reason; unlike others it does not stand for ever
STANDS: Final = 60_000_000  # microseconds for which a repeat of the same command is answered with the same refusal
ANY: Final = "*"


@dataclass(slots=True)
class Backlogs:
    """So many wait, by `queue:NAME` and `tenant:NAME`."""

    waiting: dict[str, int] = field(default_factory=dict)

    def turn(self, before: State | None, after: State) -> None:
        """An execution went from one state to another."""
        was, waits = isinstance(before, Waiting | Delayed | Buffered), isinstance(after, Waiting | Delayed | Buffered)
        if was is waits:
            return
        if isinstance(after, Waiting | Delayed | Buffered):
            self._add(after.request, 1)
        elif isinstance(before, Waiting | Delayed | Buffered):
            self._add(before.request, -1)

    def _add(self, request: Requested, step: int) -> None:
        for key in keys_of(request.queue, request.tenant):
            count = self.waiting.get(key, 0) + step
            if count:
                self.waiting[key] = count
            else:
                self.waiting.pop(key, None)


def keys_of(queue: str, tenant: str | None) -> tuple[str, ...]:
    return (f"queue:{queue}",) if tenant is None else (f"queue:{queue}", f"tenant:{tenant}")


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """As the settings say, over all partitions. `'*'` among the tenants: each that is not named; None: no limit."""

    queues: Mapping[str, int]
    tenants: Mapping[str, int | None]

    def __bool__(self) -> bool:
        return bool(self.queues) or any(most is not None for most in self.tenants.values())

    def check(self, queue: str, tenant: str | None, waiting: Callable[[str], int], partitions: int) -> None:
        """Raises `Refused` where one more does not fit. `waiting`: how many do in this partition, by key."""
        self._check("queue", queue, self.queues.get(queue), waiting, partitions)
        if tenant is not None:
            most = self.tenants[tenant] if tenant in self.tenants else self.tenants.get(ANY)
            self._check("tenant", tenant, most, waiting, partitions)

    @staticmethod
    def _check(scope: str, name: str, most: int | None, waiting: Callable[[str], int], partitions: int) -> None:
        if most is None:
            return
        here, count = part_of(most, partitions), waiting(f"{scope}:{name}")
        if count >= here:
            part = "" if partitions == 1 else f" in this partition, and its part of {most} is {here}"
            raise Refused(
                FULL,
                f"{count} executions of {scope} {name} wait{part or f', and {most} may'}: submit again when some have run, or raise "
                f"`{scope}s.{name}.backlog`; `jobledger executions list --state waiting --state delayed` shows them",
            )


def part_of(most: int, partitions: int) -> int:
    """What one partition takes of a limit."""
    return -(-most // partitions)


def is_over(refused_at: int, at: int) -> bool:
    """A refusal for a full backlog is not remembered any more: the same command is decided anew."""
    return refused_at < at - STANDS

"""Bulk acts: many cancels or retries of one mind, each a command of its own that names the bulk act.

Whom it concerns is selected from the tables, page by page, and each page is decided before the next one is looked for: so it is bounded,
and whoever goes on after it broke off leaves out what is decided. Source: scheduling.md, section 7; docs/decisions/0017.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from ledger.client.acted import acted
from ledger.client.filtering import document_of, filter_of, meant, until
from ledger.client.line import CATCHING_UP, Line
from ledger.client.retrying import retry_of
from ledger.core.bulk import BulkKind
from ledger.core.ids import ExecutionId
from ledger.core.outcome import Answer
from ledger.core.refusal import Refused, Unavailable
from ledger.core.request import BeginBulk, Cancel, Control, FinishBulk, Retry
from projections.acting_reads import command_of
from projections.reads import Reads
from projections.rows import BulkAct, Count, ExecutionFilter, Target

BEHIND: Final = 30.0  # seconds that the tables may be behind where it matters
LOG: Final = "events"


@dataclass(frozen=True, slots=True)
class BulkDone:
    """What a bulk act came to; only planned, nothing is done. `states`: of the executions it was planned for. `reasons`: of refusals."""

    kind: BulkKind
    planned: int
    states: Mapping[str, int] = field(default_factory=dict)
    bulk_id: str | None = None
    done: int = 0
    refused: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom it is about, and how many they are by partition."""

    kind: BulkKind
    where: ExecutionFilter
    partitions: Mapping[int, int]
    states: Mapping[str, int]

    @property
    def planned(self) -> int:
        return sum(self.partitions.values())


async def plan_of(reads: Reads, kind: BulkKind, where: ExecutionFilter) -> Plan:
    """Raises `Refused`."""
    where = meant(kind, where)
    counts = await reads.counted(kind, where)
    states = Counter[str]()
    for one in counts:
        states[one.state] += one.count
    newest = max((one.newest for one in counts), default=None)
    return Plan(kind, where if newest is None else until(where, newest), partitions_of(counts), states)


def partitions_of(counts: Sequence[Count]) -> Mapping[int, int]:
    found = Counter[int]()
    for one in counts:
        found[one.partition] += one.count
    return found


Told = Callable[[str, int], None]  # the bulk act's id, and how many are decided; at the beginning, and after each page


@dataclass(slots=True)
class BulkRun:
    """One bulk act on its way."""

    line: Line
    reads: Reads
    bulk_id: str
    kind: BulkKind
    where: ExecutionFilter
    partitions: Mapping[int, int]
    actor: str | None
    reason: str | None
    timeout: float
    told: Told
    goes_on: bool = False  # it broke off before
    _outcomes: Counter[str] = field(default_factory=Counter)

    @classmethod
    async def again(cls, line: Line, reads: Reads, bulk_id: str, actor: str | None, timeout: float, told: Told) -> Self | None:
        """One that broke off; None if it came to its end. Raises `Refused` if there is none."""
        rows = await reads.bulk_act(bulk_id)
        kinds: dict[str, BulkKind] = {"cancel": "cancel", "retry": "retry"}
        if not rows or (kind := kinds.get(rows[0].kind)) is None:
            raise Refused("unknown_bulk_act", f"there is no bulk cancel or retry {bulk_id}, or the tables do not have it yet")
        where = filter_of(rows[0].filter or {})
        counted = partitions_of(await reads.counted(kind, where))
        open_ones = {one.address.partition: one.planned for one in rows if one.finished_at is None}
        ended = {one.address.partition for one in rows} - open_ones.keys()
        partitions = {number: count for number, count in {**counted, **open_ones}.items() if number not in ended}
        if not partitions:
            return None
        return cls(line, reads, bulk_id, kind, where, partitions, actor, rows[0].reason, timeout, told, goes_on=True)

    async def run(self) -> None:
        self.told(self.bulk_id, 0)
        await self._begin()
        last: Target | None = None
        while targets := await self._next(last):
            await self._act_on(targets)
            self.told(self.bulk_id, self._outcomes.total())
            last = targets[-1]
        await self._finish()

    async def _begin(self) -> None:
        """In each partition. Where it began before, that is said, and after all that came of it: once the tables know of this answer they
        know of everything before it."""
        document = document_of(self.where)
        commands = {
            partition: BeginBulk(f"{self.bulk_id}:begin-{partition}", self.bulk_id, self.kind, planned, document, self.actor, self.reason)
            for partition, planned in self.partitions.items()
        }
        answers = await self._ask(commands)
        if self.goes_on and not await self._caught_up(answers, BEHIND):
            raise Unavailable(
                f"the tables did not come to what bulk act {self.bulk_id} has done within {BEHIND:g} s: see whether "
                "`jobledger projections run` runs, then go on with it"
            )

    async def _finish(self) -> None:
        commands = {
            partition: FinishBulk(f"{self.bulk_id}:finish-{partition}", self.bulk_id, self.actor, self.reason)
            for partition in self.partitions
        }
        await self._caught_up(await self._ask(commands), CATCHING_UP)

    async def _ask(self, commands: "Mapping[int, BeginBulk | FinishBulk]") -> list[Answer]:
        """Raises `Refused`."""
        asked = (self.line.act_in(partition, command, self.timeout) for partition, command in commands.items())
        answers = await asyncio.gather(*asked)
        for answer, command in zip(answers, commands.values(), strict=True):
            acted(answer, command.command_id)
        return answers

    async def _caught_up(self, answers: Sequence[Answer], seconds: float) -> bool:
        """The tables have what these answers are about."""
        places = [(one.partition, one.address.seq) for one in answers if one.partition is not None and one.address is not None]
        return all(await asyncio.gather(*(self.reads.wait_for(LOG, partition, seq, seconds) for partition, seq in places)))

    async def _next(self, last: Target | None) -> Sequence[Target]:
        undecided_of = self.bulk_id if self.goes_on else None
        return await self.reads.targets(self.kind, self.where, list(self.partitions), after=last, undecided_of=undecided_of)

    async def _act_on(self, targets: Sequence[Target]) -> None:
        by_partition: dict[int, list[Control]] = {}
        for target, command in zip(targets, await self._commands(targets), strict=True):
            by_partition.setdefault(target.partition, []).append(command)
        asked = (self.line.act_on_many(partition, commands, self.timeout) for partition, commands in by_partition.items())
        for answers in await asyncio.gather(*asked):
            self._outcomes.update(one.reason or "rejected" if one.outcome == "rejected" else "" for one in answers)

    async def _commands(self, targets: Sequence[Target]) -> Sequence[Cancel | Retry]:
        if self.kind == "cancel":
            return [self._cancel(one) for one in targets]
        requests = await self.reads.requests(targets)
        return [
            retry_of(requests[one.execution_id], command_of(self.bulk_id, one.execution_id), self.actor, self.reason, self.bulk_id)
            for one in targets
        ]

    def _cancel(self, one: Target) -> Cancel:
        name = command_of(self.bulk_id, one.execution_id)
        return Cancel(name, ExecutionId(one.execution_id), self.actor, self.reason, self.bulk_id)

    async def outcome(self, states: Mapping[str, int]) -> BulkDone:
        """As the tables have it by now, and the reasons of what was refused in this run."""
        rows = await self.reads.bulk_act(self.bulk_id)
        reasons = {reason: count for reason, count in self._outcomes.items() if reason}
        summed = done_of(rows)
        if summed is None or summed.done + summed.refused < self._outcomes.total():  # they are behind
            refused = sum(reasons.values())
            summed = BulkDone(self.kind, sum(self.partitions.values()), done=self._outcomes[""], refused=refused, bulk_id=self.bulk_id)
        return replace(summed, states=states, reasons=reasons)


def done_of(rows: Sequence[BulkAct]) -> BulkDone | None:
    """The sum over its partitions."""
    if not rows or (first := rows[0]).kind not in ("cancel", "retry"):
        return None
    kind: BulkKind = "cancel" if first.kind == "cancel" else "retry"
    planned, done, refused = (sum(getattr(one, name) for one in rows) for name in ("planned", "done", "refused"))
    return BulkDone(kind, planned, bulk_id=first.bulk_id, done=done, refused=refused)

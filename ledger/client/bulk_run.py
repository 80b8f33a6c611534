"""Bulk acts on executions: many cancels or retries of one mind, each a command of its own that names the bulk act.

Whom it concerns is selected from the tables, page by page, and each page is decided before the next one is looked for: so it is bounded,
and whoever goes on after it broke off leaves out what is decided. Source: scheduling.md, section 7; docs/decisions/0017.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from ledger.client.bulk_frame import BulkFrame
from ledger.client.filtering import document_of, filter_of, meant, until
from ledger.client.line import Line
from ledger.client.retrying import retry_of
from ledger.core.bulk import OnExecutions
from ledger.core.ids import ExecutionId
from ledger.core.refusal import Refused, Unavailable
from ledger.core.request import Cancel, Retry
from projections.acting_reads import command_of
from projections.reads import Reads
from projections.rows import Count, ExecutionFilter, Target

BEHIND: Final = 30.0  # seconds that the tables may be behind where it matters


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom it is about, and how many they are by partition."""

    kind: OnExecutions
    where: ExecutionFilter
    partitions: Mapping[int, int]
    states: Mapping[str, int]

    @property
    def planned(self) -> int:
        return sum(self.partitions.values())


async def plan_of(reads: Reads, kind: OnExecutions, where: ExecutionFilter) -> Plan:
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


Told = Callable[[str, int, int], None]  # the bulk act's id, how many are decided and planned; at the beginning, and after each page


@dataclass(slots=True)
class BulkRun:
    """One bulk act on its way. `goes_on`: it broke off before."""

    frame: BulkFrame
    kind: OnExecutions
    where: ExecutionFilter
    told: Told
    goes_on: bool = False

    @classmethod
    def of(
        cls, line: Line, reads: Reads, bulk_id: str, plan: Plan, actor: str | None, reason: str | None, timeout: float, told: Told
    ) -> Self:
        frame = BulkFrame(line, reads, bulk_id, plan.kind, document_of(plan.where), plan.partitions, actor, reason, timeout)
        return cls(frame, plan.kind, plan.where, told)

    @classmethod
    async def again(cls, line: Line, reads: Reads, bulk_id: str, actor: str | None, timeout: float, told: Told) -> Self | None:
        """One that broke off; None if it came to its end. Raises `Refused` if there is none."""
        rows = await reads.bulk_act(bulk_id)
        kinds: dict[str, OnExecutions] = {"cancel": "cancel", "retry": "retry"}
        if not rows or (kind := kinds.get(rows[0].kind)) is None:
            raise Refused("unknown_bulk_act", f"there is no bulk cancel, retry or redrive {bulk_id}, or the tables do not have it yet")
        where = filter_of(rows[0].filter or {})
        counted = partitions_of(await reads.counted(kind, where))
        open_ones = {one.address.partition: one.planned for one in rows if one.finished_at is None}
        ended = {one.address.partition for one in rows} - open_ones.keys()
        partitions = {number: count for number, count in {**counted, **open_ones}.items() if number not in ended}
        if not partitions:
            return None
        frame = BulkFrame(line, reads, bulk_id, kind, document_of(where), partitions, actor, rows[0].reason, timeout)
        return cls(frame, kind, where, told, goes_on=True)

    async def run(self) -> None:
        frame = self.frame
        planned = sum(frame.partitions.values())
        self.told(frame.bulk_id, 0, planned)
        caught_up = await frame.begin(BEHIND if self.goes_on else 0.0)
        if self.goes_on and not caught_up:
            raise Unavailable(
                f"the tables did not come to what bulk act {frame.bulk_id} has done within {BEHIND:g} s: see whether "
                "`jobledger projections run` runs, then go on with it"
            )
        last: Target | None = None
        while targets := await self._next(last):
            await frame.act(zip((one.partition for one in targets), await self._commands(targets), strict=True))
            self.told(frame.bulk_id, frame.outcomes.total(), planned)
            last = targets[-1]
        await frame.finish()

    async def _next(self, last: Target | None) -> Sequence[Target]:
        undecided_of = self.frame.bulk_id if self.goes_on else None
        return await self.frame.reads.targets(self.kind, self.where, list(self.frame.partitions), after=last, undecided_of=undecided_of)

    async def _commands(self, targets: Sequence[Target]) -> Sequence[Cancel | Retry]:
        if self.kind == "cancel":
            return [self._cancel(one) for one in targets]
        frame = self.frame
        requests = await frame.reads.requests(targets)
        return [
            retry_of(requests[one.execution_id], command_of(frame.bulk_id, one.execution_id), frame.actor, frame.reason, frame.bulk_id)
            for one in targets
        ]

    def _cancel(self, one: Target) -> Cancel:
        frame = self.frame
        name = command_of(frame.bulk_id, one.execution_id)
        return Cancel(name, ExecutionId(one.execution_id), frame.actor, frame.reason, frame.bulk_id)

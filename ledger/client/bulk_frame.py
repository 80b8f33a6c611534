"""The frame of a bulk act: begun in each partition it concerns, its commands in between, finished; and what it came to."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import Raw

from ledger.client.acted import acted
from ledger.client.line import CATCHING_UP, Line
from ledger.core.bulk import BulkKind
from ledger.core.outcome import Answer
from ledger.core.request import BeginBulk, Control, FinishBulk
from ledger.submitting.naming import fresh_command_id
from projections.reads import Reads
from projections.rows import ExecutionFilter
from projections.schedule_rows import BulkAct

LOG: Final = "events"
KINDS: Final[Mapping[str, BulkKind]] = {"cancel": "cancel", "retry": "retry", "redrive": "redrive"}


@dataclass(frozen=True, slots=True)
class BulkDone:
    """What a bulk act came to; only planned, nothing is done. `states`: of the executions it was planned for. `reasons`: of refusals.
    `where`, of a plan: its filter, bounded by what there was; given to the act, nothing is meant that was asked for after the plan."""

    kind: BulkKind
    planned: int
    states: Mapping[str, int] = field(default_factory=dict)
    bulk_id: str | None = None
    done: int = 0
    refused: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    where: ExecutionFilter | None = None


@dataclass(slots=True)
class BulkFrame:
    """`document`: what it is about, as JSON. `partitions`: how many are planned in each."""

    line: Line
    reads: Reads
    bulk_id: str
    kind: BulkKind
    document: Raw
    partitions: Mapping[int, int]
    actor: str | None
    reason: str | None
    timeout: float
    outcomes: Counter[str] = field(default_factory=Counter)  # by reason of a refusal; "": done

    async def begin(self, seconds: float = 0.0) -> bool:
        """In each partition; where it began before, that is said. True once the tables know of these answers, and so of all that was done
        before them: they get so many seconds. Raises `Refused`."""
        commands = {
            partition: BeginBulk(fresh_command_id(), self.bulk_id, self.kind, planned, self.document, self.actor, self.reason)
            for partition, planned in self.partitions.items()
        }
        return await self._caught_up(await self._ask(commands), seconds)

    async def act(self, commands: Iterable[tuple[int, Control]]) -> None:
        """Each with its partition, and each decided when this returns."""
        by_partition: dict[int, list[Control]] = {}
        for partition, command in commands:
            by_partition.setdefault(partition, []).append(command)
        asked = (self.line.act_on_many(partition, some, self.timeout) for partition, some in by_partition.items())
        for answers in await asyncio.gather(*asked):
            self.outcomes.update(one.reason or "rejected" if one.outcome == "rejected" else "" for one in answers)

    async def finish(self) -> None:
        commands = {partition: FinishBulk(fresh_command_id(), self.bulk_id, self.actor, self.reason) for partition in self.partitions}
        await self._caught_up(await self._ask(commands), CATCHING_UP)

    async def _ask(self, commands: "Mapping[int, BeginBulk | FinishBulk]") -> list[Answer]:
        answers = await asyncio.gather(*(self.line.act_in(partition, one, self.timeout) for partition, one in commands.items()))
        for answer, command in zip(answers, commands.values(), strict=True):
            acted(answer, command.command_id)
        return answers

    async def _caught_up(self, answers: Sequence[Answer], seconds: float) -> bool:
        """The tables have what these answers are about. One without an address was found there."""
        places = [(one.partition, one.address.seq) for one in answers if one.partition is not None and one.address is not None]
        return all(await asyncio.gather(*(self.reads.wait_for(LOG, partition, seq, seconds) for partition, seq in places)))

    async def outcome(self, states: Mapping[str, int]) -> BulkDone:
        """As the tables have it by now, and the reasons of what was refused in this run."""
        reasons = {reason: count for reason, count in self.outcomes.items() if reason}
        summed = done_of(await self.reads.bulk_act(self.bulk_id))
        if summed is None or summed.done + summed.refused < self.outcomes.total():  # they are behind
            refused = sum(reasons.values())
            summed = BulkDone(self.kind, sum(self.partitions.values()), bulk_id=self.bulk_id, done=self.outcomes[""], refused=refused)
        return replace(summed, states=states, reasons=reasons)


def done_of(rows: Sequence[BulkAct]) -> BulkDone | None:
    """The sum over its partitions. None for what is no such act."""
    if not rows or (kind := KINDS.get(rows[0].kind)) is None:
        return None
    planned, done, refused = (sum(getattr(one, name) for one in rows) for name in ("planned", "done", "refused"))
    return BulkDone(kind, planned, bulk_id=rows[0].bulk_id, done=done, refused=refused)

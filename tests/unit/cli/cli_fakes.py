"""A ledger that needs no server, for the command line."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ledger.cli.session import Session
from ledger.client.acted import Acted, Verdict, acted
from ledger.client.handle import ExecutionHandle
from ledger.client.ledger import Ledger
from ledger.client.letters import DeadLetter, DeadLetters
from ledger.client.line import DECISION, Line, checked
from ledger.client.tables import Tables
from ledger.client.waits_for import WaitsFor
from ledger.config import Settings
from ledger.core.bodies import NOTHING
from ledger.core.bulk import OnExecutions
from ledger.core.definition import ScheduleJob
from ledger.core.execution import Requested
from ledger.core.ids import Address, ExecutionId
from ledger.core.outcome import Answer
from ledger.core.pause import PauseScope
from ledger.core.refusal import LedgerError
from ledger.core.request import Act, Control, Retry
from ledger.core.wire import RegistryCommand
from ledger.submitting.submission import Submission, Wish, command_of, submission_of
from projections.reads import EVERYTHING, Reads
from projections.rows import Attempt, CommandOutcome, Count, Execution, ExecutionFilter, JobDefinition, JobVersion, Load, Page, Target
from projections.schedule_rows import Bulk, BulkAct, BulkFilter, JobStatus, Pause
from tests.unit.client.client_rows import (
    AT,
    ATTEMPT,
    BULK,
    BULK_ACTS,
    DEFINITION,
    HISTORY,
    HOURLY,
    LOADS,
    OUTCOME,
    PAUSES,
    REQUESTED,
    STATUS,
    VERSION,
    execution_row,
)

Commanded = RegistryCommand | Act | Control


@dataclass
class World:
    """`execution`: the one there is. `error`: raised by every submit. `next`: a cursor, where a page is not the last."""

    execution: Execution = field(default_factory=lambda: execution_row("completed", result="Hello"))
    error: LedgerError | None = None
    next: str | None = None
    submitted: list[Submission] = field(default_factory=list)
    acts: list[Commanded] = field(default_factory=list)
    outcome: Verdict = "applied"  # of every act
    asked: list[ExecutionFilter] = field(default_factory=list)
    asked_bulks: list[BulkFilter] = field(default_factory=list)
    retry: str | None = None  # of the execution there is
    waits_for: tuple[WaitsFor, ...] = ()
    letters: list[DeadLetter] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)  # for the decisions of what was submitted
    refused: tuple[str, ...] = ()  # ids of commands, whatever the outcome of the others

    def session(self) -> Session:
        return Session(load=Settings, open=self._open)

    @asynccontextmanager
    async def _open(self, settings: Settings, actor: str | None) -> AsyncIterator[Ledger]:
        yield FakeLedger(self, settings, actor)


class FakeLedger(Ledger):
    def __init__(self, world: World, settings: Settings, actor: str | None) -> None:
        super().__init__(settings, actor=actor, tables=FakeTables(world, settings))
        self._world = world
        self._line = FakeLine(world, self._line)
        self.dead_letters = FakeDeadLetters(settings, self._line.tables, world.letters)

    async def submit_one(self, wish: Submission, *, follow: bool = False, timeout: float = DECISION) -> ExecutionHandle:
        command_of(wish)
        self._world.submitted.append(wish)
        self._world.timeouts.append(timeout)
        if self._world.error is not None:
            raise self._world.error
        return ExecutionHandle(ExecutionId(self._world.execution.execution_id), self.executions.get, command_id="c1")

    async def waits_for(self, execution: Execution | str) -> tuple[WaitsFor, ...]:
        return self._world.waits_for

    async def submit_many(self, wishes: Iterable[Wish], *, first: int = 0) -> list[ExecutionId | None]:
        made = list(map(submission_of, wishes))
        self._world.submitted += made
        if self._world.error is not None:
            raise self._world.error
        return [ExecutionId(f"e{number}-0") for number in range(first, first + len(made))]

    async def run_now(
        self,
        job_id: str,
        data: object = NOTHING,
        *,
        overlap: str | None = None,
        ignore_pause: bool = False,
        reason: str | None = None,
        follow: bool = False,
        timeout: float = DECISION,
    ) -> ExecutionHandle:
        return await self.submit_one(Submission(job_id, None if data is NOTHING else data, reason=reason), timeout=timeout)


class FakeLine(Line):
    """Acts are decided at once, as the world says."""

    def __init__(self, world: World, line: Line) -> None:
        super().__init__(line.settings, None, 1.0, line.tables)
        self._world = world

    def _decided(self, command: Commanded) -> Answer:
        checked(command)
        self._world.acts.append(command)
        if self._world.error is not None:
            raise self._world.error
        place = ("registry", 0, Address(7, 0))
        new = ExecutionId("e2-0") if isinstance(command, Retry) else None
        outcome = "rejected" if command.command_id in self._world.refused else self._world.outcome
        return Answer(command.command_id, outcome, new, "because", "it is so", *place)

    async def act(self, command: RegistryCommand, timeout: float = DECISION) -> Answer:
        return self._decided(command)

    async def act_on_all(self, commands: list[ScheduleJob], timeout: float = DECISION) -> list[Answer]:
        return list(map(self._decided, commands))

    async def act_in(self, partition: int, command: Control, timeout: float = DECISION) -> Answer:
        return self._decided(command)

    async def act_on_many(self, partition: int, commands: Sequence[Control], timeout: float = DECISION) -> list[Answer]:
        return list(map(self._decided, commands))

    async def act_at_home(self, command: Act, timeout: float = DECISION) -> Acted:
        return acted(self._decided(command), command.command_id)


@dataclass(frozen=True)
class FakeDeadLetters(DeadLetters):
    letters: Sequence[DeadLetter] = ()

    async def get(self, number: int) -> DeadLetter | None:
        return next((one for one in self.letters if one.number == number), None)

    async def named(self, letters: Collection[str]) -> Sequence[DeadLetter]:
        return [one for one in self.letters if one.letter in letters]


class FakeTables(Tables):
    def __init__(self, world: World, settings: Settings) -> None:
        super().__init__(settings)
        self._fake = FakeReads(world)

    async def reads(self) -> Reads:
        return self._fake


class FakeReads(Reads):
    def __init__(self, world: World) -> None:
        self._world = world

    async def definitions(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        job_name: str | None = None,
        tenant: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[JobDefinition]:
        return Page((DEFINITION,), self._world.next)

    async def definition(self, job_id: str) -> JobDefinition | None:
        return next((one for one in (DEFINITION, HOURLY) if one.job_id == job_id), None)

    async def status(self, job_id: str) -> JobStatus | None:
        return STATUS if job_id == STATUS.job_id else None

    async def versions(self, job_id: str, *, cursor: str | None = None, limit: int = 50) -> Page[JobVersion]:
        versions = [*HISTORY, VERSION] if cursor is None else [VERSION]
        return Page(tuple(one for one in versions if one.job_id == job_id)[:limit], self._world.next if cursor is None else None)

    async def version(self, job_id: str, job_version: int) -> JobVersion | None:
        return next((one for one in (*HISTORY, VERSION) if (one.job_id, one.job_version) == (job_id, job_version)), None)

    async def executions(self, where: ExecutionFilter = EVERYTHING, *, cursor: str | None = None, limit: int = 50) -> Page[Execution]:
        self._world.asked.append(where)
        return Page((self._world.execution,), self._world.next)

    async def execution(self, execution_id: str) -> Execution | None:
        return self._world.execution if execution_id == self._world.execution.execution_id else None

    async def retry_of(self, execution_id: str) -> str | None:
        return self._world.retry

    async def requests(self, targets: Sequence[Target | Execution]) -> dict[str, Requested]:
        return {one.execution_id: REQUESTED for one in targets}

    async def counted(self, kind: OnExecutions, where: ExecutionFilter) -> list[Count]:
        self._world.asked.append(where)
        return [Count(0, self._world.execution.state, 1, AT)]

    async def targets(
        self,
        kind: OnExecutions,
        where: ExecutionFilter,
        partitions: Collection[int],
        *,
        after: Target | None = None,
        undecided_of: str | None = None,
    ) -> list[Target]:
        return [Target("e1-0", 0, AT, 0)] if after is None else []

    async def wait_for(self, log: str, partition: int, seq: int, timeout: float) -> bool:
        return True

    async def bulk_act(self, bulk_id: str) -> list[BulkAct]:
        return [one for one in BULK_ACTS if one.bulk_id == bulk_id]

    async def bulks(self, where: BulkFilter, *, cursor: str | None = None, limit: int = 50) -> Page[Bulk]:
        self._world.asked_bulks.append(where)
        return Page((BULK,), self._world.next)

    async def attempts(self, execution_id: str) -> list[Attempt]:
        return [ATTEMPT]

    async def command(self, command_id: str) -> CommandOutcome | None:
        return OUTCOME if command_id == OUTCOME.command_id else None

    async def loads(self, scope: PauseScope, *, cursor: str | None = None, limit: int = 50) -> Page[Load]:
        return Page(LOADS.get(scope, ()), self._world.next)

    async def pauses(self, *, scope: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Pause]:
        return Page(tuple(one for one in PAUSES if scope in (None, one.scope)))

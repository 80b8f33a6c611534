"""`Ledger`: what a program uses to submit, wait and read."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from ledger.client.bulk import Bulk
from ledger.client.bulk_acts import BulkActing
from ledger.client.execution_acts import ExecutionActs
from ledger.client.handle import ExecutionHandle, handle_of
from ledger.client.home_acts import HomeActs
from ledger.client.letter_acts import LetterActs
from ledger.client.letters import DeadLetters
from ledger.client.line import DECISION, Line
from ledger.client.past_acts import PastActs
from ledger.client.pause_acts import PauseActs
from ledger.client.reading import BulkActs, Commands, Definitions, Executions, Loads, Pauses, Statuses, Ticks, Versions
from ledger.client.schedule_acts import ScheduleActs
from ledger.client.sending import PATIENCE
from ledger.client.tables import Tables
from ledger.client.who import who
from ledger.client.why_acts import WhyActs
from ledger.client.workers import Workers
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.ids import ExecutionId
from ledger.core.options import Options
from ledger.core.outcome import Answer
from ledger.core.wire import RegistryCommand
from ledger.handlers import Jobs
from ledger.submitting.submission import Duration, Submission, Wish, command_of
from ledger.submitting.unique import Unique


class Ledger(ScheduleActs, PauseActs, HomeActs, ExecutionActs, BulkActing, LetterActs, WhyActs, PastActs):
    """Servers are connected when they are first needed: Kafka and Redis to submit, Postgres to read.

    It belongs to the process and the event loop in which it is first used: connect one in each.

    Raises, everywhere: `Refused` (ask for something else; also of a client that was closed, or is at home elsewhere), `Unavailable` (a
    server is away, by its address; within about 10 s), `Undecided` (nobody decides), `Misconfigured` (no such topic).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        jobs: Jobs | None = None,
        actor: str | None = None,
        patience: float = PATIENCE,
        tables: Tables | None = None,
    ) -> None:
        self.settings = settings
        self.actor = actor
        self.acting = actor or who()
        self._line = Line(settings, jobs, patience, tables or Tables(settings))
        self.definitions = Definitions(self._line.tables)
        self.versions = Versions(self._line.tables)
        self.executions = Executions(self._line.tables)
        self.commands = Commands(self._line.tables)
        self.ticks = Ticks(self._line.tables)
        self.statuses = Statuses(self._line.tables)
        self.pauses = Pauses(self._line.tables)
        self.queues = Loads(self._line.tables, "queue")
        self.tenants = Loads(self._line.tables, "tenant")
        self.keys = Loads(self._line.tables, "key")
        self.bulk_acts = BulkActs(self._line.tables)
        self.dead_letters = DeadLetters(settings, self._line.tables)
        self.workers = Workers(settings, self._line.tables, actor)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, config: Settings | Path | str | None = None, *, jobs: Jobs | None = None, actor: str | None = None, patience: float = PATIENCE
    ) -> AsyncIterator[Self]:
        """`config`: settings, or the file to load them from (else JOBLEDGER_CONFIG, else `jobledger.yaml` here). `jobs`: the handlers,
        where they are at hand. `actor`: who asks, as the log will have it; of acts it is this user on this machine if nothing is said.
        `patience`: seconds until a broker counts as away."""
        settings = config if isinstance(config, Settings) else load_settings(None if config is None else Path(config), os.environ)
        ledger = cls(settings, jobs=jobs, actor=actor, patience=patience)
        try:
            yield ledger
        finally:
            await ledger.close()

    async def close(self) -> None:
        """Sends what is under way and lets go of everything."""
        await self._line.close()

    async def submit(
        self,
        job: str,
        data: object = None,
        *,
        tenant: str | None = None,
        exclusive_key: str | None = None,
        idempotency_key: str | None = None,
        delay: Duration | None = None,
        run_at: datetime | str | None = None,
        start_deadline: Duration | None = None,
        priority: int | None = None,
        labels: dict[str, str] | None = None,
        options: Mapping[str, object] | Options | None = None,
        unique: Unique | str | Sequence[str] | None = None,
        reason: str | None = None,
        correlation_id: str | None = None,
        trace_id: str | None = None,
        follow: bool = False,
        timeout: float = DECISION,
    ) -> ExecutionHandle:
        """Run a job once. Returns when it is accepted, which is durable; `follow` hears of its progress. With an `idempotency_key` a
        repeat is answered with the first one's execution; `unique` compares with what was asked for by others. See `Submission`."""
        wish = Submission(
            job,
            data,
            tenant,
            exclusive_key,
            idempotency_key,
            delay,
            run_at,
            start_deadline,
            priority,
            labels,
            options,
            correlation_id,
            trace_id,
            reason,
            unique,
        )
        return await self.submit_one(wish, follow=follow, timeout=timeout)

    async def submit_one(self, wish: Submission, *, follow: bool = False, timeout: float = DECISION) -> ExecutionHandle:
        """`submit` for a wish that is made already."""
        await self._line.open()
        command = command_of(wish, actor=self.actor, answer=self._line.channel, follow=follow)
        decided = await self._line.submit(command, timeout)
        return handle_of(decided, command.command_id, self.executions.get)

    async def submit_many(self, wishes: Iterable[Wish], *, first: int = 1) -> list[ExecutionId | None]:
        """Many at once, each a `Submission`, a mapping with its fields or a (job, data). Returns when Kafka has them all: nobody waits
        for decisions. The ids of their executions; None where control names it (a submit with an idempotency key, or unique). `first` is
        the number of the first, for the message of `Refused`; those before the one that is refused are sent."""
        line = self._line
        return await Bulk(line.sender, line.routes, self.settings.topic("commands"), self.actor).submit(wishes, first)

    def execution(self, execution_id: str) -> ExecutionHandle:
        """The handle of an execution whose id is known."""
        return ExecutionHandle(ExecutionId(execution_id), self.executions.get)

    async def act(self, command: RegistryCommand, timeout: float = DECISION) -> Answer:
        """An act of the registry: a job's registration, a manifest. Who is to be answered is filled in here."""
        return await self._line.act(command, timeout)

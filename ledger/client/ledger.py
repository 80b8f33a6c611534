"""`Ledger`: what a program uses to submit, wait and read."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from msgspec import structs

from ledger.client.bulk import Bulk, check
from ledger.client.decisions import Decisions
from ledger.client.ear import Ear
from ledger.client.encoding import check_size, encode_data
from ledger.client.handle import ExecutionHandle
from ledger.client.naming import fresh_command_id
from ledger.client.news import Newsroom
from ledger.client.reading import Commands, Definitions, Executions, Versions
from ledger.client.routes import Routes
from ledger.client.sending import PATIENCE, Sender
from ledger.client.submission import Duration, Submission, Wish, command_of
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core import wire
from ledger.core.bodies import NOTHING
from ledger.core.definition import Command as RegistryCommand
from ledger.core.execution import Options
from ledger.core.ids import ExecutionId
from ledger.core.outcome import Answer
from ledger.core.refusal import Refused
from ledger.core.request import RunNow, Submit
from ledger.handlers import Jobs

DECISION: Final = 30.0  # seconds to wait for a decision
_ABSENT: Final = object()


class Ledger:
    """Servers are connected when they are first needed: Kafka and Redis to submit, Postgres to read.

    Raises, everywhere: `Refused` (ask for something else), `Unavailable` (a server is away, by its address; within about 10 s),
    `Undecided` (nobody decides), `Misconfigured` (no such topic).
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
        self._tables = tables or Tables(settings)
        self._sender = Sender(settings.kafka.bootstrap, patience=patience)
        self._newsroom = Newsroom()
        self._routes = Routes(settings, jobs, self._tables.route)
        self._answers = settings.redis_key("answers", uuid4().hex)
        self._ear = Ear(settings.redis.url.get_secret_value(), self._answers, lambda answers: self._decisions.hear(answers))
        resend_for = settings.limits.deduplication_window / 2
        self._decisions = Decisions(self._sender, self._ear, self._tables.decision, self._newsroom, resend_for)
        self.definitions = Definitions(self._tables)
        self.versions = Versions(self._tables)
        self.executions = Executions(self._tables)
        self.commands = Commands(self._tables)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, config: Settings | Path | str | None = None, *, jobs: Jobs | None = None, actor: str | None = None, patience: float = PATIENCE
    ) -> AsyncIterator[Self]:
        """`config`: settings, or the file to load them from (else JOBLEDGER_CONFIG, else `jobledger.yaml` here). `jobs`: the handlers,
        where they are at hand. `patience`: seconds until a broker counts as away."""
        settings = config if isinstance(config, Settings) else load_settings(None if config is None else Path(config), os.environ)
        ledger = cls(settings, jobs=jobs, actor=actor, patience=patience)
        try:
            yield ledger
        finally:
            await ledger.close()

    async def close(self) -> None:
        """Sends what is under way and lets go of everything."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._tables.close)
            stack.push_async_callback(self._ear.close)
            stack.push_async_callback(self._sender.close)
            await self._decisions.close()

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
        reason: str | None = None,
        correlation_id: str | None = None,
        trace_id: str | None = None,
        follow: bool = False,
        timeout: float = DECISION,
    ) -> ExecutionHandle:
        """Run a job once. Returns when it is accepted, which is durable; `follow` hears of its progress. With an `idempotency_key` a
        repeat is answered with the first one's execution."""
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
        )
        return await self.submit_one(wish, follow=follow, timeout=timeout)

    async def submit_one(self, wish: Submission, *, follow: bool = False, timeout: float = DECISION) -> ExecutionHandle:
        """`submit` for a wish that is made already."""
        command = command_of(wish, actor=self.actor, answer=self._answers, follow=follow)
        record = _checked(command)
        route = self._routes.guess(wish.job) or await self._routes.find(wish.job)
        [(partition, _)] = self._routes.of_submits([command], [route])
        return await self._ask(command, record, partition, wish.tenant, follow, timeout)

    async def submit_many(self, wishes: Iterable[Wish], *, first: int = 0) -> list[ExecutionId | None]:
        """Many at once, each a `Submission`, a mapping with its fields or a (job, data). Returns when Kafka has them all: nobody waits
        for decisions. The ids of their executions; None where control names it (a submit with an idempotency key)."""
        return await Bulk(self._sender, self._routes, self.settings.topic("commands"), self.actor).submit(wishes, first)

    async def run_now(
        self, job_id: str, data: object = _ABSENT, *, reason: str | None = None, follow: bool = False, timeout: float = DECISION
    ) -> ExecutionHandle:
        """Run a job of a schedule now, with its own data or with `data`."""
        body = NOTHING if data is _ABSENT else encode_data(data)
        command = RunNow(fresh_command_id(), job_id, body, self.actor, reason, None, None, None, self._answers, follow)
        record = _checked(command)
        partition, _ = self._routes.of_run_now(command, self._routes.guess(job_id) or await self._routes.find(job_id))
        return await self._ask(command, record, partition, None, follow, timeout)

    def execution(self, execution_id: str) -> ExecutionHandle:
        """The handle of an execution whose id is known."""
        return ExecutionHandle(ExecutionId(execution_id), self.executions.get)

    async def act(self, command: RegistryCommand, timeout: float = DECISION) -> Answer:
        """An act of the registry: a job's registration, a manifest. `answer` is filled in here."""
        command = structs.replace(command, answer=self._answers)
        topic = self.settings.topic("registry-commands")
        return (await self._decisions.ask(command.command_id, topic, 0, wire.encode(command), timeout=timeout)).answer

    async def _ask(
        self, command: Submit | RunNow, record: bytes, partition: int, tenant: str | None, follow: bool, timeout: float
    ) -> ExecutionHandle:
        topic = self.settings.topic("commands")
        answer, news = await self._decisions.ask(
            command.command_id, topic, partition, record, tenant=tenant, follow=follow, timeout=timeout
        )
        if answer.outcome == "rejected" or answer.execution_id is None:
            raise Refused(answer.reason or "rejected", answer.detail or f"command {command.command_id} was refused")
        was_known = answer.outcome == "repeated"
        return ExecutionHandle(answer.execution_id, self.executions.get, command_id=command.command_id, was_known=was_known, news=news)


def _checked(command: Submit | RunNow) -> bytes:
    """Its bytes, read once as control will read them."""
    record = wire.encode(command)
    check_size(record, command.data)
    check(record)
    return record

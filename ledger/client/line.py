"""A program's line to the servers: commands go out by Kafka, decisions come back by Redis or are found in the tables."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final
from uuid import uuid4

from msgspec import structs

from ledger.client.acted import Acted, acted
from ledger.client.bulk import check
from ledger.client.decisions import Decisions
from ledger.client.ear import Ear
from ledger.client.errors import Undecided
from ledger.client.news import Newsroom
from ledger.client.questions import Decided, Questions
from ledger.client.routes import Route, Routes
from ledger.client.sending import Sender
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.definition import Register, ScheduleJob
from ledger.core.outcome import Answer
from ledger.core.request import Act, Control, Retry, RunNow, Submit
from ledger.core.said import check_said
from ledger.core.wire import RegistryCommand
from ledger.handlers import Jobs
from ledger.kafka.verify import LogName
from ledger.submitting.encoding import check_size, encode_command
from projections.reads import Reads

DECISION: Final = 30.0  # seconds to wait for a decision
CATCHING_UP: Final = 2.0  # seconds that the tables may be behind our own acts
LOG: Final = "registry"
COMMANDS: Final[Mapping[LogName, str]] = {"events": "commands", "registry": "registry-commands"}


class Line:
    """Everything is connected when it is first needed. `channel`: the Redis channel on which answers are told."""

    def __init__(self, settings: Settings, jobs: Jobs | None, patience: float, tables: Tables) -> None:
        self.settings = settings
        self.tables = tables
        self.sender = Sender(settings.kafka.bootstrap, patience=patience, belonging=tables.belonging)
        self.routes = Routes(settings, jobs, tables.route)
        self.channel = settings.redis_key("answers", uuid4().hex)
        self._ear = Ear(settings.redis.url.get_secret_value(), self.channel, lambda answers: self._decisions.hear(answers))
        resend_for = settings.limits.deduplication_window / 2
        self._acted = 0  # the last commit of the registry that answered an act of ours
        self._decisions = Decisions(self.sender, Questions(self._ear, Newsroom()), tables.decision, resend_for)

    async def close(self) -> None:
        """Sends what is under way and lets go of everything; once."""
        belonging = self.tables.belonging
        if belonging.is_closed:
            return
        belonging.check()
        belonging.is_closed = True
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.tables.close)
            stack.push_async_callback(self._ear.close)
            stack.push_async_callback(self.sender.close)
            await self._decisions.close()

    async def route(self, job_id: str) -> Route:
        return self.routes.guess(job_id) or await self.routes.find(job_id)

    async def open(self) -> None:
        """Before a burst keeps the event loop busy: answers are heard from the first one on."""
        self.tables.belonging.check()
        if not self._ear.is_open:
            await self._ear.open()

    async def submit(self, command: Submit, timeout: float) -> Decided:
        """A one-time job, sent to where it belongs."""
        record = checked(command)  # first: a text that is none belongs nowhere
        [(partition, _)] = self.routes.of_submits([command], [await self.route(command.job_id)])
        return await self._ask("events", partition, command.command_id, record, timeout, tenant=command.tenant, follow=command.follow)

    async def run_now(self, command: RunNow, timeout: float) -> Decided:
        """A job of a schedule, at its home."""
        partition, _ = self.routes.of_run_now(command, await self.route(command.job_id))
        return await self._ask("events", partition, command.command_id, checked(command), timeout, follow=command.follow)

    async def _ask(
        self,
        log: LogName,
        partition: int,
        command_id: str,
        record: bytes,
        timeout: float,
        *,
        tenant: str | None = None,
        follow: bool = False,
    ) -> Decided:
        topic = self.settings.topic(COMMANDS[log])
        try:
            return await self._decisions.ask(command_id, topic, partition, record, tenant=tenant, follow=follow, timeout=timeout)
        except Undecided as error:
            raise await self._explained(error, log, partition) from None

    async def _ask_many(self, log: LogName, partition: int, commands: Sequence[tuple[str, bytes]], timeout: float) -> list[Answer]:
        try:
            return await self._decisions.ask_many(self.settings.topic(COMMANDS[log]), partition, commands, timeout=timeout)
        except Undecided as error:
            raise await self._explained(error, log, partition) from None

    async def _explained(self, error: Undecided, log: LogName, partition: int) -> Undecided:
        """What is asked of a partition that stopped nobody decides, and a worker that is started does not help."""
        if error.seconds is None or (why := await self.tables.stopped(log, partition)) is None:
            return error
        return Undecided(error.command_id, error.seconds, (f"{self.settings.topic(log)}[{partition}]", why))

    async def act(self, command: RegistryCommand, timeout: float = DECISION) -> Answer:
        """An act of the registry: a job, a manifest, a pause. Who is to be answered is filled in here."""
        record = checked(structs.replace(command, answer=self.channel))
        answer = (await self._ask(LOG, 0, command.command_id, record, timeout)).answer
        self._notice(answer)
        return answer

    async def act_on_all(self, commands: "list[ScheduleJob]", timeout: float = DECISION) -> list[Answer]:
        """Many acts of the registry, as few records, each answered. Raises before anything is sent if one of them cannot be."""
        records = [(command.command_id, checked(structs.replace(command, answer=self.channel))) for command in commands]
        answers = await self._ask_many(LOG, 0, records, timeout)
        for answer in answers:
            self._notice(answer)
        return answers

    def _notice(self, answer: Answer) -> None:
        if answer.log == LOG and answer.address is not None:
            self._acted = max(self._acted, answer.address.seq)

    async def reads(self) -> Reads:
        """The tables, once they know of our own acts of the registry; without them where that takes long."""
        reads = await self.tables.reads()
        if self._acted:
            await reads.wait_for(LOG, 0, self._acted, CATCHING_UP)
            self._acted = 0
        return reads

    async def act_at_home(self, command: Act, timeout: float = DECISION) -> Acted:
        """An act of the home partition of a job. Raises `Refused`."""
        record = checked(structs.replace(command, answer=self.channel))
        partition = self.routes.home_of(await self.routes.find(command.job_id))
        return acted((await self._ask("events", partition, command.command_id, record, timeout)).answer, command.command_id)

    async def act_in(self, partition: int, command: Control, timeout: float = DECISION) -> Answer:
        """An act on what lives in this partition."""
        record = checked(structs.replace(command, answer=self.channel))
        return (await self._ask("events", partition, command.command_id, record, timeout)).answer

    async def act_on_many(self, partition: int, commands: Sequence[Control], timeout: float = DECISION) -> list[Answer]:
        """Many such acts, as few records, each answered. Raises before anything is sent if one of them cannot be."""
        records = [(command.command_id, checked(structs.replace(command, answer=self.channel))) for command in commands]
        return await self._ask_many("events", partition, records, timeout)


def checked(command: Submit | RunNow | Act | Control | RegistryCommand) -> bytes:
    """Its bytes, read once as control will read them."""
    check_said(command.actor, command.reason)
    record = encode_command(command)
    if isinstance(command, Submit | RunNow | Register | ScheduleJob | Retry):
        check_size(record, command.data)
    check(record, registry=isinstance(command, RegistryCommand))
    return record

"""Many submits at once: arrays of commands, one record after the other per partition, nobody waits for a decision."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from msgspec import Raw

from ledger.client.decisions import BYTES_PER_RECORD, COMMANDS_PER_RECORD
from ledger.client.routes import Route, Routes
from ledger.client.sending import Sender
from ledger.core import wire
from ledger.core.bodies import check_key, exclusive_value
from ledger.core.ids import ExecutionId
from ledger.core.refusal import Refused, Undecodable
from ledger.core.request import Submit
from ledger.submitting.encoding import check_size, encode_command
from ledger.submitting.submission import Wish, command_of, submission_of

MOST_UNDER_WAY: Final = 64  # records
BREATH: Final = 200  # commands between two looks at what else the event loop has to do


@dataclass(slots=True)
class _Record:
    """Commands for one partition that are not sent yet."""

    commands: list[bytes] = field(default_factory=list)
    bodies: list[Raw] = field(default_factory=list)
    size: int = 2


class Bulk:
    """One run of `submit_many`."""

    def __init__(self, sender: Sender, routes: Routes, topic: str, actor: str | None) -> None:
        self._sender = sender
        self._routes = routes
        self._topic = topic
        self._actor = actor
        self._route: dict[str, Route] = {}
        self._records: dict[int, _Record] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def submit(self, wishes: Iterable[Wish], first: int = 1) -> list[ExecutionId | None]:
        """Returns once all records are acknowledged. `first` is the number of the first item, for messages."""
        submitted: list[ExecutionId | None] = []
        try:
            try:
                await self._add_all(wishes, first, submitted)
            except Exception:
                await self._finish()
                raise
            await self._finish()
        finally:  # one of them failed, or who asked waits no longer: nobody would hear of the others
            for sending in self._under_way:
                sending.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
        return submitted

    async def _add_all(self, wishes: Iterable[Wish], first: int, submitted: list[ExecutionId | None]) -> None:
        left = iter(wishes)
        while some := list(islice(left, BREATH)):
            await self._add(some, first + len(submitted), submitted)
            await asyncio.sleep(0)

    async def _finish(self) -> None:
        for partition in list(self._records):
            await self._flush(partition)
        await self._settle(0)

    async def _add(self, wishes: Sequence[Wish], first: int, submitted: list[ExecutionId | None]) -> None:
        """Where one is refused, those before it count."""
        commands: list[Submit] = []
        encoded: list[bytes] = []
        routes: list[Route] = []
        try:
            for wish in wishes:
                command = command_of(submission_of(wish), actor=self._actor)
                text = encode_command(command)
                if len(text) >= BYTES_PER_RECORD:
                    check_size(text, command.data)
                route = self._route.get(command.job_id) or await self._find(command.job_id)
                # nobody would hear that control refuses it
                if not route.is_guess:
                    check_key(command.exclusive_key, command.job_id, route.scope)
                if route.has_schedule:
                    raise Refused("not_on_demand", f"{route.job_id} has a schedule: `jobledger run {route.job_id}` runs it now")
                if route.field is not None:
                    exclusive_value(command.exclusive_key, command.data, route.field)
                routes.append(route)
                commands.append(command)
                encoded.append(text)
        except Refused as refused:
            place = first + len(commands)
            raise Refused(refused.reason, f"item {place}: {refused.detail}; the items before it are sent") from refused
        finally:
            for command, text, (partition, execution_id) in zip(commands, encoded, self._routes.of_submits(commands, routes), strict=True):
                await self._put(partition, text, command.data)
                submitted.append(execution_id)

    async def _find(self, job_id: str) -> Route:
        found = self._route[job_id] = await self._routes.find(job_id)
        return found

    async def _put(self, partition: int, command: bytes, body: Raw) -> None:
        size = len(command) + 1
        record = self._records.get(partition)
        if record is None or len(record.commands) >= COMMANDS_PER_RECORD or record.size + size > BYTES_PER_RECORD:
            await self._flush(partition)
            record = self._records[partition] = _Record()
        record.commands.append(command)
        record.bodies.append(body)
        record.size += size

    async def _flush(self, partition: int) -> None:
        waiting = self._records.pop(partition, None)
        if waiting is None:
            return
        record = b"[%b]" % b",".join(waiting.commands)
        if wire.has_to_be_read(record, waiting.bodies):
            check(record)
        await self._settle(MOST_UNDER_WAY - 1)
        self._under_way.add(asyncio.create_task(self._sender.send(self._topic, partition, record)))

    async def _settle(self, most: int) -> None:
        """Wait until at most so many records are under way. Raises what became of those that failed."""
        while len(self._under_way) > most:
            done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            failures = [error for task in done if (error := task.exception()) is not None]
            if failures:
                raise failures[0]


def check(record: bytes, *, registry: bool = False) -> None:
    """Read it as control will. Raises `Refused` for what would become a dead letter there. It says where, not what stands there."""
    for item in wire.decode_commands(record, registry=registry):
        if isinstance(item, Undecodable):
            raise Refused("invalid", item.detail)

"""Many submits at once: arrays of commands, one record after the other per partition, nobody waits for a decision."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ledger.client.encoding import check_size
from ledger.client.routes import Route, Routes
from ledger.client.sending import Sender
from ledger.client.submission import Wish, command_of, submission_of
from ledger.core import wire
from ledger.core.ids import ExecutionId
from ledger.core.refusal import Refused, Undecodable

COMMANDS_PER_RECORD: Final = 200
BYTES_PER_RECORD: Final = 128 * 1024
MOST_UNDER_WAY: Final = 64  # records
BREATH: Final = 200  # commands between two looks at what else the event loop has to do


@dataclass(slots=True)
class _Record:
    """Commands for one partition that are not sent yet."""

    commands: list[bytes] = field(default_factory=list)
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

    async def submit(self, wishes: Iterable[Wish], first: int = 0) -> list[ExecutionId | None]:
        """Returns once all records are acknowledged. `first` is the number of the first item, for messages."""
        submitted: list[ExecutionId | None] = []
        try:
            for number, wish in enumerate(wishes, first):
                try:
                    submitted.append(await self._add(wish))
                except Refused as refused:
                    raise Refused(refused.reason, f"item {number}: {refused.detail}; the items before it are sent") from refused
                if number % BREATH == 0:
                    await asyncio.sleep(0)
        finally:
            for partition in list(self._records):
                await self._flush(partition)
            await self._settle(0)
        return submitted

    async def _add(self, wish: Wish) -> ExecutionId | None:
        command = command_of(submission_of(wish), actor=self._actor)
        route = self._route.get(command.job_id)
        if route is None:
            route = self._route[command.job_id] = await self._routes.find(command.job_id)
        partition, execution_id = self._routes.of_submit(command, route)
        encoded = wire.encode(command)
        size = len(encoded) + 1
        if size > BYTES_PER_RECORD:
            check_size(encoded, command.data)
        record = self._records.get(partition)
        if record is None or len(record.commands) >= COMMANDS_PER_RECORD or record.size + size > BYTES_PER_RECORD:
            await self._flush(partition)
            record = self._records[partition] = _Record()
        record.commands.append(encoded)
        record.size += size
        return execution_id

    async def _flush(self, partition: int) -> None:
        waiting = self._records.pop(partition, None)
        if waiting is None:
            return
        record = b"[%b]" % b",".join(waiting.commands)
        check(record)
        await self._settle(MOST_UNDER_WAY - 1)
        self._under_way.add(asyncio.create_task(self._sender.send(self._topic, partition, record)))

    async def _settle(self, most: int) -> None:
        """Wait until at most so many records are under way. Raises what became of those that failed."""
        while len(self._under_way) > most:
            done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()


def check(record: bytes) -> None:
    """Read it as control will. Raises `Refused` for what would become a dead letter there."""
    for item in wire.decode_commands(record):
        if isinstance(item, Undecodable):
            raise Refused("invalid", f"{item.detail}: {(item.raw or b'')[:200].decode(errors='replace')}")

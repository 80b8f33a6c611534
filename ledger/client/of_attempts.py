"""The client of a worker's process: what its handlers submit. Loaded by `processors.runner.submits`, once the first of them does."""

from typing import Final

from msgspec import structs

from ledger.client.handle import accepted
from ledger.client.line import Line
from ledger.client.sending import PATIENCE
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.context import Submitted
from ledger.core.request import Submit
from ledger.handlers import Jobs


class AttemptsClient:
    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self._line: Final = Line(settings, jobs, PATIENCE, Tables(settings))

    async def submit(self, command: Submit, timeout: float) -> Submitted:
        """Returns when it is accepted. Raises `Refused`, `Unavailable`, `Misconfigured`."""
        decided = await self._line.submit(structs.replace(command, answer=self._line.channel), timeout)
        return Submitted(accepted(decided.answer, command.command_id), was_known=decided.answer.outcome != "accepted")

    async def close(self) -> None:
        await self._line.close()

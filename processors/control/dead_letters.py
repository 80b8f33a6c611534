"""Bytes that cannot be read are kept: raw in the record, the source and the reason in its headers. One letter a source."""

from ledger.config import Settings
from ledger.core.draft import DeadLetter
from ledger.core.wire import LARGEST_RECORD
from processors.control.appender import Appended, Appender


class DeadLetters:
    """Writes to the topic `dead-letters`, keyed by source, so that readers keep the first of two equal ones."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic("dead-letters")
        self._appender = Appender(settings)

    async def write(self, topic: str, partition: int, letter: DeadLetter) -> bool:
        """False: it is not known to be there; try again before the position moves."""
        position = letter.position
        source = f"{topic}/{partition}/{position.offset}/{position.nth}"
        headers = [
            ("source", source.encode()),
            ("reason", letter.reason.encode()),
            ("detail", letter.detail.encode(errors="replace")[:1000]),
            ("size", str(len(letter.raw or b"")).encode()),
        ]
        kept = (letter.raw or b"")[: LARGEST_RECORD - 4096]
        outcome = await self._appender.append(self._topic, 0, kept, key=source.encode(), headers=headers)
        return isinstance(outcome, Appended)

    async def stop(self) -> None:
        await self._appender.stop()

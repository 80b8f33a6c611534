"""Acts on dead letters: redrive and discard. Each letter once."""

from collections import Counter
from collections.abc import Sequence
from uuid import uuid4

from ledger.client.acted import Acted, acted
from ledger.client.bulk_frame import BulkDone
from ledger.client.letters import DeadLetter, DeadLetters
from ledger.client.line import DECISION, Line
from ledger.client.redriving import MOST_AT_ONCE, Redriving, redrive_of, source_in
from ledger.core.bodies import NOTHING
from ledger.core.letters import command_of
from ledger.core.refusal import Refused
from ledger.core.request import Discard


class LetterActs:
    """A part of `Ledger`."""

    _line: Line
    acting: str
    dead_letters: DeadLetters

    async def redrive(self, number: int, *, commands: object = NOTHING, reason: str | None = None, timeout: float = DECISION) -> Acted:
        """Send once more what could not be read, to where it came from: its own bytes, which this release may understand, or `commands`,
        what they were meant to be (one, or a list of them). A letter is redriven once: again changes nothing."""
        letter = await self._letter(number)
        if letter.fate == "redriven":
            return Acted(command_of("redrive", letter.letter or ""), "unchanged")
        home, command = redrive_of(letter, commands, self.acting, reason, self._line.channel)
        return acted(await self._line.act_in(home, command, timeout), command.command_id)

    async def redrive_many(self, numbers: Sequence[int], *, reason: str | None = None, timeout: float = DECISION) -> BulkDone:
        """Redrive these as they are, as one bulk act. Raises `Refused`, before any is sent, if one of them cannot be read or was discarded;
        what was redriven before is left out. Should this break off, `resume_bulk` goes on; `bulk_acts` has a row of what was done."""
        if len(numbers) > MOST_AT_ONCE:
            raise Refused("too_many", f"{len(numbers)} dead letters, at most {MOST_AT_ONCE} in one go")
        letters = [await self._letter(number) for number in dict.fromkeys(numbers)]
        run = Redriving(self._line, f"redrive-{uuid4().hex}", self.acting, reason, timeout)
        commands = run.commands(letters)
        if not commands:
            return BulkDone("redrive", 0)
        return await run.run([one.letter for _, one in commands], Counter(home for home, _ in commands), commands)

    async def discard(self, number: int, *, reason: str | None = None, timeout: float = DECISION) -> Acted:
        """Say that nobody wants it any more. Its bytes stay in the topic until they are old."""
        letter = await self._letter(number)
        source = source_in(letter)
        command = Discard(command_of("discard", source.name), source.name, self.acting, reason)
        if letter.fate == "discarded":
            return Acted(command.command_id, "unchanged")
        return acted(await self._line.act_in(source.home, command, timeout), command.command_id)

    async def _letter(self, number: int) -> DeadLetter:
        found = await self.dead_letters.get(number)
        if found is None:
            raise Refused("unknown_letter", f"there is no dead letter {number}, or no more: `jobledger dead-letters list` shows them")
        return found

"""Dead letters: what could not be read, what became of it, and acts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

import orjson
from msgspec import Raw

from ledger.client.acted import Acted, acted
from ledger.client.bulk_frame import BulkDone, BulkFrame
from ledger.client.line import DECISION, Line
from ledger.client.moments import datetime_of
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.bodies import NOTHING
from ledger.core.letters import Fate, Redriven, Source, command_of, source_of
from ledger.core.refusal import Refused
from ledger.core.request import Discard, Redrive
from ledger.core.reread import commands_in
from ledger.kafka.letters import Letter, read_fate, read_letter, read_page
from ledger.submitting.encoding import encode_data
from projections.cursors import check_limit, cursor_of, read_cursor
from projections.rows import CommandOutcome, Page

MOST_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`letter`: where its bytes stood. `raw`: as they came; in a list their beginning. `fate`: what somebody did with it, and when."""

    number: int
    letter: str | None
    at: datetime
    reason: str
    detail: str
    size: int
    raw: bytes
    is_whole: bool
    fate: Fate | None = None
    actor: str | None = None
    acted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why somebody did with a letter what they did; what it was redriven as."""

    why: str | None
    command_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Read from the topic, where they are kept for 30 days; what became of them is in the tables."""

    _settings: Settings
    _tables: Tables

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[DeadLetter]:
        """Newest first."""
        before = None if cursor is None else int(read_cursor(cursor, "dead_letters", int)[0])
        letters, following = await read_page(self._settings, check_limit(limit), before)
        fates = await self._fates(letters)
        page = tuple(_with_fate(letter, fates) for letter in letters)
        return Page(page, None if following is None else cursor_of("dead_letters", following))

    async def get(self, number: int) -> DeadLetter | None:
        """None if there is none, or if it was too old to be kept."""
        letter = await read_letter(self._settings, number)
        return None if letter is None else _with_fate(letter, await self._fates([letter]))

    async def provenance(self, letter: DeadLetter) -> Provenance | None:
        """Read from the log; None where nobody did anything."""
        if letter.letter is None or letter.fate is None:
            return None
        [found] = await self._outcomes([command_of("redrive" if letter.fate == "redriven" else "discard", letter.letter)])
        event = await read_fate(self._settings, found.address.partition, found.address.offset, letter.letter)
        if event is None:
            return None
        return Provenance(event.reason, event.command_ids if isinstance(event, Redriven) else ())

    async def _fates(self, letters: Sequence[Letter]) -> Mapping[str, CommandOutcome]:
        names = [one.source.name for one in letters if one.source is not None]
        outcomes = await self._outcomes([command_of(act, name) for name in names for act in ("redrive", "discard")])
        return {one.command_id: one for one in outcomes}

    async def _outcomes(self, command_ids: Sequence[str]) -> Sequence[CommandOutcome]:
        return await (await self._tables.reads()).accepted(command_ids) if command_ids else []


def _with_fate(letter: Letter, outcomes: Mapping[str, CommandOutcome]) -> DeadLetter:
    name = None if letter.source is None else letter.source.name
    fate: Fate | None = None
    found: CommandOutcome | None = None
    if name is not None:
        if (found := outcomes.get(command_of("redrive", name))) is not None:
            fate = "redriven"
        elif (found := outcomes.get(command_of("discard", name))) is not None:
            fate = "discarded"
    return DeadLetter(
        letter.number,
        name,
        datetime_of(letter.at),
        letter.reason,
        letter.detail,
        letter.size,
        letter.raw,
        letter.is_whole,
        fate,
        None if found is None else found.actor,
        None if found is None else found.decided_at,
    )


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
        home, command = self._redrive(letter, commands, reason)
        return acted(await self._line.act_in(home, command, timeout), command.command_id)

    async def redrive_many(self, numbers: Sequence[int], *, reason: str | None = None, timeout: float = DECISION) -> BulkDone:
        """Redrive these as they are, as one bulk act. Raises `Refused`, before any is sent, if one of them cannot be read or was discarded;
        what was redriven before is left out."""
        if len(numbers) > MOST_AT_ONCE:
            raise Refused("too_many", f"{len(numbers)} dead letters, at most {MOST_AT_ONCE} in one go")
        letters = [await self._letter(number) for number in dict.fromkeys(numbers)]
        bulk_id = f"redrive-{uuid4().hex}"
        commands = [self._redrive(one, NOTHING, reason, bulk_id) for one in letters if one.fate != "redriven"]
        if not commands:
            return BulkDone("redrive", 0)
        homes = [home for home, _ in commands]
        planned = {home: homes.count(home) for home in homes}
        document = Raw(orjson.dumps({"letters": [command.letter for _, command in commands]}))
        reads = await self._line.reads()
        frame = BulkFrame(self._line, reads, bulk_id, "redrive", document, planned, self.acting, reason, timeout)
        await frame.begin()
        await frame.act(commands)
        await frame.finish()
        return await frame.outcome({})

    async def discard(self, number: int, *, reason: str | None = None, timeout: float = DECISION) -> Acted:
        """Say that nobody wants it any more. Its bytes stay in the topic until they are old."""
        letter = await self._letter(number)
        source = _source_of(letter)
        command = Discard(command_of("discard", source.name), source.name, self.acting, reason)
        if letter.fate == "discarded":
            return Acted(command.command_id, "unchanged")
        return acted(await self._line.act_in(source.home, command, timeout), command.command_id)

    async def _letter(self, number: int) -> DeadLetter:
        found = await self.dead_letters.get(number)
        if found is None:
            raise Refused("unknown_letter", f"there is no dead letter {number}, or no more: `jobledger dead-letters list` shows them")
        return found

    def _redrive(self, letter: DeadLetter, commands: object, reason: str | None, bulk_id: str | None = None) -> tuple[int, Redrive]:
        """With its partition. Raises `Refused` for what cannot be redriven."""
        source = _source_of(letter)
        if letter.fate == "discarded":
            raise Refused("discarded", f"dead letter {letter.number} was discarded: what it was to do has to be asked for anew")
        if commands is NOTHING and not letter.is_whole:
            raise Refused(
                "too_large", f"of the {letter.size} bytes of dead letter {letter.number} a part is kept: say what they were to be"
            )
        record = letter.raw if commands is NOTHING else bytes(encode_data(commands))
        commands_in(record, source)
        return source.home, Redrive(command_of("redrive", source.name), source.name, Raw(record), self.acting, reason, bulk_id)


def _source_of(letter: DeadLetter) -> Source:
    source = None if letter.letter is None else source_of(letter.letter)
    if source is None:
        raise Refused("unknown_letter", f"dead letter {letter.number} does not say where in this log's commands it stood: it is not ours")
    return source

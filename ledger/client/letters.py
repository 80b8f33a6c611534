"""Dead letters: what could not be read, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.client.moments import datetime_of
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.letters import Fate, Redriven, command_of
from ledger.kafka.letters import Letter, read_fate, read_letter, read_named, read_page
from projections.cursors import check_limit, cursor_of, read_cursor
from projections.rows import CommandOutcome, Page


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`letter`: where its bytes stood; two numbers that say the same are one letter, written twice. `raw`: as they came; in a list their
    beginning. `fate`: what somebody did with it, and when."""

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
        """Newest first. A letter that was written twice is once in a page, and may be on two."""
        before = None if cursor is None else int(read_cursor(cursor, "dead_letters", int)[0])
        letters, following = await read_page(self._settings, check_limit(limit), before)
        fates = await self._fates(letters)
        page = tuple(_with_fate(letter, fates) for letter in letters)
        return Page(page, None if following is None else cursor_of("dead_letters", following))

    async def get(self, number: int) -> DeadLetter | None:
        """None if there is none, or if it was too old to be kept."""
        letter = await read_letter(self._settings, number)
        return None if letter is None else _with_fate(letter, await self._fates([letter]))

    async def named(self, letters: Collection[str]) -> Sequence[DeadLetter]:
        """Those of them that are kept, each once."""
        found = await read_named(self._settings, letters)
        fates = await self._fates(found)
        return [_with_fate(one, fates) for one in found]

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

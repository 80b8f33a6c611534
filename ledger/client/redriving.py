"""Dead letters sent once more: each by a command of its own, several as one bulk act, which whoever goes on with it can read again."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import orjson
from msgspec import Raw, Struct, ValidationError, convert

from ledger.client.bulk_frame import BulkDone, BulkFrame, done_of
from ledger.client.letters import DeadLetter, DeadLetters
from ledger.client.line import Line
from ledger.core import wire
from ledger.core.bodies import NOTHING
from ledger.core.letters import Source, command_of, source_of
from ledger.core.refusal import Refused
from ledger.core.request import Redrive
from ledger.core.reread import commands_in
from ledger.submitting.encoding import encode_data
from projections.schedule_rows import BulkAct

MOST_AT_ONCE: Final = 1000
Placed = tuple[int, Redrive]  # with its partition


class About(Struct, frozen=True):
    """What a bulk redrive is about, as its event keeps it."""

    letters: tuple[str, ...]


def source_in(letter: DeadLetter) -> Source:
    """Raises `Refused` for what no control of this log wrote."""
    source = None if letter.letter is None else source_of(letter.letter)
    if source is None:
        raise Refused("unknown_letter", f"dead letter {letter.number} does not say where in this log's commands it stood: it is not ours")
    return source


def redrive_of(
    letter: DeadLetter, commands: object, actor: str | None, reason: str | None, channel: str, bulk_id: str | None = None
) -> Placed:
    """Raises `Refused` for what cannot be redriven. `channel`: of the answer, which counts in its size."""
    source = source_in(letter)
    if letter.fate == "discarded":
        raise Refused("discarded", f"dead letter {letter.number} was discarded: what it was to do has to be asked for anew")
    if commands is NOTHING and not letter.is_whole:
        raise Refused("too_large", f"of the {letter.size} bytes of dead letter {letter.number} a part is kept: say what they were to be")
    record = letter.raw if commands is NOTHING else bytes(encode_data(commands))
    command = Redrive(command_of("redrive", source.name), source.name, Raw(record), actor, reason, bulk_id, channel)
    if (over := len(wire.encode(command)) - wire.LARGEST_COMMAND) > 0:
        raise Refused(
            "too_large",
            f"dead letter {letter.number} would be sent again as {len(record)} bytes, of which at most {len(record) - over} go into a "
            "redrive: send what it was to do anew, and discard it",
        )
    commands_in(record, source)
    return source.home, command


class Redriving:
    """One bulk act on its way."""

    def __init__(self, line: Line, bulk_id: str, actor: str | None, reason: str | None, timeout: float) -> None:
        self._line, self._bulk_id, self._actor, self._reason, self._timeout = line, bulk_id, actor, reason, timeout

    def commands(self, letters: Sequence[DeadLetter]) -> list[Placed]:
        """Of those that were not redriven before, each letter once. Raises `Refused`."""
        once = {one.letter or one.number: one for one in letters if one.fate != "redriven"}
        return [redrive_of(one, NOTHING, self._actor, self._reason, self._line.channel, self._bulk_id) for one in once.values()]

    async def run(self, names: Sequence[str], planned: Mapping[int, int], commands: Collection[Placed]) -> BulkDone:
        reads = await self._line.reads()
        document = Raw(orjson.dumps({"letters": names}))
        frame = BulkFrame(self._line, reads, self._bulk_id, "redrive", document, planned, self._actor, self._reason, self._timeout)
        await frame.begin()
        await frame.act(commands)
        await frame.finish()
        return await frame.outcome({})


async def redrive_again(line: Line, dead_letters: DeadLetters, rows: Sequence[BulkAct], actor: str | None, timeout: float) -> BulkDone:
    """Go on with one that broke off, and end it. A letter that was sent is not sent again; one that was discarded meanwhile, or is too old
    to be kept, is left out. Raises `Refused`."""
    first, ended = rows[0], {one.address.partition for one in rows if one.finished_at is not None}
    names = _letters_of(first.filter or {})
    planned = Counter(home for name in names if (source := source_of(name)) is not None and (home := source.home) not in ended)
    if not planned:
        done = done_of(rows)
        assert done is not None, "it has rows, of a kind that is known"
        return done
    run = Redriving(line, first.bulk_id, actor, first.reason, timeout)
    commands = run.commands([one for one in await dead_letters.named(names) if one.fate is None])
    return await run.run(names, planned, [one for one in commands if one[0] in planned])


def _letters_of(document: Mapping[str, object]) -> Sequence[str]:
    try:
        return convert(document, About).letters
    except ValidationError as error:
        raise Refused("unreadable", f"this release cannot read which letters it is about ({error}): upgrade it") from error

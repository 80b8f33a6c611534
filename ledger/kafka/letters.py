"""The topic of dead letters, read: bytes that could not be understood, where they stood, and why."""

from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiokafka.structs import ConsumerRecord

from ledger.config import Settings
from ledger.core import letters, wire
from ledger.core.ids import Position
from ledger.core.letters import LogOf, Source
from ledger.kafka.log_reader import LogReader

TOPIC: Final = "dead-letters"
SHOWN: Final = 400  # bytes of each, in a page


@dataclass(frozen=True, slots=True)
class Letter:
    """`number`: its offset in the topic. `at`: when it was put there, in microseconds. `size`: of the bytes that came; of a giant only a
    part is kept. `source` is None for what no control of this log has written."""

    number: int
    at: int
    source: Source | None
    reason: str
    detail: str
    size: int
    raw: bytes
    is_whole: bool


async def read_page(settings: Settings, most: int, before: int | None = None) -> tuple[list[Letter], int | None]:
    """The newest, at most so many of those with a number below `before`, the newest first, each with the beginning of its bytes. And what
    to go on before; None: there are no more. What was written twice, because the first time was not certain or control ended before
    its commit, is once in a page; over two pages it is seen by its source. Raises `Unavailable`."""
    async with LogReader(settings, TOPIC, 0) as reader:
        start, end = await reader.bounds()
        until = end if before is None else min(max(before, start), end)
        first = max(start, until - most)
        found: dict[Source | int, Letter] = {}
        async with aclosing(reader.batches(first, until)) as batches:
            async for batch in batches:
                for record in batch.records:
                    letter = _letter_of(settings, record, SHOWN)
                    found.setdefault(letter.source or letter.number, letter)
    return list(reversed(found.values())), first if first > start else None


async def read_letter(settings: Settings, number: int) -> Letter | None:
    """None if there is none (any more)."""
    async with LogReader(settings, TOPIC, 0) as reader:
        record = await reader.at(number) if number >= 0 else None
        return None if record is None else _letter_of(settings, record)


async def read_named(settings: Settings, names: Collection[str]) -> list[Letter]:
    """Those with a source of such a name, each once, the oldest first. Reads all that there are. Raises `Unavailable`."""
    wanted = frozenset(names)
    found: dict[str, Letter] = {}
    async with LogReader(settings, TOPIC, 0) as reader, aclosing(reader.batches(*await reader.bounds())) as batches:
        async for batch in batches:
            for record in batch.records:
                letter = _letter_of(settings, record)
                if letter.source is not None and letter.source.name in wanted:
                    found.setdefault(letter.source.name, letter)
    return list(found.values())


async def read_fate(settings: Settings, partition: int, offset: int, letter: str) -> letters.Event | None:
    """What a commit of the log says of a letter."""
    async with LogReader(settings, "events", partition) as reader:
        record = await reader.at(offset)
    events = () if record is None else wire.decode_commit(record.value).events
    return next((event for event in events if isinstance(event, letters.Event) and event.letter == letter), None)


def _letter_of(settings: Settings, record: object, most: int | None = None) -> Letter:
    assert isinstance(record, ConsumerRecord)
    headers = {name: value.decode(errors="replace") for name, value in reversed(record.headers)}
    raw = record.value or b""
    said = headers.get("size", "")
    size = int(said) if said.isdecimal() and len(said) < 12 else len(raw)
    return Letter(
        record.offset,
        record.timestamp * 1000,
        _source_of(settings, headers.get("source", "")),
        headers.get("reason", ""),
        headers.get("detail", ""),
        size,
        raw[:most],
        len(raw) == size,
    )


def _source_of(settings: Settings, text: str) -> Source | None:
    """Of `topic/partition/offset/place in the record`."""
    topic, *place = text.rsplit("/", 3)
    logs: dict[str, LogOf] = {settings.topic("commands"): "events", settings.topic("registry-commands"): "registry"}
    log, numbers = logs.get(topic), _numbers(place)
    return None if log is None or numbers is None else Source(log, numbers[0], Position(numbers[1], numbers[2]))


def _numbers(texts: Sequence[str]) -> list[int] | None:
    known = len(texts) == 3 and all(text.isascii() and text.isdecimal() and len(text) < 20 for text in texts)
    return list(map(int, texts)) if known else None

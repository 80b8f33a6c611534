"""The wire: how messages become bytes and back, what is too large, and how old shapes are read for ever.

msgspec decodes straight into the typed messages (bytes in, bytes out); bodies that belong to users stay bytes (`Raw`). A stored shape that
changes gets a new type name and an entry in `UPCASTERS`; a golden file keeps every shape ever written. Source: architecture.md, section 4.
"""

import json as stdlib_json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import orjson
from msgspec import DecodeError, Raw, Struct, convert, json

from ledger.core import backfill, bulk, definition, execution, letters, outcome, pause, request, tick
from ledger.core.bodies import NOTHING
from ledger.core.chain import COMMIT_VERSION, Header
from ledger.core.offers import Offers
from ledger.core.refusal import Refused, Undecodable
from ledger.core.strict_json import DEEPEST, check_json, has_odd_number, is_suspicious, may_be_deep

LARGEST_COMMAND: Final = 256 * 1024
LARGEST_RESULT: Final = 64 * 1024
LARGEST_COMMIT: Final = 512 * 1024
LARGEST_RECORD: Final = 1024 * 1024  # of a topic: an array of commands, offers or a snapshot's chunk
MOST_EVENTS: Final = 500  # in a commit
MOST_EVENTS_OF_A_COMMAND: Final = 100
MOST_ITEMS: Final = 2000  # commands in a record

Event = (
    execution.Event
    | outcome.Event
    | tick.Event
    | tick.Rezoned
    | backfill.Event
    | bulk.Event
    | letters.Event
    | definition.Event
    | pause.Event
)
Command = request.Command | execution.Report
RegistryCommand = definition.Command | pause.Command
Unnamed = execution.Report | request.Return  # commands without an id

COMMAND_LEVELS: Final = 8  # of a command or a manifest around the body of a user, at most
BODIES: Final = ("data", "result", "filter")  # fields that belong to users; an upcaster sees them as `Raw`
Document = dict[str, object]
Upcaster = Callable[[Document], Document]
UPCASTERS: Final[Mapping[str, Upcaster]] = {}  # type name of a former shape -> its successor's document, `type` included

_UNREADABLE: Final = (DecodeError, UnicodeDecodeError, RecursionError)

M = TypeVar("M")


class Commit(Header, frozen=True):
    """The unit of the log: all events that one batch of commands decided to. One record, so all or nothing."""

    events: tuple[Event, ...] = ()


class _RawCommit(Header, frozen=True):
    events: tuple[Raw, ...] = ()


_encode = json.Encoder().encode
_header = json.Decoder(Header)
_commit = json.Decoder(Commit)
_raw_commit = json.Decoder(_RawCommit)
_command = json.Decoder(Command)
_commands = json.Decoder(list[Command])
_registry_command = json.Decoder(RegistryCommand)
_registry_commands = json.Decoder(list[RegistryCommand])
_items = json.Decoder(list[Raw])
_fields = json.Decoder(dict[str, Raw])
_offers = json.Decoder(Offers)


def encode(message: Struct) -> bytes:
    """The bytes of a message: compact JSON, defaults left out, fields in their declared order. Equal messages give equal bytes."""
    return _encode(message)


def encode_line(message: Struct) -> bytes:
    """The bytes of a message as a line. Bodies may hold line breaks, in JSON only ever between tokens: there a space means the same."""
    return _encode(message).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


def encode_each(messages: Iterable[Struct]) -> list[bytes]:
    """The bytes of each."""
    return list(map(_encode, messages))


def encode_many(messages: list[M]) -> bytes:
    """The bytes of an array of messages: a record for one partition."""
    return _encode(messages)


def quoted(text: str) -> bytes:
    """A string as it stands in the bytes of a message: commits are searched for it before they are decoded."""
    return _encode(text)


def encode_commit(header: Header, events: list[bytes]) -> bytes:
    """The bytes of a commit whose events are encoded already."""
    return _encode(
        _RawCommit(
            header.v,
            header.log,
            header.partition,
            header.seq,
            header.prev,
            header.at,
            header.position,
            header.registry,
            tuple(map(Raw, events)),
        )
    )


def decode_header(record: bytes | None) -> Header:
    """Enough of a commit to judge it. Raises `Undecodable`: such a record stops its partition, it is never skipped."""
    return _decode_log_record(_header, record)


def decode_commit(record: bytes | None, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> Commit:
    """A commit with its events, former shapes brought up to date. Raises `Undecodable`: it stops its partition."""
    try:
        return _checked(_commit.decode(record or b""))
    except _UNREADABLE:
        raw = _decode_log_record(_raw_commit, record)
        events = tuple(_upcast_event(bytes(event), upcasters) for event in raw.events)
        return Commit(raw.v, raw.log, raw.partition, raw.seq, raw.prev, raw.at, raw.position, raw.registry, events)


def _decode_log_record(decoder: "json.Decoder[M]", record: bytes | None) -> M:
    try:
        return _checked(decoder.decode(record or b""))
    except _UNREADABLE as error:
        raise Undecodable("not_a_commit", f"{error}; starts with {(record or b'')[:40]!r}") from error


def _checked(header: M) -> M:
    if isinstance(header, Header) and header.v > COMMIT_VERSION:
        raise Undecodable("future_version", f"a commit of version {header.v}; this jobledger reads up to {COMMIT_VERSION}: upgrade it")
    return header


def _upcast_event(event: bytes, upcasters: Mapping[str, Upcaster]) -> Event:
    try:
        # Bodies of users stay the bytes they are: parsed and written again, a long integer would become another number.
        document: Document = {
            name: value if name in BODIES else orjson.loads(bytes(value)) for name, value in _fields.decode(event).items()
        }
        while (upcaster := upcasters.get(str(document.get("type")))) is not None:
            document = upcaster(document)
        upcast: Event = convert(document, Event)
        return upcast
    except (ValueError, *_UNREADABLE) as error:
        raise Undecodable("not_an_event", f"{error} in {event[:80]!r}") from error


def decode_offers(record: bytes | None) -> Offers:
    """A record of a work topic. Raises `Undecodable`."""
    try:
        return _offers.decode(record or b"")
    except _UNREADABLE as error:
        raise Undecodable("not_offers", str(error)) from error


def decode_event(event: bytes, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> Event:
    """One event on its own, a former shape included."""
    return _upcast_event(event, upcasters)


Item = Command | RegistryCommand | Undecodable


def decode_commands(record: bytes | None, *, registry: bool = False) -> list[Item]:
    """The commands of a record, in order; what cannot be read stands in its place as an `Undecodable`, the rest is not touched."""
    if not record:
        return [Undecodable("empty", "the record holds no bytes")]
    if len(record) > LARGEST_RECORD:
        return [Undecodable("too_large", f"{len(record)} bytes in a record, at most {LARGEST_RECORD}", record)]
    suspicious = is_suspicious(record) or len(record) > LARGEST_COMMAND
    try:
        if record[:1] == b"[":
            commands: list[Item] = (_registry_commands if registry else _commands).decode(record)  # type: ignore[assignment]  # lists are invariant
        else:
            commands = [(_registry_command if registry else _command).decode(record)]
        if (
            not suspicious
            and len(commands) <= MOST_ITEMS
            and all(map(_is_wellformed, commands))
            and not _has_odd_body([record] if registry else list(map(_body_of, commands)))  # names in hex look like odd numbers
        ):
            return commands or [Undecodable("empty", "an array without commands", record)]
    except _UNREADABLE:
        pass
    return _decode_one_by_one(record, registry)


def _decode_one_by_one(record: bytes, registry: bool) -> list[Item]:
    """The slow way, for a record in which something is wrong: each item by itself."""
    try:
        items = _split(record) if record.lstrip()[:1] == b"[" else [record]
    except (*_UNREADABLE, ValueError) as error:
        return [Undecodable("not_json", str(error), record)]
    if not items:
        return [Undecodable("empty", "an array without commands", record)]
    if len(items) > MOST_ITEMS:
        return [Undecodable("too_large", f"{len(items)} commands in a record, at most {MOST_ITEMS}", record)]
    return [_decode_item(item, registry) for item in items]


def _split(record: bytes) -> list[bytes]:
    """The items of an array. Where one of them is no text at all (a lone surrogate), the lenient parser finds the borders."""
    try:
        return [bytes(item) for item in _items.decode(record)]
    except _UNREADABLE:
        return [stdlib_json.dumps(item).encode() for item in list(stdlib_json.loads(record))]


def _decode_item(item: bytes, registry: bool) -> Item:
    if len(item) > LARGEST_COMMAND:
        return Undecodable("too_large", f"a command of {len(item)} bytes, at most {LARGEST_COMMAND}", item)
    try:
        check_json(item, DEEPEST + COMMAND_LEVELS)
        command: Item = (_registry_command if registry else _command).decode(item)
    except Refused as refused:
        return Undecodable(refused.reason, refused.detail, item)
    except _UNREADABLE as error:
        kind = "unknown_type" if "Invalid value" in str(error) and "`$.type`" in str(error) else "invalid"
        return Undecodable(kind, str(error), item)
    if not _is_wellformed(command):
        return Undecodable("invalid", "a name in it is empty, too long or has characters other than A-Z a-z 0-9 . _ : ~ / @ -", item)
    return command


def has_to_be_read(record: bytes, bodies: Iterable[Raw]) -> bool:
    """Whether an array of commands with these bodies, made by us from checked names, may hold what `decode_commands` refuses."""
    return len(record) > LARGEST_COMMAND or is_suspicious(record) or _has_odd_body(list(bodies))


def _has_odd_body(bodies: Sequence[bytes | Raw]) -> bool:
    return has_odd_number(b",".join(bodies)) or may_be_deep(bodies)


def _body_of(command: Item) -> Raw:
    if type(command) is execution.Report:
        return command.result
    body: Raw | None = getattr(command, "data", None)
    return getattr(command, "filter", NOTHING) if body is None else body


NAME: Final = re.compile(r"[A-Za-z0-9._:~/@-]{1,200}", re.ASCII)
COMMAND_ID: Final = re.compile(r"[A-Za-z0-9._:~-]{1,128}", re.ASCII)


def _is_wellformed(command: Item) -> bool:
    if type(command) is request.Submit:  # asked by itself: most are, and each further question costs
        return COMMAND_ID.fullmatch(command.command_id) is not None and NAME.fullmatch(command.job_id) is not None
    if isinstance(command, execution.Report):
        return True  # it names what control named
    if isinstance(command, Undecodable | request.Return):
        return True
    if COMMAND_ID.fullmatch(command.command_id) is None:
        return False
    if isinstance(command, request.Backfill) and COMMAND_ID.fullmatch(command.backfill_id) is None:
        return False
    if isinstance(command, request.Control) and not _names_well(command):
        return False
    if isinstance(command, request.Control) and not isinstance(command, request.Retry):
        return True
    if isinstance(command, definition.ApplyManifest | pause.Command):
        return True
    return command.job_id is None or NAME.fullmatch(command.job_id) is not None


def _names_well(command: request.Control) -> bool:
    """The execution or the letter, and the bulk act, that it names."""
    match command:
        case (
            request.Cancel(execution_id=name)
            | request.Retry(execution_id=name)
            | request.Redrive(letter=name)
            | request.Discard(letter=name)
        ):
            if NAME.fullmatch(name) is None:
                return False
    bulk_id = None if isinstance(command, request.Discard) else command.bulk_id
    return bulk_id is None or COMMAND_ID.fullmatch(bulk_id) is not None

"""What people write on the command line, read: JSON, labels, durations, instants. What cannot be read is a usage error."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import typer
from msgspec import DecodeError, Raw, json

from ledger.client.moments import micros_of
from ledger.core import wire
from ledger.core.durations import parse_duration_ms
from ledger.core.refusal import Refused
from ledger.core.strict_json import check_json

LARGEST_INPUT: Final = 4 * wire.LARGEST_COMMAND
LONGEST_LINE: Final = 300 * 1024

_fields = json.Decoder(dict[str, Raw])


def json_of(text: str, option: str = "--data") -> Raw:
    """JSON as given, of a file (`@FILE`) or of stdin (`-`)."""
    body = _bytes_of(text, option)
    if len(body) > LARGEST_INPUT:
        raise typer.BadParameter(f"it has more than {LARGEST_INPUT} bytes, and no command takes that much", param_hint=option)
    try:
        check_json(body)
    except Refused as refused:
        raise typer.BadParameter(f"it is no JSON: {refused.detail}; a text needs its quotes: '\"abc\"'", param_hint=option) from None
    return Raw(body.strip())


def _bytes_of(text: str, option: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read(LARGEST_INPUT + 1)
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        with Path(text[1:]).open("rb") as file:
            return file.read(LARGEST_INPUT + 1)
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]} cannot be read: {error.strerror}", param_hint=option) from None


def pairs_of(texts: list[str], option: str) -> dict[str, str]:
    """`k=v`, again and again."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r} is not of the form name=value", param_hint=option)
        pairs[name] = value
    return pairs


def duration_of(text: str | None, option: str) -> str | None:
    """The duration as written, once it is known to be one."""
    if text is not None:
        _milliseconds(text, option)
    return text


def seconds_of(text: str | None, option: str) -> float | None:
    return None if text is None else _milliseconds(text, option) / 1000


def _milliseconds(text: str, option: str) -> int:
    try:
        return parse_duration_ms(text, field=option)
    except Refused as refused:
        raise typer.BadParameter(refused.detail, param_hint=option) from None


def instant_of(text: str | None, option: str) -> datetime | None:
    """ISO 8601; without an offset it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no instant; write it as 2026-10-25T09:00:00Z", param_hint=option) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        micros_of(option, moment)
    except Refused as refused:
        raise typer.BadParameter(refused.detail, param_hint=option) from None
    return moment


def check_alone(context: typer.Context, *fitting: str) -> None:
    """Beside `--many` stands nothing but these: what else was said would be said in vain."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in fitting and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter("each line of the file says what it wants; give nothing beside it", param_hint="--many")


def opened(name: str, option: str, stack: ExitStack) -> BinaryIO:
    """A file, or stdin (`-`), for the time of the stack."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}", param_hint=option) from None


def objects_of(file: BinaryIO, before: str) -> Iterator[dict[str, object]]:
    """A JSON object a line, its `data` as it stands there; empty lines are passed over. `before`: what is to be said of the lines before
    one that is none."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise Refused("too_large", f"line {number} has more than {LONGEST_LINE} bytes, and no command takes that much; {before}")
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
            if not isinstance(found, dict):
                raise Refused("invalid_json", f"line {number} is no JSON object; {before}")
            if "data" in found:  # as a value a long number would be another one
                found["data"] = _fields.decode(line)["data"]
        except (ValueError, DecodeError, RecursionError) as error:
            raise Refused("invalid_json", f"line {number} is no JSON object: {error}; {before}") from None
        yield found

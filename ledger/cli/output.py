"""How data is printed: to stdout, as a table for people or as JSON, JSON lines or YAML for programs. Talk goes to stderr."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from shutil import get_terminal_size
from typing import Annotated, Final

import orjson
import typer

from ledger.core import exact_json

_CONTROLS: Final = re.compile("[\x7f-\x9f]")  # those that JSON leaves as they are
WIDEST: Final = 60  # of a column, where stdout is a terminal


class Form(StrEnum):
    table = "table"
    json = "json"
    jsonl = "jsonl"
    yaml = "yaml"


OutputOption = Annotated[Form, typer.Option("--output", "-o", help="How to print it.")]
Row = Mapping[str, object]


def talk(text: str) -> None:
    """To the person: stderr."""
    typer.echo(plain(text, keep="\n"), err=True)


def say(text: str = "") -> None:
    """What was asked for, as a line for people: stdout."""
    typer.echo(plain(text))


def plain(text: str, keep: str = "") -> str:
    """What others wrote must not steer the terminal: control characters are shown, and not sent."""
    return text if text.isprintable() else "".join(char if char.isprintable() or char in keep else f"\\x{ord(char):02x}" for char in text)


def row_of(value: object) -> dict[str, object]:
    """A dataclass as a row, its instants as texts in UTC."""
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no row")
    return {field.name: text_of(one) if isinstance(one := getattr(value, field.name), datetime) else one for field in fields(value)}


def show_rows(rows: Sequence[Row], columns: Sequence[str], form: Form) -> None:
    """`columns`: which a table shows; the other forms show all."""
    match form:
        case Form.table:
            _write(_table(rows, columns))
        case Form.json:
            _write(_json(list(map(dict, rows)), indented=True) + "\n")
        case Form.jsonl:
            _write("".join(_json(dict(row)) + "\n" for row in rows))
        case Form.yaml:
            _write(_yaml(list(map(dict, rows))))


def show_one(row: Row, form: Form, columns: Sequence[str] = ()) -> None:
    """One thing with its fields; a table shows those of `columns` (or all) that hold something."""
    match form:
        case Form.table:
            shown = [name for name in columns or row if row.get(name) is not None]
            width = max(map(len, shown), default=0)
            _write("".join(f"{_bold(name.ljust(width))}  {_text(row[name])}\n" for name in shown))
        case Form.json:
            _write(_json(dict(row), indented=True) + "\n")
        case Form.jsonl:
            _write(_json(dict(row)) + "\n")
        case Form.yaml:
            _write(_yaml(dict(row)))


def show_value(value: object, form: Form) -> None:
    """A JSON value by itself: a result."""
    _write(_yaml(value) if form is Form.yaml else _json(value, indented=form is not Form.jsonl) + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _json(value: object, *, indented: bool = False) -> str:
    text = exact_json.dumps(value, default=_known, option=orjson.OPT_INDENT_2 if indented else None).decode()
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _known(value: object) -> object:
    match value:
        case Mapping():
            return dict(value)
        case tuple():  # with names; orjson takes a plain one for what it is
            return list(value)
    return str(value)


def _yaml(value: object) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Knows a number of more digits than a double has."""

    Dumper.add_representer(exact_json.ExactFloat, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", repr(number)))
    document = exact_json.loads(exact_json.dumps(value, default=_known))
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        cells = [[_cut(text) for text in line] for line in cells]
    widths = [max(len(column), *(len(line[index]) for line in cells), 0) for index, column in enumerate(columns)]
    heading = _line([column.upper().replace("_", " ") for column in columns], widths)
    return "".join(f"{line}\n" for line in (_bold(heading), *(_line(line, widths) for line in cells)))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return line[: get_terminal_size().columns] if sys.stdout.isatty() else line


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _text(value: object) -> str:
    """One line, whatever it holds."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else _json(value) if isinstance(value, dict | list | bool) else str(value)
    return plain(text)


def text_of(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_plain(stream_is_tty: bool) -> bool:
    """No colours, no lines that change: where there is no terminal, or NO_COLOR says so."""
    return not stream_is_tty or bool(os.environ.get("NO_COLOR"))


def _bold(text: str) -> str:
    return text if is_plain(sys.stdout.isatty()) else f"\x1b[1m{text}\x1b[0m"

"""YAML as a configuration needs it: a safe and bounded subset, each value with its line.

Scalars are read as YAML 1.2 does, and those that YAML 1.1 reads otherwise (`no`, `15:00`, `010`, `1e3`, `0o7`) are doubts: what one
program takes for Norway another takes for false, so whoever uses the file refuses them. A date (`2026-01-01`) is a text in both senses.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ledger.core.invalid import quoted
from ledger.core.refusal import Misconfigured

LARGEST_FILE: Final = 1024 * 1024
MOST_VALUES: Final = 100_000  # after aliases are written out: a few aliases of aliases would fill the memory
DEEPEST: Final = 50

Place = tuple[str | int, ...]
_TAG: Final = "tag:yaml.org,2002:"
_WRITTEN: Final = "written "
_TO_QUOTE: Final = ("*", "@", "`", "%", "&", "!")  # a text that begins so is none without quotes


class _Loader(yaml.SafeLoader):
    """Its scanner, parser and composer; the values are made here."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's protocol: each class its own

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """A tag that somebody wrote is marked: of `!!int 5` and `5` the same would come."""
        written = getattr(self.peek_event(), "tag", None)  # type: ignore[no-untyped-call]  # the stubs of PyYAML leave it out
        node = super().compose_node(parent, index)
        if node is not None and written is not None:
            node.tag = _WRITTEN + written
        return node


_EXPONENT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+"
_WITH_UNDERSCORES = r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
_READ_ALIKE = r"[-+]?[0-9]+\.[0-9]*[eE][-+][0-9]+$"  # 1.5e+3
_DOUBTS: Final = {
    "false in YAML 1.1": r"no|No|NO|off|Off|OFF",
    "true in YAML 1.1": r"yes|Yes|YES|on|On|ON",
    "read as minutes, a number, by YAML 1.1": r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9]*)?",
    "octal in YAML 1.1 and decimal in YAML 1.2": r"[-+]?0[0-9]+",
    "an octal number in YAML 1.2 and a text in YAML 1.1": r"0o[0-7]+",
    "a binary number in YAML 1.1 and a text in YAML 1.2": r"[-+]?0b[01_]+",
    "a number in YAML 1.1 and a text in YAML 1.2": rf"(?=[^_]*_){_WITH_UNDERSCORES}|[-+]0x[0-9a-fA-F_]+|0x[0-9a-fA-F]*_[0-9a-fA-F_]*",
    "a number in YAML 1.2 and a text in YAML 1.1": rf"(?!{_READ_ALIKE}){_EXPONENT}",
    "no number that JSON can say": r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}
_DOUBTFUL: Final = "doubtful"
_Loader.add_implicit_resolver(_DOUBTFUL, re.compile(f"^(?:{'|'.join(_DOUBTS.values())})$"), list("nNoOyY-+.0123456789"))
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_TAG + "int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAG + "float", re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"^<<$"), ["<"])


@dataclass(slots=True)
class Document:
    """What a file says, and on which line it says it."""

    path: Path
    values: dict[str, object]
    lines: dict[Place, int] = field(default_factory=dict)
    doubts: list[tuple[Place, str]] = field(default_factory=list)  # what is read in two ways, or has a tag, and what to do

    def where(self, place: Place) -> str:
        """File and line of a value, or of the nearest thing around it."""
        for length in range(len(place), -1, -1):
            if (line := self.lines.get(place[:length])) is not None:
                return f"{self.path}:{line}"
        return str(self.path)


def read_yaml(path: Path) -> Document:
    """The mapping that a file holds. Raises `Misconfigured` with file and line."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise Misconfigured(f"{path} is larger than {LARGEST_FILE} bytes: that is no configuration")
    document = Document(path, {})
    try:
        root = _Loader(data).get_single_node()
        values = _Maker(document).value(root, (), 0) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        raise Misconfigured(_explained(path, error, data)) from error
    except RecursionError as error:
        raise Misconfigured(f"{path} is nested deeper than {DEEPEST} levels: that is no configuration") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} is no YAML that can be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise Misconfigured(f"{path}:1: a mapping of settings was expected (`prefix: demo`), not a {type(values).__name__}")
    document.values = values
    return document


class _Maker:
    """Makes plain values of nodes, and notes their lines."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._made = 0

    def value(self, node: Node, place: Place, depth: int) -> object:
        self._count(node, 1, depth)
        self._document.lines.setdefault(place, node.start_mark.line + 1)
        self._doubt_tag(node, place)
        match node:
            case ScalarNode():
                return self._scalar(node, place)
            case SequenceNode():
                return [self.value(one, (*place, index), depth + 1) for index, one in enumerate(node.value)]
            case MappingNode():
                return self._mapping(node, place, depth)
            case _:
                raise self._wrong(node, f"a {node.tag} is nothing a configuration holds")

    def _scalar(self, node: ScalarNode, place: Place) -> object:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "doubtful":
                self._document.doubts.append((place, _doubt(text)))
                return text
            case "str":
                return text
            case tag if tag.startswith(_WRITTEN):
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return self._integer(node, text)
            case "float":
                return float(text)
            case _:
                raise self._wrong(node, f"{quoted(text)} is no value: quote it")

    def _doubt_tag(self, node: Node, place: Place) -> None:
        if node.tag.startswith(_WRITTEN):
            tag = node.tag.removeprefix(_WRITTEN).replace(_TAG, "!!")
            what = "is not supported: plain texts, numbers, true, false, null, lists and mappings are; leave it out, or quote the value"
            self._document.doubts.append((place, f"the tag {tag} {what}"))

    def _integer(self, node: ScalarNode, text: str) -> int:
        if len(text) > 40:
            raise self._wrong(node, "a number with more than 40 digits")
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))

    def _mapping(self, node: MappingNode, place: Place, depth: int) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, (key_node, value_node) in self._pairs(node, place, depth).items():
            self._document.lines[(*place, key)] = key_node.start_mark.line + 1
            self._doubt_tag(key_node, (*place, key))
            made[key] = self.value(value_node, (*place, key), depth + 1)
        return made

    def _pairs(self, node: MappingNode, place: Place, depth: int) -> dict[str, tuple[Node, Node]]:
        """What a mapping says and what it merges: its own goes before, wherever it stands, and so does its line."""
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged = {**self._merged(value_node, place, depth + 1), **merged}
                continue
            key = self._key(key_node)
            if key in own:
                first = own[key][0].start_mark.line + 1
                raise self._wrong(key_node, f"the key {key!r} stands here a second time, first on line {first}: keep one")
            own[key] = key_node, value_node
        return {**merged, **own}

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise self._wrong(node, "a key has to be a plain text")
        return str(node.value)

    def _merged(self, node: Node, place: Place, depth: int) -> dict[str, tuple[Node, Node]]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, tuple[Node, Node]] = {}
        for source in reversed(sources):
            if not isinstance(source, MappingNode):
                raise self._wrong(node, "`<<` takes a mapping, or a list of mappings")
            self._count(source, 1 + len(source.value), depth)
            self._doubt_tag(source, place)
            merged.update(self._pairs(source, place, depth))
        return merged

    def _count(self, node: Node, values: int, depth: int) -> None:
        self._made += values
        if self._made > MOST_VALUES or depth > DEEPEST:
            raise self._wrong(node, f"more than {MOST_VALUES} values, or nested deeper than {DEEPEST}: aliases that multiply each other?")

    def _wrong(self, node: Node, what: str) -> Misconfigured:
        return Misconfigured(f"{self._document.path}:{node.start_mark.line + 1}: {what}")


def _explained(path: Path, error: yaml.MarkedYAMLError, data: bytes) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
    lines = data.decode(errors="replace").splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    value = line.partition(":")[2].strip() or line.strip().removeprefix("- ")
    if value[:1] not in _TO_QUOTE and mark is not None:  # within `[...]` or `{...}`
        begin = mark.column - (line[mark.column - 1 : mark.column] in _TO_QUOTE)
        value = re.split(r"[],}]", line[begin:])[0].strip()
    problem = error.problem or error.context or ""
    hint = f'; quote it: "{value}"' if value[:1] in _TO_QUOTE else ""
    if "'\\t'" in problem:
        hint = "; a tab: indent with spaces"
    return f"{where}: this is no valid YAML: {problem}{hint}"


def _doubt(text: str) -> str:
    why = next(why for why, pattern in _DOUBTS.items() if re.fullmatch(pattern, text))
    plain = {"false in YAML 1.1": ", or write false", "true in YAML 1.1": ", or write true"}.get(why, "")
    if "number" in why and "JSON" not in why and "minutes" not in why:
        plain = ", or write the number in full, without a leading zero"
    return f"{text} without quotes is {why}: quote it ('{text}'){plain}"

"""What a text refers to: `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `${other.key}`; `$${` is a plain `${`.

A default is a text with references of its own. Braces inside it come in pairs, so that `${A:-{"x": 1}}` ends where it seems to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.config.yaml_text import DEEPEST
from ledger.core.invalid import SHOWN

_OPENING: Final = re.compile(r"\$\$\{|\$\{")
_BRACE: Final = re.compile(r"[{}]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*", re.ASCII)
_HINT: Final = "write `$${` for a plain `${`"


@dataclass(frozen=True, slots=True)
class Reference:
    """`default`: what is said where nothing is there; `message`: how that is told."""

    name: str
    default: "tuple[str | Reference, ...] | None" = None
    message: str | None = None

    def names(self) -> Iterator[str]:
        """Of itself and of what its default refers to."""
        yield self.name
        for part in self.default or ():
            if isinstance(part, Reference):
                yield from part.names()


def parts_of(text: str, depth: int = 0) -> "tuple[str | Reference, ...]":
    """Plain texts and references, in order. Raises `ValueError` in words."""
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} references, one inside the other")
    made: list[str | Reference] = []
    at = 0
    while (opening := _OPENING.search(text, at)) is not None:
        made.append(text[at : opening.start()])
        at = opening.end()
        if opening[0] == "$${":
            made.append("${")
            continue
        end = _closing(text, at)
        if end is None:
            raise ValueError(f"`{_short(text[opening.start() :])}` has no closing brace; {_HINT}")
        made.append(_reference(text[at:end], depth + 1))
        at = end + 1
    return tuple(part for part in (*made, text[at:]) if part != "")


def _closing(text: str, start: int) -> int | None:
    """Where the brace is that belongs to one before `start`."""
    opened = 1
    for brace in _BRACE.finditer(text, start):
        opened += 1 if brace[0] == "{" else -1
        if opened == 0:
            return brace.start()
    return None


def _reference(inside: str, depth: int) -> Reference:
    name, colon, rest = inside.partition(":")
    if _NAME.fullmatch(name) is None or (colon and rest[:1] not in ("-", "?")):
        raise ValueError(
            f"`{_short(f'${{{inside}}}')}` is none of ${{VAR}}, ${{VAR:-default}}, ${{VAR:?message}} and ${{other.key}}; {_HINT}"
        )
    match rest[:1]:
        case "-":
            return Reference(name, default=parts_of(rest[1:], depth))
        case "?":
            return Reference(name, message=rest[1:])
    return Reference(name)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

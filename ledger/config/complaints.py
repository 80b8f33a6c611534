"""What is wrong with settings, in words: file and line, key, what was expected, and a near miss."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from ledger.config.secrets import is_secret_name, masked
from ledger.config.settings import Settings
from ledger.config.told import ROOT, Told
from ledger.config.yaml_text import Place
from ledger.core.invalid import quoted
from ledger.core.refusal import Misconfigured

MOST: Final = 10  # problems shown
_SAID_ALREADY: Final = ("extra_forbidden", "missing", "value_error", "literal_error", "schedule", "twice")
_EXAMPLES: Final = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number, for example 4",
    "int_from_float": "a whole number, for example 4",
    "int_type": "a whole number, for example 4",
    "float_parsing": "a number of seconds, for example 2.5",
    "float_type": "a number of seconds, for example 2.5",
    "string_type": "a text: quote it",
    "list_type": "a list, each item after a dash",
    "model_type": "a section with keys of its own",
    "dict_type": "a section with keys of its own",
    "model_attributes_type": "a section with keys of its own",
}


def complain(error: ValidationError, told: Told) -> Misconfigured:
    """All problems in one error."""
    problems: dict[tuple[Place, str], list[str]] = {}
    for one in error.errors(include_url=False):
        place = _existing(_place(one), told.values)
        problems.setdefault((place, _shown(one, place, told)), []).append(_expected(one, place))
    lines = []
    for (place, shown), said in problems.items():
        origin = told.origin(place)
        lines.append(f"{origin.where}: {origin.key}: {' or '.join(dict.fromkeys(said))}{shown}")
    rest = f"\nand {len(lines) - MOST} more" if len(lines) > MOST else ""
    return Misconfigured("\n".join(lines[:MOST]) + rest)


def _place(one: ErrorDetails) -> Place:
    place = tuple(part for part in one["loc"] if part != "[key]")
    if one["type"] == "twice":
        return (*place, *one["ctx"]["place"])
    if one["type"] != "schedule":
        return place
    field = str(one["ctx"]["field"])  # as the schedule calls it: `cron[1]`, `cron: seconds`, `catchup.window`
    index = re.match(r"[a-z_]+\[([0-9]+)\]", field)
    return (*place, re.split(r"[.\[:]", field)[0], *([int(index[1])] if index else []))


def _existing(place: Place, values: object) -> Place:
    """The part of a location that stands in the file: pydantic adds the names of a union's members."""
    for length, part in enumerate(place):
        try:
            values = values[part]  # type: ignore[index]  # whatever it is, asking is the shortest way to know
        except (KeyError, IndexError, TypeError):
            return place if isinstance(values, dict) and length == len(place) - 1 else place[:length]
    return place


def _expected(one: ErrorDetails, place: Place) -> str:
    match one["type"]:
        case "extra_forbidden":
            known = _keys(place[:-1])
            return no_such_key(str(place[-1]), known if place[:-1] else [*known, ROOT], known)
        case "missing":
            return "has to be given"
        case "literal_error":
            expected = str(one.get("ctx", {}).get("expected", ""))
            words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
            near = get_close_matches(str(one["input"]), words, n=1)
            return f"{quoted(masked(one['input']))} is not one of {expected}" + (f"; did you mean {near[0]!r}?" if near else "")
        case "value_error":
            return one["msg"].removeprefix("Value error, ")
        case "string_pattern_mismatch":
            return f"has to match {one.get('ctx', {}).get('pattern', '')}, for example 'demo'"
        case "greater_than_equal":
            return f"has to be at least {one['ctx']['ge']}"
        case "less_than_equal":
            return f"has to be at most {one['ctx']['le']}"
        case kind if kind in _EXAMPLES:
            return f"has to be {_EXAMPLES[kind]}"
    return one["msg"][:1].lower() + one["msg"][1:]


def _shown(one: ErrorDetails, place: Place, told: Told) -> str:
    """The value, where it helps and is no secret."""
    if one["type"] in _SAID_ALREADY or not place or "data" in place or told.is_secret(place):
        return ""
    model = _model_at(place[:-1])
    known = model.model_fields.get(str(place[-1])) if model is not None else None
    is_secret = (known is not None and known.annotation is SecretStr) or is_secret_name(str(place[-1]))
    if is_secret or isinstance(one["input"], dict | list):
        return ""
    return ", not nothing" if one["input"] is None else f", not {quoted(masked(one['input']))}"


def no_such_key(name: str, known: Sequence[str], shown: Sequence[str] | None = None) -> str:
    """With the near miss, or `shown`: if not all that is known."""
    simple = {re.sub(r"[_-]", "", one.lower()): one for one in known}
    near = get_close_matches(re.sub(r"[_-]", "", name.lower()), simple, n=1)
    if near:
        return f"there is no such key; did you mean `{simple[near[0]]}`?"
    return f"there is no such key; there are {', '.join(shown or known)}" if known else "there is no such key"


def _keys(place: Place) -> list[str]:
    model = _model_at(place)
    return [] if model is None else [known.alias or name for name, known in model.model_fields.items()]


def _model_at(place: Place) -> type[BaseModel] | None:
    """The part of the settings that stands at a place."""
    annotation: object = Settings
    for part in place:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {known.alias or name: known.annotation for name, known in annotation.model_fields.items()}
            annotation = fields.get(str(part))
        else:
            annotation = get_args(annotation)[-1] if get_args(annotation) else None
        annotation = _without_none(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _without_none(annotation: object) -> object:
    if get_origin(annotation) in (Union, UnionType):
        return next((one for one in get_args(annotation) if one is not type(None)), None)
    return annotation

"""Kinds of values in the settings: durations, names, versions, each with what a mistake is told and what an editor is."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import CoreSchema, PydanticKnownError

from ledger.config.meanings import meanings
from ledger.core.definition import LARGEST_VERSION
from ledger.core.durations import parse_duration_ms
from ledger.core.invalid import quoted
from ledger.core.limits import parse_rate
from ledger.core.refusal import Refused
from ledger.core.said import LONGEST_NAME

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~@-]*", re.ASCII)
_RATE_SCHEMA: Final[dict[str, object]] = {
    "type": "string",
    "description": "So many in a time: `100/s`, `10/m` or `50/10s`.",
    "examples": ["100/s", "10/m", "50/10s"],
}
_DURATION_SCHEMA: Final[dict[str, object]] = {
    "type": "string",
    "description": "A duration: `90s`, `15m`, `1h30m` or `PT15M`.",
    "examples": ["90s", "15m", "PT15M"],
}


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Python, and pydantic with it, takes `true` for 1."""
        kinds = _numbers_in(cls.model_fields[info.field_name or ""].annotation) if isinstance(value, bool) else ()
        if kinds:
            raise PydanticKnownError("int_type" if int in kinds else "float_type")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        made = handler.resolve_ref_schema(handler(core_schema))
        for name, text in meanings(cls).items():
            made["properties"][cls.model_fields[name].alias or name]["description"] = text
        return made


def _numbers_in(annotation: object) -> set[object]:
    """Which kinds of numbers a field takes, by itself or beside other things."""
    return {annotation, *get_args(annotation), *(inner for one in get_args(annotation) for inner in get_args(one))} & {int, float}


def _duration(value: object) -> object:
    """A duration stays as written; a bare number is refused, as nobody knows its unit."""
    return _checked(value, zero=True)


def _positive(value: object) -> object:
    return _checked(value, zero=False)


def _checked(value: object, *, zero: bool) -> object:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} says no duration: say its unit, as in '90s', '15m' or 'PT15M'")
    try:
        parse_duration_ms(value, zero=zero)
    except Refused as refused:
        raise ValueError(refused.detail) from refused
    return value


def _rate(value: object) -> object:
    """A rate stays as written."""
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} says no rate: so many in a time, as in '100/s', '10/m' or '50/10s'")
    try:
        parse_rate(value)
    except Refused as refused:
        raise ValueError(refused.detail) from refused
    return value


def name_fault(name: str) -> str | None:
    """Why this cannot be the name of a job, which stands in addresses, file names and keys; None if it can."""
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"has {len(name)} characters"
    if ".." in name:
        return "has two dots in a row, which mean the folder above"
    if _NAME.fullmatch(name) is not None:
        return None
    wrong = next((one for one in name if _NAME.fullmatch(f"a{one}") is None), name[0])
    return f"has {wrong!a} in it" if wrong != name[0] or not re.match(r"[._:~@-]", wrong) else f"begins with {wrong!r}"


def check_job_name(name: object) -> None:
    """Raises `ValueError` with what to say of a name that cannot be a job's."""
    fault = name_fault(name) if isinstance(name, str) else f"is of type {type(name).__name__}"
    if fault is not None:
        raise ValueError(
            f"{quoted(name)} is no name of a job: it {fault}; 1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ : ~ @ -, the first a letter or a "
            "digit; for example 'clean-carts'"
        )


def _name(value: object) -> object:
    if isinstance(value, str):
        check_job_name(value)
    return value


def _version(value: object) -> object:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value
    if number == "auto" or (isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= LARGEST_VERSION):
        return number
    raise ValueError(
        f"{quoted(value)} is no version: a whole number from 1 to {LARGEST_VERSION}, or auto to number by content; for example 2"
    )


def comma_separated(value: object) -> object:
    """A list may be one text, as it has to be in an environment variable."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


def _one_or_many(value: object) -> object:
    """One expression or several: a list either way."""
    return [value] if isinstance(value, str) else value


def _without_empty(value: object) -> object:
    """A section with nothing in it (`catchup:` and no more) is as if it were not there."""
    return {} if value is None else value


def filled(values: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """`values`, and those of `defaults` that it does not say; inside mappings too."""
    made = dict(values)
    for key, default in defaults.items():
        present = made.get(key)
        if present is None:
            made[key] = default
        elif isinstance(present, Mapping) and isinstance(default, Mapping):
            made[key] = filled(present, default)
    return made


Duration = Annotated[str, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
RateText = Annotated[str, BeforeValidator(_rate), WithJsonSchema(_RATE_SCHEMA)]
Positive = Annotated[str, BeforeValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)]
Name = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "pattern": r"^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._:~@-]{0,199}$"})
]
TopicPart = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]
Version = Annotated[Annotated[int, Field(ge=1, le=LARGEST_VERSION)] | Literal["auto"], BeforeValidator(_version)]
OneOrMany = Annotated[
    list[str],
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Section = BeforeValidator(_without_empty)

"""Names that people give, checked before anything is sent. Each refusal says which field, what stands there, why not, and what could."""

import re
from typing import Final

from ledger.config.fields import name_fault
from ledger.core.invalid import Invalid
from ledger.core.pause import PauseScope
from ledger.core.said import LONGEST_NAME

EXAMPLE: Final = "'nightly-sync'"
EXCLUSIVE_KEY: Final = re.compile(r"(job|tenant|key):.+", re.DOTALL)


def check_name(value: object, field: str) -> str:
    """The name of a job, a handler or a queue, which stands in addresses and in file names."""
    text = _text(field, value, EXAMPLE)
    if (fault := name_fault(text)) is not None:
        allowed = f"1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ : ~ @ -, the first a letter or a digit"
        raise _invalid(field, value, f"{fault}: {allowed}", EXAMPLE)
    return text


def check_text(value: object, field: str, example: str) -> str:
    """A name out of somebody else's system: a tenant, a key."""
    text = _text(field, value, example)
    if any(not char.isprintable() for char in text):
        raise _invalid(field, value, "has a line break or another character that does not print", example)
    return text


def check_paused(scope: PauseScope, name: object) -> str:
    """What a pause is of. An exclusivity key is said in full, as `executions show` shows it."""
    match scope:
        case "job":
            return check_name(name, "job")
        case "queue":
            return check_name(name, "queue")
        case "tenant":
            return check_text(name, "tenant", "'acme'")
        case "key":
            key = check_text(name, "key", "'key:send-invoice:7'")
            if EXCLUSIVE_KEY.fullmatch(key) is None:
                raise _invalid("key", name, "is no exclusivity key in full, as `executions show` has it", "'key:send-invoice:7'")
            return key


def _text(field: str, value: object, example: str) -> str:
    if not isinstance(value, str):
        raise _invalid(field, value, f"is of type {type(value).__name__}, not a text (in YAML, quote it)", example)
    if not value:
        raise _invalid(field, value, "is empty", example)
    if len(value) > LONGEST_NAME:
        raise _invalid(field, value, f"has {len(value)} characters, at most {LONGEST_NAME}", example)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _invalid(field, value, "is no text that can be written in UTF-8", example) from None
    return value


def _invalid(field: str, value: object, why: str, example: str) -> Invalid:
    return Invalid("invalid_name", field, value, why, example)

"""Names that people give, checked before anything is sent. Each refusal says which field, what stands there, why not, and what could."""

import re
from typing import Final

from ledger.core.definition import LONGEST_NAME
from ledger.core.invalid import Invalid
from ledger.core.pause import PauseScope

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._:~@-]+", re.ASCII)
EXCLUSIVE_KEY: Final = re.compile(r"(job|tenant|key):.+", re.DOTALL)


def check_job_name(value: object, field: str = "job") -> str:
    """The name of a job or handler that is there already: `/` may stand in those."""
    return _identifier(field, value, "'send-invoice'", allowed="/")


def check_new_id(value: object, field: str) -> str:
    """A name that becomes part of an id, a path or a file's name."""
    return _identifier(field, value, "'nightly-sync'")


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
            return check_job_name(name)
        case "queue":
            return check_new_id(name, "queue")
        case "tenant":
            return check_text(name, "tenant", "'acme'")
        case "key":
            key = check_text(name, "key", "'key:send-invoice:7'")
            if EXCLUSIVE_KEY.fullmatch(key) is None:
                raise _invalid("key", name, "is no exclusivity key in full, as `executions show` has it", "'key:send-invoice:7'")
            return key


def _identifier(field: str, value: object, example: str, allowed: str = "") -> str:
    text = _text(field, value, example)
    if ".." in text:
        raise _invalid(field, value, "has '..' in it, which is a way out of a folder", example)
    if "/" in text and "/" not in allowed:
        raise _invalid(field, value, "has '/' in it, which is a way into a folder", example)
    if _IDENTIFIER.fullmatch(text.replace("/", "")) is None:
        raise _invalid(field, value, "may hold A-Z a-z 0-9 . _ : ~ @ - alone", example)
    return text


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

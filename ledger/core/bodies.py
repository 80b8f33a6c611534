"""Bodies that belong to users (data, results) stay the bytes they came as: `Raw`, or `NOTHING` where there is none."""

from typing import Final

from msgspec import DecodeError, Raw, json

from ledger.core.refusal import Refused

NOTHING: Final = Raw(b"")  # always this object: the encoder leaves a default out by identity
NULL: Final = Raw(b"null")
LONGEST: Final = 200  # characters of a name


def given(body: Raw) -> bool:
    """There is a body; JSON's null is one."""
    return body is not NOTHING and len(bytes(body)) > 0


def value_of(body: Raw) -> object:
    """What the bytes say; None for bytes that are no JSON, which the wire refuses before."""
    try:
        return json.decode(body)
    except DecodeError:
        return None


def exclusive_value(given: str | None, body: Raw, path: str | None) -> str | None:
    """What a submit is exclusive by: as it says, else what its data has in this field. Raises `Refused`."""
    if given is not None or path is None:
        return given
    found = field_of(value_of(body), path, "its exclusivity key")
    if isinstance(found, bool) or not isinstance(found, str | int) or not 0 < len(str(found)) <= LONGEST:
        raise Refused("invalid_data", f"data.{path} makes its exclusivity key: a number or a text of 1 to {LONGEST} characters is wanted")
    return str(found)


def check_key(given: str | None, job_id: str, scope: str) -> None:
    """A key that nothing would wait for is not what its submitter thinks. Raises `Refused`."""
    if given is not None and scope != "key":
        how = "is not exclusive" if scope == "none" else f"is exclusive by {scope}"
        raise Refused("invalid", f"exclusive_key belongs to jobs that are exclusive by key alone, and {job_id} {how}: leave it out")


def field_of(value: object, path: str, wanted_for: str) -> object:
    """`path`: names and numbers of items with dots between them, as `order.lines.0.sku`. Raises `Refused` where nothing is there."""
    at = value
    for step in path.split("."):
        if isinstance(at, dict) and step in at:
            at = at[step]
        elif isinstance(at, list) and step.isascii() and step.isdecimal() and len(step) < 10 and int(step) < len(at):
            at = at[int(step)]
        else:
            raise Refused("invalid_data", f"the data has no field {path!r}, which {wanted_for} is made of")
    return at

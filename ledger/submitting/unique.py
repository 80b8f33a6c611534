"""What a submit shall be unique by: fields of its data, which its unique key is made of."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from msgspec import Raw, Struct, ValidationError, convert, structs

from ledger.core import uniqueness
from ledger.core.bodies import field_of, value_of
from ledger.core.refusal import Refused
from ledger.core.uniqueness import LIVE, OnConflict, UniqueState
from ledger.submitting.encoding import canonical

WHOLE: Final = "*"


class Unique(Struct, frozen=True, forbid_unknown_fields=True):
    """No second execution with the same `by`, as long as one is in one of `states`: compared are executions of the same job, tenant and
    exclusivity key. `by`: fields of the data, such as `"order.id"`; `"*"` is all of it. States other than `delayed`, `waiting` and `active`
    are known for the deduplication window (by default an hour).

    `on_conflict`: `ignore` answers with the execution that is there, `reject` refuses, `replace` takes the place of what has not begun and
    refuses otherwise.
    """

    by: str | Sequence[str] = WHOLE
    states: tuple[UniqueState, ...] = LIVE
    on_conflict: OnConflict = "ignore"


def unique_of(given: object, data: Raw) -> uniqueness.Unique:
    """As a command carries it. `given`: a `Unique`, a mapping with its fields, or what it shall be unique by. Raises `Refused`."""
    unique = _understood(given)
    fields = [unique.by] if isinstance(unique.by, str) else list(unique.by)
    if not fields or not unique.states:
        raise Refused("invalid", "unique: name at least one field, or '*' for all of the data, and at least one state")
    value = value_of(data)
    found = {field: value if field == WHOLE else field_of(value, field, "its unique key") for field in sorted(set(fields))}
    key = blake2b(canonical(found), digest_size=16).hexdigest()
    return uniqueness.Unique(key, tuple(sorted(set(unique.states))), unique.on_conflict)


def _understood(given: object) -> Unique:
    if isinstance(given, Unique):  # its fields may be anything so far
        given = structs.asdict(given)
    if isinstance(given, str | list | tuple):
        given = {"by": given}
    try:
        return convert(given, Unique)
    except (ValidationError, UnicodeEncodeError) as error:
        raise Refused("invalid", f"unique: {error}; there are by, states and on_conflict") from None

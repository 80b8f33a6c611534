"""A refusal of one value that a person wrote: which field, what stands there, why that cannot be, and what could."""

from ledger.core.refusal import Refused

SHOWN = 80  # a value is quoted up to this length


class Invalid(Refused):
    """`reason` is the stable word (`invalid_duration`, `invalid_schedule`); the other parts are there for forms and editors."""

    def __init__(self, reason: str, field: str, value: object, why: str, example: str) -> None:
        super().__init__(reason, f"{field} {quoted(value)} {why}; for example {example}")
        self.field = field
        self.value = value
        self.why = why
        self.example = example


def quoted(value: object) -> str:
    """The value as it can be put into one line of a message, whatever it contains."""
    try:
        text = ascii(value)
    except ValueError:  # an integer of more than 4300 digits
        text = "a huge number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"

"""What a command may say in words: names, who acts, and why. Bounded, as all that one command leads to has to fit into a commit."""

from collections.abc import Iterable
from typing import Final

from ledger.core.refusal import Refused

LONGEST_NAME: Final = 200  # characters; of an actor too
LONGEST_REASON: Final = 2000


def check_names(names: Iterable[tuple[str, str | None]]) -> None:
    """Refuses a name that is there and empty, or longer than an index entry may be."""
    for name, value in names:
        if value is not None and not 0 < len(value) <= LONGEST_NAME:
            raise Refused("invalid", f"{name} has {len(value)} characters: 1 to {LONGEST_NAME}")


def check_said(actor: str | None, reason: str | None) -> None:
    """Refuses an actor or a reason that is too long: what one command leads to repeats them."""
    for name, value, most in (("actor", actor, LONGEST_NAME), ("reason", reason, LONGEST_REASON)):
        if value is not None and len(value) > most:
            raise Refused("invalid", f"{name} has {len(value)} characters: at most {most}")


def cut_to_fit(actor: str | None) -> str | None:
    """The actor of a refusal, which may be one for its length."""
    return None if actor is None else actor[:LONGEST_NAME]

"""A bulk act: many cancels, retries or redrives of one mind, each a command of its own that names it. In each partition concerned it is
begun with what is planned there, and finished when no more follow; what was done and refused is counted from the outcomes in between.

Source: scheduling.md, section 7; docs/decisions/0017.
"""

from typing import Literal

from msgspec import Raw, Struct

from ledger.core.bodies import NOTHING

OnExecutions = Literal["cancel", "retry"]
BulkKind = Literal[OnExecutions, "redrive"]

# Events


class Begun(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="bulk.begun.v1"):
    """Accepted, with so many planned in this partition."""

    bulk_id: str
    kind: BulkKind
    planned: int
    filter: Raw = NOTHING
    actor: str | None = None
    reason: str | None = None


class Finished(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="bulk.finished.v1"):
    """No more acts of it are accepted in this partition."""

    bulk_id: str


Event = Begun | Finished

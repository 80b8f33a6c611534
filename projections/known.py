"""The projections of this program, by name."""

from ledger.config import Settings
from ledger.core.refusal import Refused
from projections.builtin import TABLES
from projections.projection import Projection


def known(settings: Settings) -> dict[str, Projection]:
    return {TABLES.name: TABLES}


def named(settings: Settings, name: str) -> Projection:
    """Raises `Refused`."""
    projections = known(settings)
    if name not in projections:
        raise Refused("unknown_projection", f"there is no projection {name!r}; the projections are {', '.join(projections)}")
    return projections[name]

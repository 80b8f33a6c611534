"""The projections of this program, by name: ours, and those that the settings name."""

import sys
from pathlib import Path

from ledger.config import Settings
from ledger.config.named import module_of
from ledger.core.refusal import Misconfigured, Refused
from projections.builtin import TABLES
from projections.projection import Projection


def known(settings: Settings) -> dict[str, Projection]:
    """Raises `Misconfigured`."""
    found = {TABLES.name: TABLES}
    for target in settings.projections:
        one = _load(target)
        if one.name in found:
            raise Misconfigured(f"two projections are called {one.name!r}: give {target!r} another name")
        for other in found.values():
            if both := sorted({*one.names} & {*other.names}):
                raise Misconfigured(
                    f"the projections {other.name!r} and {one.name!r} both have {', '.join(both)}: "
                    "a name stands for one table, index or view of the schema"
                )
        found[one.name] = one
    return found


def named(settings: Settings, name: str) -> Projection:
    """Raises `Misconfigured`, `Refused` where there is none of that name."""
    projections = known(settings)
    if name not in projections:
        raise Refused("unknown_projection", f"there is no projection {name!r}; the projections are {', '.join(projections)}")
    return projections[name]


def _load(target: str) -> Projection:
    """`module:attribute`, found from the present folder."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module, attribute = module_of("projection", target, "costs:costs")
    found: object = getattr(module, attribute, None)
    if not isinstance(found, Projection):
        raise Misconfigured(f"projection {target!r}: {module.__name__} has no projection called {attribute!r}; `own_projection` makes one")
    return found

"""The projections of this program, by name: ours, and those that the settings name."""

import importlib
import sys
from pathlib import Path

from ledger.config import Settings
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
    module_name, colon, attribute = target.partition(":")
    if not (module_name and colon and attribute):
        raise Misconfigured(f"projection {target!r}: write it as `module:attribute`, for example `costs:costs`")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise Misconfigured(
                f"projection {target!r}: there is no module {error.name!r} here; start where it is, or install it"
            ) from error
        raise
    found: object = getattr(module, attribute, None)
    if not isinstance(found, Projection):
        raise Misconfigured(f"projection {target!r}: {module_name} has no projection called {attribute!r}; `own_projection` makes one")
    return found

"""What the settings name as `module:attribute`: somebody's code, whose mistakes are told with its file and line."""

import importlib
import os
import sysconfig
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Final

from ledger.core.refusal import Misconfigured

_OURS: Final = tuple(f"{Path(__file__).parents[2] / name}{os.sep}" for name in ("ledger", "processors", "projections"))


def module_of(kind: str, target: str, example: str) -> tuple[ModuleType, str]:
    """The module of `target`, and the attribute's name. Raises `Misconfigured`, whatever the module raises when it is imported."""
    name, colon, attribute = target.partition(":")
    if not (name and colon and attribute) or name.startswith("."):
        raise Misconfigured(f"{kind} {target!r}: write it as `module:attribute`, for example `{example}`")
    try:
        return importlib.import_module(name), attribute
    except Misconfigured as error:
        place = _place(error)
        known = place is None or place.rpartition(":")[0] in str(error)
        raise Misconfigured(str(error) if known else f"{place}: {error}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            said = f"there is no module {error.name!r} here; start where it is, or install it"
        else:
            said = f"it cannot be imported: {_place(error)}: {type(error).__name__}: {getattr(error, 'msg', error)}"
        raise Misconfigured(f"{kind} {target!r}: {said}") from error


def _place(error: BaseException) -> str | None:
    """File and line: of the user's code, and of a library only where it was not called from there."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    libraries = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib"))
    calls = [call for call in extract_tb(error.__traceback__) if not call.filename.startswith((*_OURS, "<"))]
    own = [call for call in calls if not call.filename.startswith(libraries)]
    return next((f"{call.filename}:{call.lineno}" for call in reversed(own or calls)), None)

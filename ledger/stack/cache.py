"""Where fetched jars stay."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "JOBLEDGER_CACHE"


def default_cache(directory: Path, environment: Mapping[str, str] | None = None) -> Path:
    """`JOBLEDGER_CACHE`, else the platform's place for caches; without a home that can be used, the stack's own folder."""
    known = os.environ if environment is None else environment
    if told := known.get(VARIABLE):
        return Path(told).expanduser().absolute()
    home = known.get("HOME", "")
    if sys.platform == "darwin":
        place = Path(home) / "Library" / "Caches"
    else:
        place = Path(known.get("XDG_CACHE_HOME") or Path(home) / ".cache")
    if place.is_absolute() and (place.is_dir() or (home and os.access(home, os.W_OK))):
        return place / "jobledger"
    return directory / "cache"

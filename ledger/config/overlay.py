"""Settings from the environment: `JOBLEDGER_KAFKA__BOOTSTRAP` sets `kafka.bootstrap`, whatever the file says."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from ledger.config.settings import Settings
from ledger.config.yaml_text import Place
from ledger.core.refusal import Misconfigured

PREFIX: Final = "JOBLEDGER_"
CONFIG: Final = "JOBLEDGER_CONFIG"
NOT_SETTINGS: Final = frozenset({CONFIG, "JOBLEDGER_CACHE", "JOBLEDGER_CRASH_AT", "JOBLEDGER_PROFILES", "JOBLEDGER_TRACEBACK"})


def overlay(values: dict[str, object], env: Mapping[str, str]) -> tuple[dict[str, object], dict[Place, str]]:
    """`values` with what the environment sets, and which variable set which place."""
    origins: dict[Place, str] = {}
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        place = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if _is_ours(name, place):
            values = _with(values, place, env[name], name)
            origins[place] = name
    return values, origins


def _is_ours(name: str, place: tuple[str, ...]) -> bool:
    """A single word that is no setting may belong to somebody else, unless it looks like a slip."""
    if len(place) > 1 or place[0] in Settings.model_fields:
        return True
    near = get_close_matches(place[0], list(Settings.model_fields), n=1, cutoff=0.75)
    if near:
        raise Misconfigured(f"the environment variable {name} sets nothing; did you mean {PREFIX}{near[0].upper()}?")
    return False


def _with(values: dict[str, object], place: tuple[str, ...], value: str, name: str) -> dict[str, object]:
    head, *rest = place
    if not rest:
        return {**values, head: value}
    inner = values.get(head)
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise Misconfigured(f"the environment variable {name} sets a key inside `{head}`, which is no mapping of settings")
    return {**values, head: _with(inner, tuple(rest), value, name)}

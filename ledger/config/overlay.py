"""Settings from the environment: `JOBLEDGER_KAFKA__BOOTSTRAP` sets `kafka.bootstrap`, whatever the file says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from ledger.config.settings import Settings, secret_keys
from ledger.config.told import ROOT, Origin, Told, key_of
from ledger.config.yaml_text import Place
from ledger.core.refusal import Misconfigured

PREFIX: Final = "JOBLEDGER_"
CONFIG: Final = "JOBLEDGER_CONFIG"
PROFILES: Final = "JOBLEDGER_PROFILES"
_SECRETS: Final = tuple(f"{PREFIX}{'__'.join(map(str, place))}__".upper() for place in secret_keys())
NOT_SETTINGS: Final = frozenset({CONFIG, "JOBLEDGER_CACHE", "JOBLEDGER_CRASH_AT", PROFILES, "JOBLEDGER_TRACEBACK"})


def overlay(told: Told, env: Mapping[str, str]) -> Told:
    """`told` with what the environment sets."""
    values, overridden = told.values, dict(told.overridden)
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        place = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if _is_ours(name, place):
            values = _with(values, place, env[name], name)
            overridden[place] = Origin(f"environment variable {name}", key_of(place))
    return replace(told, values=values, overridden=overridden)


def variable_of(place: Sequence[str]) -> str | None:
    """The environment variable that sets a key, in whichever of the two layouts it is written; None of what is no setting."""
    parts = [snake(part) for part in (place[1:] if place[0] == ROOT else place)]
    return PREFIX + "__".join(parts).upper() if parts and parts[0] in Settings.model_fields else None


def is_secret_setting(name: str) -> bool:
    """Of a dotted key in either layout, or of the variable that sets it."""
    variable = name.upper() if name.startswith(PREFIX) else variable_of(name.split(".")) or ""
    return f"{variable}__".startswith(_SECRETS)


def snake(name: str) -> str:
    """`systemJobs` is `system_jobs`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _is_ours(name: str, place: Place) -> bool:
    """A single word that is no setting may belong to somebody else, unless it looks like a slip."""
    if len(place) > 1 or place[0] in Settings.model_fields:
        return True
    near = get_close_matches(str(place[0]), list(Settings.model_fields), n=1, cutoff=0.75)
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

"""The references in the values of files, replaced.

Environment variables go before keys: `${prefix}` is the variable `prefix` if there is one, else what the files say. A key that the
environment overrides counts as overridden. Texts from the environment are taken as they are.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NoReturn

from ledger.config.overlay import is_secret_setting, variable_of
from ledger.config.references import Reference, parts_of
from ledger.config.secrets import is_secret_name, is_secret_value
from ledger.config.told import Told, key_of
from ledger.config.yaml_text import DEEPEST, Place
from ledger.core.refusal import Misconfigured

LONGEST: Final = 65_536  # of one value: keys that refer to each other twice would double at each step
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_JOBS: Final = ("system_jobs", "systemJobs")
_DATA: Final = ("data", "jobData")


def interpolate(told: Told, env: Mapping[str, str], *, foreign: Collection[str] = ()) -> Told:
    """`told` with every reference replaced, but for the top-level keys that are `foreign`, which nobody reads. Raises `Misconfigured`
    with file, line and key."""
    work = _Interpolation(told, env)
    values = {key: value if key in foreign else work.replaced(value, (key,)) for key, value in told.values.items()}
    return replace(told, values=values, secret=frozenset(work.secrets))


class _Interpolation:
    def __init__(self, told: Told, env: Mapping[str, str]) -> None:
        self._told = told
        self._env = env
        self._done: dict[Place, object] = {}
        self._open: list[Place] = []  # under way: one that comes twice refers to itself
        self.secrets: dict[Place, str] = {}  # and what is secret about it

    def replaced(self, value: object, place: Place) -> object:
        match value:
            case str():
                made = self._text(value, place) if "${" in value else value
                if _is_job_data(place) and isinstance(made, str) and is_secret_value(made):
                    self._refuse_secret(place, "an address with credentials")
                return made
            case list():
                return [self.replaced(one, (*place, index)) for index, one in enumerate(value)]
            case dict():
                return {key: self.replaced(one, (*place, key)) for key, one in value.items()}
        return value

    def _text(self, text: str, place: Place) -> object:
        if place in self._done:
            return self._done[place]
        if place in self._open:
            around = " -> ".join(key_of(one) for one in (*self._open[self._open.index(place) :], place))
            raise self._wrong(place, f"{around}: a value cannot be made of itself")
        if len(self._open) == DEEPEST:
            raise self._wrong(place, f"it takes more than {DEEPEST} references, one after the other, to get here")
        self._open.append(place)
        try:
            parts = parts_of(text)
        except ValueError as fault:
            raise self._wrong(place, str(fault)) from None
        made = self._made(parts, place)
        self._open.pop()
        if place in self.secrets and _is_job_data(place):
            self._refuse_secret(place, self.secrets[place])
        self._done[place] = made
        return made

    def _made(self, parts: Sequence[str | Reference], place: Place) -> object:
        """One reference alone is what it refers to, a number too; all else is a text."""
        match parts:
            case (Reference() as alone,):
                return self._resolved(alone, place)
        made, length = [], 0
        for part in parts:
            made.append(part if isinstance(part, str) else _written(self._resolved(part, place)))
            length += len(made[-1])
            if length > LONGEST:
                raise self._wrong(place, f"more than {LONGEST} characters once its references are replaced")
        return "".join(made)

    def _resolved(self, reference: Reference, place: Place) -> object:
        name = reference.name
        for one in reference.names():
            if is_secret_name(one) or is_secret_setting(one):
                self.secrets[place] = one
                if _is_job_data(place):
                    self._refuse_secret(place, one)
        value = self._looked_up(name, place)
        if isinstance(value, str) and is_secret_value(value):
            self.secrets[place] = name
        if value is not None and value != "":
            return value
        if reference.default is not None:
            return self._made(reference.default, place)
        if reference.message is not None:
            raise self._wrong(place, f"{reference.message or f'{name} has to be set'} ({_kind(name)} {name})")
        if value is None:
            raise self._wrong(place, f"the {_kind(name)} {name} is not set: set it, or write ${{{name}:-a default}}")
        return value

    def _looked_up(self, name: str, place: Place) -> object:
        """What the environment or the files say under a name, or None."""
        if _NAME.fullmatch(name) is not None and name in self._env:
            return self._env[name]
        parts = tuple(name.split("."))
        if (overridden := self._env.get(variable_of(parts) or "")) is not None:
            return overridden
        target, found = self._found(parts)
        if target is None:
            return None
        if isinstance(found, dict | list):
            raise self._wrong(place, f"`${{{name}}}` is no single value: name one of its keys")
        made = self.replaced(found, target)
        if target in self.secrets:
            self.secrets[place] = name
        return made

    def _found(self, parts: tuple[str, ...]) -> tuple[Place | None, object]:
        """Where the files have a dotted key, and what they say there."""
        found: object = self._told.values
        target: Place = ()
        for part in parts:
            if isinstance(found, list) and part.isdigit() and int(part[:9]) < len(found):
                found, target = found[int(part[:9])], (*target, int(part[:9]))
            elif isinstance(found, dict) and part in found:
                found, target = found[part], (*target, part)
            else:
                return None, None
        return target, found

    def _refuse_secret(self, place: Place, what: str) -> NoReturn:
        raise self._wrong(
            place,
            f"{what} looks like a secret, and the data of a job stays in the log for ever: put the name of the variable there and read it "
            "in the handler",
        )

    def _wrong(self, place: Place, what: str) -> Misconfigured:
        origin = self._told.origin(place)
        return Misconfigured(f"{origin.where}: {origin.key}: {what}")


def _is_job_data(place: Place) -> bool:
    return any(part in _JOBS for part in place) and any(part in _DATA for part in place)


def _kind(name: str) -> str:
    return "key" if "." in name else "environment variable"


def _written(value: object) -> str:
    """A value inside a text, as YAML would say it."""
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What a version is, by its content: the hash that tells an unchanged version from drift, and the manifest's digest.

Source: scheduling.md, section 4. As written, normalised and without defaults, so that a release of ours causes no drift.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from msgspec import Raw, to_builtins

from ledger.core.bodies import given, value_of
from ledger.core.options import Options
from ledger.core.schedule_spec import ScheduleSpec
from ledger.submitting.encoding import canonical


def content_of(data: Raw, options: Options | None, schedule: ScheduleSpec | None) -> dict[str, object]:
    """The parts of a version that are said."""
    content: dict[str, object] = {}
    if given(data):
        content["data"] = value_of(data)
    if options is not None:
        content["options"] = _without_defaults(options)
    if schedule is not None:
        content["schedule"] = _without_defaults(schedule)
    return content


def _without_defaults(part: Options | ScheduleSpec) -> dict[str, object]:
    """msgspec leaves out a default that is the very object; here it is the value that counts."""
    names, defaults = type(part).__struct_fields__, type(part).__struct_defaults__  # those with a default come last
    always = len(names) - len(defaults)
    said = {name: getattr(part, name) for name in names}
    return {name: to_builtins(said[name]) for n, name in enumerate(names) if n < always or said[name] != defaults[n - always]}


def content_hash(data: Raw, options: Options | None, schedule: ScheduleSpec | None) -> str:
    return sha256(canonical(content_of(data, options, schedule))).hexdigest()


def manifest_digest(jobs: Iterable[tuple[str, int, str]]) -> str:
    """Of (name, version, content hash), in whatever order."""
    return sha256(canonical(sorted(jobs))).hexdigest()


class Difference(NamedTuple):
    """A field that differs, as the JSON that stands there; None where it is not said."""

    field: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} -> {_shown(self.after)}"


def compared(stored: Mapping[str, object], wanted: Mapping[str, object], place: str = "") -> list[Difference]:
    """Field by field."""
    found: list[Difference] = []
    for key in sorted(stored.keys() | wanted.keys()):
        where, before, after = f"{place}{key}", stored.get(key), wanted.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += compared(before, after, f"{where}.")
        elif before != after or (key in stored) != (key in wanted):
            found.append(Difference(where, _json(key in stored, before), _json(key in wanted, after)))
    return found


def differences(stored: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """Field by field, for people: `options.timeout_ms: 60000 -> 90000`."""
    return list(map(str, compared(stored, wanted)))


def _json(is_there: bool, value: object) -> str | None:
    return canonical(value).decode() if is_there else None


def _shown(text: str | None) -> str:
    if text is None:
        return "(not said)"
    return text if len(text) <= 80 else f"{text[:80]}..."

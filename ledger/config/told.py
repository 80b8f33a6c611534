"""What all sources say together, and which of them says each value."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ledger.config.yaml_text import Document, Place

ROOT: Final = "jobsConfig"  # of the layout of `@softkit/jobs`
WHOLE: Final = "(the whole file)"
JOB_LISTS: Final = frozenset({("jobs",), ("system_jobs",), (ROOT, "jobs"), (ROOT, "systemJobs"), (ROOT, "systemJobs", "jobs")})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value stands, `jobledger.yaml:3` or an environment variable, and under which key as it is written there."""

    where: str
    key: str


@dataclass(frozen=True, slots=True)
class Told:
    """`written`: places as the files have them. `renamed`: where a place of `values` stands in the files, if elsewhere: its parts follow.
    `overridden`: places that the environment sets. `secret`: places whose value came from something secret."""

    path: Path
    values: dict[str, object]
    written: dict[Place, Origin] = field(default_factory=dict)
    renamed: dict[Place, Place] = field(default_factory=dict)
    overridden: dict[Place, Origin] = field(default_factory=dict)
    secret: frozenset[Place] = frozenset()

    def origin(self, place: Place) -> Origin:
        """Of a value, or of the nearest thing around it; the key is that of the place itself."""
        for length in range(len(place), 0, -1):
            found = self.overridden.get(place[:length]) or self.written.get(self._in_the_file(place[:length]))
            if found is not None:
                rest = key_of(place[length:])
                return Origin(found.where, f"{found.key}{'' if rest[:1] in ('', '[') else '.'}{rest}")
        return Origin(str(self.path), key_of(place) or WHOLE)

    def exact(self, place: Place) -> Origin | None:
        """Of a value that some source says; None of one that is a default."""
        return self.overridden.get(place) or self.written.get(self._in_the_file(place))

    def is_secret(self, place: Place) -> bool:
        return self._in_the_file(place) in self.secret

    def _in_the_file(self, place: Place) -> Place:
        for length in range(len(place), 0, -1):
            if (former := self.renamed.get(place[:length])) is not None:
                return former + place[length:]
        return place


def merged(documents: Sequence[Document]) -> Told:
    """Later documents go before earlier ones: mappings are merged, and job lists by the names of the jobs; whatever else is replaced."""
    told = Told(documents[0].path, {})
    for document in documents:
        values = _Merge(document, told.written).both(told.values, document.values, (), ())
        assert isinstance(values, dict)
        told = replace(told, values=values)
    return told


class _Merge:
    """One document over what was said before. `place` is where a value goes, `source` where it stands in the document."""

    def __init__(self, document: Document, written: dict[Place, Origin]) -> None:
        self._document = document
        self._written = written

    def both(self, below: object, above: object, place: Place, source: Place) -> object:
        if isinstance(below, dict) and isinstance(above, dict):
            self._note(place, source)
            keys = {key: self.both(below[key], value, (*place, key), (*source, key)) for key, value in above.items() if key in below}
            added = {key: self._taken(value, (*place, key), (*source, key)) for key, value in above.items() if key not in below}
            return {**below, **keys, **added}
        if isinstance(below, list) and isinstance(above, list) and place in JOB_LISTS:
            return self._by_name(below, above, place, source)
        if above is None and isinstance(below, dict | list):
            return below  # a section with nothing in it says nothing
        self._forget(below, place)
        return self._taken(above, place, source)

    def _by_name(self, below: list[object], above: list[object], place: Place, source: Place) -> list[object]:
        made = list(below)
        known = {name: index for index, one in enumerate(below) if (name := _name(one)) is not None}
        for number, one in enumerate(above):
            index = known.pop(_name(one) or "", None)
            if index is None:
                made.append(self._taken(one, (*place, len(made)), (*source, number)))
            else:
                made[index] = self.both(made[index], one, (*place, index), (*source, number))
        return made

    def _taken(self, value: object, place: Place, source: Place) -> object:
        self._note(place, source)
        match value:
            case dict():
                return {key: self._taken(one, (*place, key), (*source, key)) for key, one in value.items()}
            case list():
                return [self._taken(one, (*place, index), (*source, index)) for index, one in enumerate(value)]
        return value

    def _forget(self, value: object, place: Place) -> None:
        """Of what is replaced, nothing stands anywhere any more."""
        self._written.pop(place, None)
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for part, one in inside:
            self._forget(one, (*place, part))

    def _note(self, place: Place, source: Place) -> None:
        self._written[place] = Origin(self._document.where(source), key_of(source))


def _name(job: object) -> str | None:
    name = job.get("name") if isinstance(job, dict) else None
    return name if isinstance(name, str) else None


def key_of(place: Place) -> str:
    """A place as people write it: `system_jobs[0].cron`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

"""Settings as they can be shown: each value with where it came from, secrets masked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.config.loading import Loaded
from ledger.config.secrets import MASK, masked, masked_address
from ledger.config.settings import Settings
from ledger.config.told import Told, key_of
from ledger.config.yaml_text import Place

DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Shown:
    """`origin`: a file and line, an environment variable, or `default`; with the key as written there, if it is another."""

    key: str
    value: object
    origin: str


def document_of(loaded: Loaded) -> dict[str, object]:
    """Every setting, defaults too, with the keys of the YAML; of an address, all but who logs in, and nothing that came from a secret."""
    return {key: _unsaid(loaded.told, value, (key,)) for key, value in _document(loaded.settings).items()}


def _unsaid(told: Told, value: object, place: Place) -> object:
    match value:
        case dict() if value:
            return {key: _unsaid(told, one, (*place, key)) for key, one in value.items()}
        case list() if value:
            return [_unsaid(told, one, (*place, index)) for index, one in enumerate(value)]
        case None:
            return None
    return MASK if told.is_secret(_standing(told, place)) else value


def _document(settings: Settings) -> dict[str, object]:
    document: dict[str, object] = json.loads(settings.model_dump_json(by_alias=True))
    for name, url in (("redis", settings.redis.url), ("database", settings.database.url)):
        part = document[name]
        assert isinstance(part, dict)
        part["url"] = masked_address(url.get_secret_value())
        if name == "redis":
            part["lock_urls"] = [masked_address(one.get_secret_value()) for one in settings.redis.lock_urls]
    return {key: masked(value) for key, value in document.items()}


def values_with_origin(loaded: Loaded) -> list[Shown]:
    """Every value that is set; what a job does not say is left out."""
    told = loaded.told
    return [Shown(key_of(place), value, _origin(told, place)) for place, value in _flat(document_of(loaded), ())]


def _flat(value: object, place: Place) -> Iterator[tuple[Place, object]]:
    match value:
        case dict() if value:
            for key, one in value.items():
                yield from _flat(one, (*place, key))
        case list() if value:
            for index, one in enumerate(value):
                yield from _flat(one, (*place, index))
        case None if "data" not in place:
            return
        case dict() if place and len(place) > 1 and "data" not in place:
            return
        case _:
            yield place, value


def _standing(told: Told, place: Place) -> Place:
    """The part of a place that stands in some source: `cron` may be one text there, and is a list in the settings."""
    value: object = told.values
    for length, part in enumerate(place):
        match value:
            case dict() if part in value:
                value = value[part]
            case list() if isinstance(part, int) and part < len(value):
                value = value[part]
            case dict() | list():
                return ()
            case _:
                return place[:length]
    return place


def _origin(told: Told, place: Place) -> str:
    standing = _standing(told, place)
    if not standing and place[0] in ("jobs", "system_jobs"):
        standing = _standing(told, ("defaults", *place[2:]))
    found = told.exact(standing) if standing else None
    if found is None:
        return DEFAULT
    return found.where if found.key == key_of(place) else f"{found.where} ({found.key})"

"""From files and the environment to `Settings`: read, merge, interpolate, overlay, check; an error says where, what and what was meant."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ledger.config.complaints import complain
from ledger.config.interpolate import interpolate
from ledger.config.overlay import CONFIG, PROFILES, overlay
from ledger.config.settings import Settings
from ledger.config.softkit import foreign_keys, understood
from ledger.config.told import WHOLE, Told, key_of, merged
from ledger.config.yaml_text import Document, read_yaml
from ledger.core.refusal import Misconfigured

DEFAULT_FILE: Final = Path("jobledger.yaml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """`told`: what the sources say, before defaults. `warnings`: what was left out of account."""

    settings: Settings
    told: Told
    files: tuple[Path, ...]
    warnings: tuple[str, ...]


def load_settings(path: Path | None, env: Mapping[str, str], warn: Callable[[str], None] | None = None) -> Settings:
    """The settings of the file at `path`, else of the one that JOBLEDGER_CONFIG names, else of `jobledger.yaml` here, each followed by
    those of JOBLEDGER_PROFILES and overlaid by the environment. No file is an error: a worker in the wrong folder would retire every
    system job. Raises `Misconfigured`. Warnings are logged where nobody takes them."""
    loaded = load(path, env)
    for warning in loaded.warnings:
        (warn or _log)(warning)
    return loaded.settings


def load(path: Path | None, env: Mapping[str, str]) -> Loaded:
    """The same with what it was made of."""
    base = find_file(path, env)
    profiles = [(name, profile_file(base, name)) for name in _profiles(env)]
    files = [base, *(file for _, file in profiles if file.is_file())]
    warnings = [f"profile {name!r}: there is no file {file}" for name, file in profiles if not file.is_file()]
    documents = [read_yaml(file) for file in files]
    told = merged(documents)
    foreign = foreign_keys(told)
    _refuse_doubts(documents, foreign)
    told, more = understood(interpolate(told, env, foreign=foreign), foreign)
    told = overlay(told, env)
    try:
        settings = Settings.model_validate(told.values)
    except ValidationError as error:
        raise complain(error, told) from None
    return Loaded(settings, told, tuple(files), (*warnings, *more))


def find_file(path: Path | None, env: Mapping[str, str]) -> Path:
    """Which file it is. Raises `Misconfigured` if there is none."""
    wanted = path or (Path(named) if (named := env.get(CONFIG)) else DEFAULT_FILE)
    if wanted.is_file():
        return wanted
    if wanted.is_dir():
        raise Misconfigured(f"{wanted} is a folder: name the file in it, as {wanted / DEFAULT_FILE}")
    if path is None and CONFIG not in env:
        raise Misconfigured(f"there is no {DEFAULT_FILE} in {Path.cwd()}: go where it is, or name it by --config or {CONFIG}")
    raise Misconfigured(f"there is no file {wanted}" + (f" (named by --config or {CONFIG})" if path is None else ""))


def profile_file(base: Path, profile: str) -> Path:
    """`jobledger.yaml` and `eu` are `jobledger-eu.yaml`."""
    return base.with_name(f"{base.stem}-{profile}{base.suffix}")


def _profiles(env: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in env.get(PROFILES, "").split(",")]
    for name in names:
        if name and Path(name).name != name:
            raise Misconfigured(f"{PROFILES}: {name!r} is no name of a profile; for example {PROFILES}=production,eu")
    return [name for name in names if name]


def _refuse_doubts(documents: Sequence[Document], foreign: frozenset[str]) -> None:
    doubts = [
        f"{document.where(place)}: {key_of(place) or WHOLE}: {why}"
        for document in documents
        for place, why in document.doubts
        if place[:1] == () or place[0] not in foreign
    ]
    if doubts:
        raise Misconfigured("\n".join(doubts[:10]))


def _log(warning: str) -> None:
    logging.getLogger(__name__).warning(warning, extra={"action": "config.warning"})

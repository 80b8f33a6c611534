"""From a file and the environment to `Settings`: read, interpolate, overlay, check; an error says where, what and what was meant."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ledger.config.complaints import complain
from ledger.config.interpolate import interpolate
from ledger.config.overlay import CONFIG, overlay
from ledger.config.settings import Settings
from ledger.config.yaml_text import Document, Place, read_yaml
from ledger.core.refusal import Misconfigured

DEFAULT_FILE: Final = Path("jobledger.yaml")


def load_settings(path: Path | None, env: Mapping[str, str]) -> Settings:
    """The settings of the file at `path`, else of the one that JOBLEDGER_CONFIG names, else of `jobledger.yaml` here, overlaid by the
    environment. No file is an error: a worker in the wrong folder would retire every system job. Raises `Misconfigured`."""
    document = read_yaml(find_file(path, env))
    values, origins = overlay(interpolate(document, env), env)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise complain(error, values, lambda place: _where(document, origins, place)) from None


def find_file(path: Path | None, env: Mapping[str, str]) -> Path:
    """Which file it is. Raises `Misconfigured` if there is none."""
    wanted = path or (Path(named) if (named := env.get(CONFIG)) else DEFAULT_FILE)
    if wanted.is_file():
        return wanted
    if path is None and CONFIG not in env:
        raise Misconfigured(f"there is no {DEFAULT_FILE} in {Path.cwd()}: go where it is, or name it by --config or {CONFIG}")
    raise Misconfigured(f"there is no file {wanted}" + (f" (named by {CONFIG})" if path is None else ""))


def _where(document: Document, origins: Mapping[Place, str], place: Place) -> str:
    for length in range(len(place), 0, -1):
        if (variable := origins.get(place[:length])) is not None:
            return f"environment variable {variable}"
        if place[:length] in document.lines:
            break
    return document.where(place)

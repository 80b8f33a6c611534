"""Settings out of texts, as files in a folder."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.config.loading import Loaded
from ledger.config.loading import load as load_all
from ledger.core.refusal import Misconfigured

FILE = "jobledger.yaml"


def loaded(folder: Path, text: str | bytes, profiles: Mapping[str, str] | None = None, /, file_name: str = FILE, **env: str) -> Loaded:
    """`profiles`: files beside it, all of them asked for in order unless the environment says which."""
    file = folder / file_name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for profile, said in (profiles or {}).items():
        file.with_name(f"{file.stem}-{profile}{file.suffix}").write_text(said)
    asked = {"JOBLEDGER_PROFILES": ",".join(profiles)} if profiles else {}
    return load_all(file, {**asked, **env})


def load(folder: Path, text: str | bytes, profiles: Mapping[str, str] | None = None, /, **env: str) -> Settings:
    return loaded(folder, text, profiles, **env).settings


def refused(folder: Path, text: str | bytes, profiles: Mapping[str, str] | None = None, /, **env: str) -> str:
    """What a mistake is told, without the folder."""
    with pytest.raises(Misconfigured) as error:
        loaded(folder, text, profiles, **env)
    return str(error.value).replace(f"{folder}/", "")

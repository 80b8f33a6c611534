"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}` in the values of a file; `$${` is a plain `${`."""

import re
from collections.abc import Mapping
from typing import Final

from ledger.config.yaml_text import Document, Place
from ledger.core.refusal import Misconfigured

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\})?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET: Final = re.compile(r"SECRET|PASSW|TOKEN|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)


def interpolate(document: Document, env: Mapping[str, str]) -> dict[str, object]:
    """The values of `document` with every reference replaced. Raises `Misconfigured` with file, line and key."""
    return {key: _replaced(value, (key,), document, env) for key, value in document.values.items()}


def _replaced(value: object, place: Place, document: Document, env: Mapping[str, str]) -> object:
    match value:
        case str() if "${" in value:
            return _REFERENCE.sub(lambda found: _resolved(found, place, document, env), value)
        case list():
            return [_replaced(one, (*place, index), document, env) for index, one in enumerate(value)]
        case dict():
            return {key: _replaced(one, (*place, key), document, env) for key, one in value.items()}
    return value


def _resolved(found: re.Match[str], place: Place, document: Document, env: Mapping[str, str]) -> str:
    if found[0] == "$${":
        return "${"
    where = f"{document.where(place)}: {key_of(place)}"
    if found[2] is None:
        raise Misconfigured(f"{where}: `{found[0]}` has no closing brace; write `$${{` for a plain `${{`")
    name, colon, rest = found[1].partition(":")
    if _NAME.fullmatch(name) is None or (colon and rest[:1] not in ("-", "?")):
        raise Misconfigured(
            f"{where}: `{found[0]}` is none of ${{VAR}}, ${{VAR:-default}} and ${{VAR:?message}}; write `$${{` for a plain `${{`"
        )
    if "data" in place and place[0] == "system_jobs" and _SECRET.search(name):
        raise Misconfigured(
            f"{where}: {name} looks like a secret, and the data of a job stays in the log for ever: "
            "put the name of the variable there and read it in the handler"
        )
    if set_to := env.get(name):
        return set_to
    if rest[:1] == "-":
        return rest[1:]
    if rest[:1] == "?":
        raise Misconfigured(f"{where}: {rest[1:] or f'{name} has to be set'} (environment variable {name})")
    if name in env:
        return ""
    raise Misconfigured(f"{where}: the environment variable {name} is not set: set it, or write ${{{name}:-a default}}")


def key_of(place: Place) -> str:
    """A place as people write it: `system_jobs[0].cron`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(the whole file)"

"""The JSON Schema of `jobledger.yaml`, for editors: keys, choices and what they mean. A value may be a reference, `${VAR:-4}`, anywhere.

A first line `# yaml-language-server: $schema=jobledger.schema.json` makes an editor use it.
"""

from typing import Final

from ledger.config.settings import Settings

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REFERENCE: Final[dict[str, object]] = {"type": "string", "pattern": r"\$\{"}
_NOISE: Final = frozenset({"title", "default", "format", "writeOnly"})
_VALUES: Final = frozenset({"examples", "const", "enum", "required"})
_PLAIN_TEXT: Final = frozenset({"string", "array", "object"})


def settings_schema() -> dict[str, object]:
    """Of our own layout; a file with a `jobsConfig:` root is checked by `jobledger config check` alone."""
    made = Settings.model_json_schema(by_alias=True)
    definitions: dict[str, object] = made.pop("$defs")
    definitions = {name: _open(one) for name, one in definitions.items()}
    root = _open(made)
    definitions["Settings"] = root
    definitions["SoftkitJobs"] = {"type": "object", "description": "The layout of @softkit/jobs, read as it is."}
    return {
        "$schema": DIALECT,
        "title": "jobledger.yaml",
        "description": "The settings of jobledger.",
        "type": "object",
        "if": {"required": ["jobsConfig"]},
        "then": {"properties": {"jobsConfig": {"$ref": "#/$defs/SoftkitJobs"}}},
        "else": {"$ref": "#/$defs/Settings"},
        "$defs": definitions,
    }


def _open(node: object) -> object:
    """The same, open for references where a number, a choice or a text with a pattern is expected, and for sections left empty."""
    if isinstance(node, list):
        return [_open(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: value if key in _VALUES else _open(value) for key, value in node.items() if key not in _NOISE}
    if isinstance(default := node.get("default"), str | int | float) and node.get("format") != "password":
        made["default"] = default
    for keyword in ("properties", "patternProperties"):
        if isinstance(inside := node.get(keyword), dict):
            made[keyword] = {key: _with_reference(_open(one)) for key, one in inside.items()}
    return made


def _with_reference(node: object) -> object:
    assert isinstance(node, dict)
    kept = {key: node[key] for key in ("description", "default", "examples") if key in node}
    rest = {key: value for key, value in node.items() if key not in kept}
    choices = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    if rest == {} or (rest.get("type") in _PLAIN_TEXT and not rest.keys() & {"pattern", "enum", "const"}):
        extra: list[object] = [{"type": "null"}] if rest.get("type") in ("array", "object") else []
    else:
        extra = [{"type": "null"} if "$ref" in rest else REFERENCE]
    extra = [one for one in extra if one not in choices]
    return {**kept, "anyOf": [*choices, *extra]} if extra else node

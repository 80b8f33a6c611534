"""As much of JSON Schema as the schema of the settings uses; an unknown keyword is an error, so none is passed over."""

import re
from collections.abc import Mapping

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
SILENT = {"description", "default", "examples", "title", "$schema", "$defs"}


def faults(value: object, schema: Mapping[str, object], root: Mapping[str, object], place: str = "") -> list[str]:
    """What does not fit, by place."""
    found: list[str] = []
    for keyword, said in schema.items():
        if keyword not in SILENT and keyword not in ("then", "else"):
            found += [f"{place}: {keyword}" if one == "" else one for one in _of(keyword, said, value, schema, root, place)]
    return found


def _of(keyword: str, said: object, value: object, schema: Mapping[str, object], root: Mapping[str, object], place: str) -> list[str]:
    match keyword, said:
        case "$ref", str():
            definitions = root["$defs"]
            assert isinstance(definitions, dict)
            return faults(value, definitions[said.removeprefix("#/$defs/")], root, place)
        case "type", str():
            return [] if isinstance(value, TYPES[said]) and (said == "boolean" or not isinstance(value, bool)) else [""]
        case "anyOf", list():
            return [] if any(not faults(value, one, root, place) for one in said) else [""]
        case "if", dict():
            branch = schema.get("else" if faults(value, said, root) else "then", {})
            assert isinstance(branch, dict)
            return faults(value, branch, root, place)
        case "enum", list():
            return [] if value in said else [""]
        case "const", _:
            return [] if value == said else [""]
        case "pattern", str():
            return [] if not isinstance(value, str) or re.search(said, value) else [""]
        case "minimum", int() | float():
            return [] if not isinstance(value, int | float) or value >= said else [""]
        case "maximum", int() | float():
            return [] if not isinstance(value, int | float) or value <= said else [""]
        case "minItems", int():
            return [] if not isinstance(value, list) or len(value) >= said else [""]
        case "required", list():
            return [] if not isinstance(value, dict) or all(name in value for name in said) else [""]
        case "properties" | "patternProperties", dict():
            pairs = value.items() if isinstance(value, dict) else ()
            fitting = [(key, one, inner) for key, one in pairs for name, inner in said.items() if _fits(keyword, name, key)]
            return [fault for key, one, inner in fitting for fault in faults(one, inner, root, f"{place}.{key}")]
        case "additionalProperties", False:
            known = schema.get("properties", {})
            assert isinstance(known, dict)
            return [f"{place}.{key}: not there" for key in value if key not in known] if isinstance(value, dict) else []
        case "items", dict():
            return (
                [fault for n, one in enumerate(value) for fault in faults(one, said, root, f"{place}[{n}]")]
                if isinstance(value, list)
                else []
            )
    raise NotImplementedError(keyword)


def _fits(keyword: str, name: str, key: str) -> bool:
    return name == key if keyword == "properties" else re.search(name, key) is not None

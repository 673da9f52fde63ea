"""As much of JSON Schema 2020-12 as our schema of events uses; a keyword that is not known here is an error.

It is apart from pydantic, which wrote the schema: what it finds is what a validator of another language would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
SAYS_NOTHING = {"$schema", "$defs", "title", "description", "default", "discriminator"}
KNOWN = {
    *SAYS_NOTHING,
    "$ref", "oneOf", "anyOf", "type", "const", "enum", "required", "properties", "additionalProperties", "items",
}  # fmt: skip


def violations(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str = "$") -> list[str]:
    """Each way in which the value is not as the schema says."""
    assert not schema.keys() - KNOWN, f"keywords that are not known here: {schema.keys() - KNOWN}"
    found: list[str] = []
    if "$ref" in schema:
        found += violations(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, where)
    for keyword in {"oneOf", "anyOf"} & schema.keys():
        fits = [part for part in schema[keyword] if not violations(value, part, root, where)]
        if not fits or (keyword == "oneOf" and len(fits) > 1):
            found.append(f"{where}: {len(fits)} of {keyword} fit")
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [*found, f"{where}: no {kind}: {value!r}"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: none of {schema['enum']}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{where}: no {name}" for name in schema.get("required", ()) if name not in value]
        if schema.get("additionalProperties") is False:
            found += [f"{where}: {name} is unknown" for name in value if name not in properties]
        for name, part in properties.items():
            if name in value:
                found += violations(value[name], part, root, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            found += violations(item, schema["items"], root, f"{where}[{number}]")
    return found

"""The table of keys as a JSON schema (2020-12)."""

from __future__ import annotations

from typing import Any

from photonbuild.installer.kickstart.keys import KICKSTART
from photonbuild.installer.kickstart.kinds import (
    FLAGS,
    Choice,
    Either,
    Field,
    Flag,
    Items,
    Kind,
    Names,
    Number,
    Record,
    Refused,
    Text,
)


def jsonschema() -> dict[str, Any]:
    """The schema of a whole kickstart."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kickstart",
        **_schema(KICKSTART),
        "oneOf": [{"required": ["disk"]}, {"required": ["disks"]}],
    }


def _schema(kind: Kind) -> dict[str, Any]:
    match kind:
        case Text():
            return {"type": "string", **({"pattern": f"^(?:{kind.pattern})$"} if kind.pattern else {})}
        case Number():
            limit = {} if kind.maximum is None else {"maximum": kind.maximum}
            number = {"type": "integer", "minimum": kind.minimum, **limit}
            return {"anyOf": [number, {"type": "string", "pattern": "^[0-9]{1,9}$"}]} if kind.digits else number
        case Flag():
            words = [form(word) for word in FLAGS for form in (str.lower, str.title, str.upper)]
            return {"enum": [True, False, *words, *([0, 1, "0", "1"] if kind.numbers else [])]}
        case Choice():
            return {"enum": list(kind.values)}
        case Items():
            return {"type": "array", "items": _schema(kind.of), **({"minItems": kind.minimum} if kind.minimum else {})}
        case Names():
            return {
                "type": "object",
                "propertyNames": _schema(kind.key),
                "additionalProperties": _schema(kind.of),
            }
        case Either():
            return {"anyOf": [_schema(kind.short), _schema(kind.record)]}
        case Refused():
            return {"not": {}, "description": f"not supported: {kind.reason}"}
        case Record():
            required = [field.name for field in kind.fields if field.required]
            return {
                "type": "object",
                "properties": {field.name: _described(field) for field in kind.fields},
                "additionalProperties": False,
                **({"required": required} if required else {}),
            }


def _described(field: Field) -> dict[str, Any]:
    doc = field.doc or (f"without effect: {field.instead}" if field.instead else "")
    return {**_schema(field.kind), **({"description": doc} if doc else {})}

"""YAML files to frozen models; every mistake is reported with file and line, all of a file at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from photonbuild.documents import Document, Problem, fail, nearest, read


class Model(BaseModel):
    """Base of everything read from a file: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Names = tuple[Name, ...]
M = TypeVar("M", bound=BaseModel)
Location = tuple[int | str, ...]


def validate(document: Document, model: type[M]) -> M:
    """Check the data against `model`. Raises one ConfigError that lists every mistake."""
    if not isinstance(document.data, dict):
        raise fail(document.name, [Problem(line=1, message="a mapping of keys to values is expected")])
    try:
        # JSON is the strict mode in which a list may fill a tuple and a string a path.
        return model.model_validate_json(json.dumps(document.data, default=str))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=True)
        raise fail(document.name, [_problem(document, model, detail) for detail in details]) from None


def load(path: Path, model: type[M], *, name: str | None = None) -> M:
    """`read` and `validate` in one step."""
    return validate(read(path, name=name), model)


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    loc = detail["loc"]
    kind, key, context = detail["type"], ".".join(str(e) for e in loc), detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        refused = {name: why for node in _nodes(model, loc[:-1]) for name, why in node.get("refused", {}).items()}
        if loc[-1] in refused:
            return Problem(line=document.line(loc, key=True), message=f"key '{key}': {refused[loc[-1]]}")
        return Problem(
            line=document.line(loc, key=True),
            message=f"unknown key '{loc[-1]}'{nearest(str(loc[-1]), known)}",
        )
    if kind == "missing":
        return Problem(line=document.line(loc[:-1]), message=f"key '{loc[-1]}' is missing")
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        expected = context.get("expected", context.get("expected_tags", ""))
        names = re.findall(r"'([^']*)'", str(expected))
        value = detail["input"]
        if kind == "union_tag_invalid":
            value, loc = context.get("tag", ""), (*loc, str(context.get("discriminator", "")).strip("'"))
            key = ".".join(str(e) for e in loc)
        return Problem(
            line=document.line(loc),
            message=f"key '{key}': unknown value '{value}'{nearest(str(value), names)} (one of: {', '.join(names)})",
        )
    if kind == "union_tag_not_found":
        discriminator = str(context.get("discriminator", "")).strip("'")
        return Problem(line=document.line(loc), message=f"key '{key}': key '{discriminator}' is missing")
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    return Problem(line=document.line(loc), message=f"key '{key}': {message}" if key else message)


def _known_keys(model: type[BaseModel], loc: Location) -> list[str]:
    """Names that are valid at `loc`."""
    return sorted({name for node in _nodes(model, loc) for name in node.get("properties", {})})


def _nodes(model: type[BaseModel], loc: Location) -> list[dict[str, Any]]:
    """What the JSON schema says of `loc`, along which it is walked. Keys of `refused` there: why they cannot be."""
    schema = model.model_json_schema()
    definitions: dict[str, Any] = schema.get("$defs", {})
    current = [schema]
    for element in loc:
        following: list[Any] = []
        for node in _expand(current, definitions):
            if isinstance(element, str) and element in node.get("properties", {}):
                following.append(node["properties"][element])
            elif isinstance(element, int) and "items" in node:
                following.append(node["items"])
            elif isinstance(element, str) and isinstance(node.get("additionalProperties"), dict):
                following.append(node["additionalProperties"])
            elif isinstance(element, str) and _is_tag(node, element):
                following.append(node)
        current = following or current
    return list(_expand(current, definitions))


def _is_tag(node: dict[str, Any], tag: str) -> bool:
    return any(value.get("const") == tag for value in node.get("properties", {}).values())


def _expand(nodes: Iterable[dict[str, Any]], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        if "$ref" in node:
            yield from _expand([definitions[node["$ref"].rsplit("/", 1)[1]]], definitions)
        elif "anyOf" in node or "oneOf" in node:
            yield from _expand(node.get("anyOf", node.get("oneOf", [])), definitions)
        else:
            yield node

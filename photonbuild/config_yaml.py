"""YAML files to frozen models; every mistake is reported with file and line, all of a file at once.

Plain YAML 1.2 scalars only: ``true`` and ``false`` are booleans, ``yes``, ``on`` and dates are strings.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from photonbuild.errors import ConfigError


class Model(BaseModel):
    """Base of everything read from a file: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


M = TypeVar("M", bound=BaseModel)
Location = tuple[int | str, ...]


class _Loader(yaml.SafeLoader):
    """Safe loader with the scalar types of JSON."""

    yaml_implicit_resolvers = {}  # noqa: RUF012


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$"), list("-0123456789")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: the line it is on (1-based) and what is wrong, in words."""

    line: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """One parsed file: its data, and the node tree that knows the lines."""

    name: str
    node: yaml.Node | None
    data: Any

    def line(self, loc: Sequence[int | str], *, key: bool = False) -> int:
        """Line of the value at `loc` (of its key when `key`); elements not in the file are skipped."""
        node, line = self.node, 1
        if node is not None:
            line = node.start_mark.line + 1
        for element in loc:
            found = _child(node, element)
            if found is not None:
                key_node, node = found
                line = (key_node if key else node).start_mark.line + 1
        return line

    def where(self, *loc: int | str, key: bool = False) -> str:
        return f"{self.name}:{self.line(loc, key=key)}"


def _child(node: yaml.Node | None, element: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(element):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(element, int) and element < len(node.value):
        return node.value[element], node.value[element]
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'?``-style suffix naming the nearest of `known`, or an empty string."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'" if close else ""


def fail(name: str, problems: Sequence[Problem]) -> ConfigError:
    """The error for all `problems` of the file `name`, in the order of its lines."""
    lines = [f"{name}:{p.line}: {p.message}" for p in sorted(problems, key=lambda p: p.line)]
    if len(lines) == 1:
        return ConfigError(problems[0].message, where=f"{name}:{problems[0].line}")
    return ConfigError(f"{len(lines)} mistakes", where=name, detail="\n".join(lines))


def read(path: Path, *, name: str | None = None) -> Document:
    """Parse one file without validating it. `name` is what messages call it.

    Raises ConfigError when the file is missing (naming the nearest one beside it), is no YAML or repeats
    a key.
    """
    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(f"file not found{nearest(path.name, siblings)}", where=name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=name) from None
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            problems = list(_structure_problems(node))
            if problems:
                raise fail(name, problems)
            data = {} if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise fail(name, [Problem(line=line, message=f"not valid YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise fail(name, [Problem(line=1, message=f"not valid YAML: {error}")]) from None
    return Document(name=name, node=node, data=data)


def _structure_problems(node: yaml.Node | None) -> Iterator[Problem]:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _structure_problems(child)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield Problem(line=line, message="a key must be plain text")
            continue
        if key.value in seen:
            yield Problem(line=line, message=f"key '{key.value}' is already set in line {seen[key.value]}")
        seen.setdefault(key.value, line)
        yield from _structure_problems(value)


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
    return Problem(line=document.line(loc), message=f"key '{key}': {message[:1].lower()}{message[1:]}")


def _known_keys(model: type[BaseModel], loc: Location) -> list[str]:
    """Names that are valid at `loc`: the JSON schema is walked along it."""
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
    return sorted({name for node in _expand(current, definitions) for name in node.get("properties", {})})


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

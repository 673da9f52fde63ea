"""YAML and JSON files with the line of every value; what is wrong with one is said with file and line, all at once.

Plain YAML 1.2 scalars only: ``true`` and ``false`` are booleans, ``yes``, ``on`` and dates are strings. The standard
library and PyYAML only: the installer on the live medium reads its kickstart with this module.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from photonbuild.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Safe loader with the scalar types of JSON."""

    yaml_implicit_resolvers = {}  # noqa: RUF012


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$"), list("-0123456789")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])

TOO_DEEP = "lists and mappings are in each other too deeply"
# Nodes that aliases may add to those that are written.
REPEATED_LIMIT = 100_000


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


def node_at(document: Document, loc: Sequence[int | str]) -> yaml.Node | None:
    """The node of the value at `loc`, with its place in the text, or None."""
    node = document.node
    for element in loc:
        found = _child(node, element)
        if found is None:
            return None
        node = found[1]
    return node


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
    """Parse one YAML file without validating it. `name` is what messages call it.

    Raises ConfigError when the file is missing (naming the nearest one beside it), is no YAML or repeats
    a key.
    """
    name = name or str(path)
    return parse_yaml(read_text(path, name), name)


def read_text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(f"file not found{nearest(path.name, siblings)}", where=name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=name) from None


class TagError(Exception):
    """What is wrong with a scalar that has a tag, in words."""


def plain_value(text: str) -> Any:
    """The value that a plain scalar with this text has: a number, true, false, nothing, or the text itself."""
    loader = _Loader("")
    try:
        # PyYAML's stubs say nothing of this method.
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return loader.construct_document(yaml.ScalarNode(tag=tag, value=text))
    except ValueError:
        return text
    finally:
        loader.dispose()


def _loader(text: str, tags: Mapping[str, Callable[[str], Any]]) -> _Loader:
    """`tags` makes values of the scalars with a tag of its own; it raises TagError."""

    def construct(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, f"{node.tag} takes a text", node.start_mark)
        try:
            return tags[node.tag](node.value)
        except TagError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None

    class Tagged(_Loader):
        pass

    for tag in tags:
        Tagged.add_constructor(tag, construct)
    return Tagged(text)


def parse_yaml(text: str, name: str, *, tags: Mapping[str, Callable[[str], Any]] | None = None) -> Document:
    """Raises ConfigError when the text is no YAML or repeats a key. `tags`: see `_loader`."""
    try:
        loader = _loader(text, tags or {})
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
    except RecursionError:
        raise fail(name, [Problem(line=1, message=TOO_DEEP)]) from None
    except ValueError as error:
        # Of int(), which takes no more than some thousand digits.
        raise fail(name, [Problem(line=1, message=f"not valid YAML: {error}")]) from None
    _require_text(data, name)
    return Document(name=name, node=node, data=data)


def parse_json(text: str, name: str) -> Document:
    """Raises ConfigError with line and column when the text is no JSON, or when it repeats a key."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise ConfigError(message, where=f"{name}:{error.lineno}:{error.colno}") from None
    except RecursionError:
        raise fail(name, [Problem(line=1, message=TOO_DEEP)]) from None
    except ValueError as error:
        raise fail(name, [Problem(line=1, message=f"not valid JSON: {error}")]) from None
    _require_text(data, name)
    try:
        # YAML's own parser knows the lines. It takes no tabs; in valid JSON they are only between the words.
        node = yaml.compose(text.replace("\t", " "), Loader=_Loader)
    except (yaml.YAMLError, RecursionError):
        node = None
    problems = list(_structure_problems(node))
    if problems:
        raise fail(name, problems)
    return Document(name=name, node=node, data=data)


def _require_text(data: Any, name: str) -> None:
    """Escapes can make half a character, which no file can hold. Raises ConfigError."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise fail(name, [Problem(line=1, message="half a character is escaped, which is no text")]) from None


def _structure_problems(node: yaml.Node | None) -> Iterator[Problem]:
    sizes: dict[int, int] = {}
    if node is not None and _expanded(node, sizes) > len(sizes) + REPEATED_LIMIT:
        yield Problem(line=node.start_mark.line + 1, message="its aliases stand for more than is reasonable")
    else:
        yield from _mapping_problems(node, set())


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Nodes below and with `node`, each counted as often as an alias names it; `sizes` has each once, by its id."""
    if id(node) not in sizes:
        # What contains itself has no end.
        sizes[id(node)] = sys.maxsize
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = (child if isinstance(child, tuple) else (child,) for child in children)
        sizes[id(node)] = 1 + sum(_expanded(each, sizes) for pair in pairs for each in pair)
    return sizes[id(node)]


def _mapping_problems(node: yaml.Node | None, done: set[int]) -> Iterator[Problem]:
    """Keys that are given twice or are no text."""
    if id(node) in done:
        return
    done.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _mapping_problems(child, done)
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
        yield from _mapping_problems(value, done)

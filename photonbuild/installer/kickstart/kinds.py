"""Kinds of values in a kickstart, checked without pydantic, unlike photonbuild.config: the medium has only PyYAML.

Published keys can be refused by name and reason, and the same fields write the JSON schema and the reference page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from photonbuild.documents import nearest
from photonbuild.installer.kickstart.urls import redacted

Location = tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Text:
    """A string. `pattern` is matched in full; `check` returns what is wrong in words; `expected` names what is right.

    A `secret` is not repeated in messages.
    """

    pattern: str = ""
    expected: str = "a text"
    check: Callable[[str], str | None] | None = None
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Number:
    """An integer within limits; with `digits` as a text too."""

    minimum: int
    maximum: int | None = None
    digits: bool = False


# As YAML 1.1 has them, which the published kickstarts are written in; any case.
FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A boolean, or one of the words for it; with `numbers` 0 and 1 as well."""

    numbers: bool = False

    def value(self, given: Any) -> bool | None:
        """What is meant, or None."""
        if isinstance(given, bool):
            return given
        if isinstance(given, str) and given.lower() in FLAGS:
            return FLAGS[given.lower()]
        return bool(int(given)) if self.numbers and given in (0, 1, "0", "1") else None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of a few values. `refused` are published ones that are not supported, each with the reason."""

    values: tuple[str | int, ...]
    refused: tuple[tuple[str | int, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list of `of`."""

    of: Kind
    minimum: int = 0


@dataclass(frozen=True, kw_only=True)
class Names:
    """A mapping of freely chosen keys to `of`; `label` is what the documentation calls such a key."""

    key: Text
    of: Kind
    label: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """A mapping with known keys."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, kw_only=True)
class Either:
    """A text as a short form, or a record or list."""

    short: Text
    record: Record | Items


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A published key that is not supported: why, and what to do instead."""

    reason: str


Kind = Text | Number | Flag | Choice | Items | Names | Record | Either | Refused


@dataclass(frozen=True, kw_only=True)
class Field:
    """One key: its values, its documentation (Markdown), and an example.

    A key with `instead` is accepted and has no effect: what happens instead, in words. `default` is the value of a key
    that is not given, None where there is none. `default_doc` is what the documentation
    says of it when the value itself would not do.
    """

    name: str
    kind: Kind
    doc: str = ""
    required: bool = False
    default: Any = None
    default_doc: str = ""
    example: Any = None
    instead: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One mistake at `loc`; with `key` it is the key that is wrong."""

    loc: Location
    message: str
    key: bool = False


def check(value: Any, kind: Kind, loc: Location = ()) -> Iterator[Fault]:
    """Every mistake in `value`, in the order of the data."""
    match kind:
        case Text():
            yield from _check_text(value, kind, loc)
        case Number():
            yield from _check_number(value, kind, loc)
        case Flag():
            if kind.value(value) is None:
                yield _wrong(value, loc, "true or false is expected")
        case Choice():
            yield from _check_choice(value, kind, loc)
        case Items():
            yield from _check_items(value, kind, loc)
        case Names():
            yield from _check_names(value, kind, loc)
        case Record():
            yield from _check_record(value, kind, loc)
        case Either():
            yield from check(value, kind.short if isinstance(value, str) else kind.record, loc)
        case Refused():
            yield Fault(loc=loc, message=f"key '{loc[-1]}' is not supported: {kind.reason}", key=True)


def with_defaults(value: Any, kind: Kind) -> Any:
    """`value` with the default of every key that is not given, and the words for booleans and numbers as such.

    What is of another kind is left as it is.
    """
    match kind:
        case Flag():
            meant = kind.value(value)
            return value if meant is None else meant
        case Number() if kind.digits and isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            return int(value)
        case Items() if isinstance(value, list):
            return [with_defaults(item, kind.of) for item in value]
        case Names() if isinstance(value, Mapping):
            return {name: with_defaults(item, kind.of) for name, item in value.items()}
        case Either() if not isinstance(value, str):
            return with_defaults(value, kind.record)
        case Record() if isinstance(value, Mapping):
            kinds = {field.name: field.kind for field in kind.fields}
            given = {field.name: field.default for field in kind.fields if field.default is not None} | dict(value)
            return {name: with_defaults(item, kinds[name]) if name in kinds else item for name, item in given.items()}
    return value


def instead(value: Any, kind: Kind, loc: Location = ()) -> Iterator[Fault]:
    """What happens instead of what the keys say that are accepted without effect."""
    match kind:
        case Items() if isinstance(value, list):
            for number, item in enumerate(value):
                yield from instead(item, kind.of, (*loc, number))
        case Names() if isinstance(value, Mapping):
            for name, item in value.items():
                yield from instead(item, kind.of, (*loc, name))
        case Either() if not isinstance(value, str):
            yield from instead(value, kind.record, loc)
        case Record() if isinstance(value, Mapping):
            fields = {field.name: field for field in kind.fields}
            for name, item in value.items():
                if name in fields and fields[name].instead:
                    yield Fault(loc=(*loc, name), message=f"key '{name}': {fields[name].instead}", key=True)
                elif name in fields:
                    yield from instead(item, fields[name].kind, (*loc, name))


def dotted(loc: Location) -> str:
    return redacted(".".join(str(element) for element in loc))


def shown(value: Any) -> str:
    """A value as messages name it."""
    if isinstance(value, str):
        return f"'{redacted(value)}'"
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value)) or json.dumps(value)


def _wrong(value: Any, loc: Location, expected: str) -> Fault:
    name = f"key '{dotted(loc)}': " if loc else ""
    return Fault(loc=loc, message=f"{name}{expected}, not {shown(value)}")


def _check_text(value: Any, kind: Text, loc: Location) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield _wrong(value, loc, f"{kind.expected} is expected")
    elif kind.pattern and not re.fullmatch(kind.pattern, value):
        if kind.secret:
            yield Fault(loc=loc, message=f"key '{dotted(loc)}': {kind.expected} is expected")
        else:
            yield _wrong(value, loc, f"{kind.expected} is expected")
    elif kind.check and (message := kind.check(value)):
        yield Fault(loc=loc, message=f"key '{dotted(loc)}': {message}")


def _check_number(value: Any, kind: Number, loc: Location) -> Iterator[Fault]:
    value = with_defaults(value, kind)
    if isinstance(value, bool) or not isinstance(value, int):
        yield _wrong(value, loc, "an integer is expected")
    elif value < kind.minimum or (kind.maximum is not None and value > kind.maximum):
        limits = f"at least {kind.minimum}" if kind.maximum is None else f"from {kind.minimum} to {kind.maximum}"
        yield _wrong(value, loc, f"an integer {limits} is expected")


def _check_choice(value: Any, kind: Choice, loc: Location) -> Iterator[Fault]:
    if any(value == known and type(value) is type(known) for known in kind.values):
        return
    for name, reason in kind.refused:
        if value == name:
            yield Fault(loc=loc, message=f"key '{dotted(loc)}': '{value}' is not supported: {reason}")
            return
    names = [name for name in kind.values if isinstance(name, str)]
    guess = nearest(value, names) if isinstance(value, str) else ""
    fault = _wrong(value, loc, f"one of {', '.join(names)} is expected")
    yield Fault(loc=loc, message=fault.message + guess)


def _check_items(value: Any, kind: Items, loc: Location) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield _wrong(value, loc, "a list is expected")
        return
    if len(value) < kind.minimum:
        yield Fault(loc=loc, message=f"key '{dotted(loc)}': the list is empty")
    for number, item in enumerate(value):
        yield from check(item, kind.of, (*loc, number))


def _check_names(value: Any, kind: Names, loc: Location) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield _wrong(value, loc, f"a mapping of {kind.label} to values is expected")
        return
    for name, item in value.items():
        for fault in _check_text(name, kind.key, (*loc, name)):
            yield Fault(loc=fault.loc, message=fault.message, key=True)
        yield from check(item, kind.of, (*loc, name))


def _check_record(value: Any, kind: Record, loc: Location) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield _wrong(value, loc, "a mapping of keys to values is expected")
        return
    fields = {field.name: field for field in kind.fields}
    supported = [name for name, field in fields.items() if not isinstance(field.kind, Refused)]
    for name, item in value.items():
        here = (*loc, name)
        if name in fields:
            yield from check(item, fields[name].kind, here)
        else:
            yield Fault(loc=here, message=f"unknown key '{dotted(here)}'{nearest(str(name), supported)}", key=True)
    for field in kind.fields:
        if field.required and field.name not in value:
            yield Fault(loc=loc, message=f"key '{dotted((*loc, field.name))}' is missing")


def fields_of(kind: Kind) -> tuple[Field, ...]:
    """The keys of a record, wherever in `kind` it is."""
    match kind:
        case Record():
            return kind.fields
        case Items():
            return fields_of(kind.of)
        case Names():
            return fields_of(kind.of)
        case Either():
            return fields_of(kind.record)
    return ()

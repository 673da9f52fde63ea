"""Values that are not in a kickstart itself: `!param NAME` of YAML, and `$NAME`, which scripts set before use."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from photonbuild.documents import TagError, nearest, plain_value
from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.kinds import Choice, Either, Items, Kind, Location, Names, Record, Text

TAG = "!param"
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
# Keys whose texts are not replaced.
LITERAL = ("environment",)
# Keys of what is run, or known, before values of the form `$NAME` are.
SOURCES = ("preinstall", "preinstallscripts", "environment")


class Parameters:
    """`!param NAME` or `!param NAME=DEFAULT`: the values that were given, and the names that the file asks for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given, self.asked = given, list[str]()

    def value(self, text: str) -> Any:
        """For photonbuild.documents. Raises TagError."""
        name, equals, default = (part.strip() for part in text.partition("="))
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name):
            raise TagError(f"{TAG} takes a name, or name=default, not '{text}'")
        self.asked.append(name)
        if name not in self.given and not equals:
            raise TagError(
                f"no value for the parameter '{name}': give it with --param {name}=VALUE, on the kernel command line "
                f"with ks.param={name}=VALUE, or write a default, {TAG} {name}=VALUE"
            )
        return plain_value(self.given.get(name, default))

    def require_asked(self, file: str) -> None:
        """Raises KickstartError for a parameter that the file has no use for."""
        for name in self.given:
            if name not in self.asked:
                hint = f"it asks for {', '.join(dict.fromkeys(self.asked)) or 'none'}"
                raise KickstartError(f"no parameter '{name}'{nearest(name, self.asked)}", where=file, hint=hint)


def parameters(words: list[str] | tuple[str, ...], option: str) -> dict[str, str]:
    """NAME=VALUE each. Raises KickstartError."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise KickstartError(f"NAME=VALUE is expected, not '{word}'", where=option)
        found[name] = value
    return found


def name_of(value: Any) -> str:
    """NAME of `$NAME`; empty for anything else. A crypted password begins with `$` too, but not so."""
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else ""


def has_sources(data: Mapping[str, Any]) -> bool:
    return any(data.get(key) for key in SOURCES)


def variables(value: Any, kind: Kind, loc: Location = ()) -> Iterator[tuple[Location, str]]:
    """Where a value of a key is `$NAME`, and NAME. What is in a list, as the lines of a script, is none."""
    match kind:
        case Text() | Choice():
            if loc and isinstance(loc[-1], str) and name_of(value):
                yield loc, name_of(value)
        case Items() if isinstance(value, list):
            for number, item in enumerate(value):
                yield from variables(item, kind.of, (*loc, number))
        case Names() if isinstance(value, Mapping):
            for name, item in value.items():
                yield from variables(item, kind.of, (*loc, name))
        case Either():
            yield from variables(value, kind.short if isinstance(value, str) else kind.record, loc)
        case Record() if isinstance(value, Mapping):
            for field in kind.fields:
                if field.name in value and (*loc, field.name) != LITERAL:
                    yield from variables(value[field.name], field.kind, (*loc, field.name))


def replaced(data: Any, values: Mapping[Location, str]) -> Any:
    """A copy with these values in their places."""
    made = copy.deepcopy(data)
    for loc, value in values.items():
        inner = made
        for element in loc[:-1]:
            inner = inner[element]
        inner[loc[-1]] = value
    return made

"""What an image is called on the command line: a path with an image in it, or the name of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pico.errors import PicoError

SCHEMES = ("oci-archive:", "docker-archive:", "oci:")
REMOTE = "docker://"
LONGEST = 500
# Grammar of https://github.com/distribution/reference
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(
    rf"(?:(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?|\[[0-9a-f:]+\](?::[0-9]+)?)/)?{COMPONENT}(?:/{COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """`text`: the absolute path and tag, or the name with its tag. For a path, `path` and `tag`."""

    kind: Literal["path", "registry"]
    text: str
    path: Path | None = None
    tag: str | None = None

    @property
    def has_host(self) -> bool:
        """Does the name say which registry? There is no default one."""
        first, slash, _ = self.text.partition("/")
        return bool(slash) and ("." in first or ":" in first or first == "localhost")

    def state(self) -> list[Any]:
        """Of a path its device, inode, size and time; [] for a name, which means what was pulled."""
        if self.path is None:
            return []
        path = self.path / "index.json" if self.path.is_dir() else self.path
        try:
            found = path.stat()
        except FileNotFoundError:
            return [None]
        return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def parse(text: str) -> Reference:
    """Understand a reference. A path that exists is taken as such, unless it begins with ``docker://``.

    Raises PicoError.
    """
    if text.startswith(REMOTE):
        return by_name(text.removeprefix(REMOTE))
    for scheme in SCHEMES:
        if text.startswith(scheme):
            found = _path(text.removeprefix(scheme))
            if found is None:
                raise PicoError("there is no such file or folder", where=text.removeprefix(scheme))
            return found
    found = _path(text)
    if found is not None:
        return found
    if text.startswith(("/", "./", "../", "~")):
        raise PicoError("there is no such file or folder", where=text)
    return by_name(text)


def _path(text: str) -> Reference | None:
    """A path that exists, also with ``:TAG`` after it."""
    base, colon, tag = text.rpartition(":")
    candidates: list[tuple[str, str | None]] = [(text, None)]
    if colon and base:
        candidates.append((base, tag))
    for name, wanted in candidates:
        path = Path(name)
        if path.is_file() or (path / "oci-layout").is_file() or (path / "index.json").is_file():
            full = path.resolve()
            return Reference(kind="path", text=f"{full}{':' + wanted if wanted else ''}", path=full, tag=wanted)
    return None


def by_name(name: str) -> Reference:
    """A name of an image, wherever it is. Raises PicoError."""
    if len(name) > LONGEST or not NAME.fullmatch(name):
        raise PicoError(f"'{name[:LONGEST]}' is neither a file here nor the name of an image")
    last = name.rpartition("/")[2]
    if set(name) <= set("0123456789abcdef") and len(name) >= 6:
        return Reference(kind="registry", text=name)
    return Reference(kind="registry", text=name if ":" in last or "@" in last else f"{name}:latest")

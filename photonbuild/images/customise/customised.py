"""What is put into a root besides its packages, as one value; its digests; and its form for the program inside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from photonbuild.images.customise.entries import Entry
from photonbuild.images.rootfs import UnitSetting

CONTENT = "content"  # the folder of the workspace that contents are in, by their SHA-256


@dataclass(frozen=True, kw_only=True)
class GroupSetting:
    """A group to make."""

    name: str
    gid: int
    where: str


@dataclass(frozen=True, kw_only=True)
class UserSetting:
    """An account to make, or one of a package's, to which `said` is all that may be added.

    `uid` is for a new one. `group` is the name of its first group, made with the id `uid` where it is its own.
    """

    name: str
    uid: int
    group: str
    own_group: bool
    groups: Sequence[str]
    comment: str
    home: str
    shell: str
    password: str | None
    authorized_keys: Sequence[str]
    said: Sequence[str]
    where: str


@dataclass(frozen=True, kw_only=True)
class Need:
    """What an image has to have for a setting to mean something. `kind`: file, locale or module.

    `why`: the setting, in words. `use`, of a module: load, deny or options.
    """

    kind: str
    name: str
    why: str
    where: str
    use: str = ""


@dataclass(frozen=True, kw_only=True)
class Script:
    """A program that runs in the finished root, by its path in ``build/``."""

    name: str
    sha256: str
    content: bytes
    where: str


@dataclass(frozen=True, kw_only=True)
class Customised:
    """All of it, in the order in which it is put in. `owners`: those of files that the settings name themselves."""

    groups: Sequence[GroupSetting] = ()
    users: Sequence[UserSetting] = ()
    entries: Sequence[Entry] = ()
    owners: Sequence[tuple[str, str, str]] = ()
    scripts: Sequence[Script] = ()
    remove: Sequence[tuple[str, str]] = ()
    needs: Sequence[Need] = ()
    units: Sequence[UnitSetting] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        return not any(getattr(self, name) for name in self.__dataclass_fields__)

    def request(self) -> dict[str, Any]:
        """The form for inside/customise.py."""
        return {
            "groups": [asdict(group) for group in self.groups],
            "users": [asdict(user) for user in self.users],
            "entries": [
                {name: getattr(entry, name) for name in Entry.__dataclass_fields__ if name != "make"}
                for entry in self.entries
            ],
            "owners": [list(owner) for owner in self.owners],
            "scripts": [{"name": s.name, "sha256": s.sha256, "where": s.where} for s in self.scripts],
            "remove": [{"pattern": pattern, "where": where} for pattern, where in self.remove],
            "needs": [asdict(need) for need in self.needs],
        }

    def digests(self) -> dict[str, str]:
        """What decides on the bytes that come of it, by part: no line of a file, and no crypted password."""
        request = _without_places(self.request())
        entries, scripts = request.pop("entries"), request.pop("scripts")
        return {
            **{part: _digest(value) for part, value in request.items() if value},
            **{entry["path"]: _digest(entry) for entry in entries},
            **{f"script {script['name']}": script["sha256"] for script in scripts},
        }

    def stage(self, folder: Path) -> None:
        """Write every content into the new folder CONTENT of a workspace. Raises ConfigError where one has changed."""
        target = folder / CONTENT
        target.mkdir(mode=0o700)
        for entry in self.entries:
            if entry.make is not None and not (target / entry.sha256).exists():
                entry.make(target / entry.sha256)
        for script in self.scripts:
            (target / script.sha256).write_bytes(script.content)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items() if key != "where"}
    return [_without_places(item) for item in value] if isinstance(value, list | tuple) else value

"""What a folder of the store holds, file by file, put down when it was finished: so that damage is found before use.

Looked at are names, kinds, modes, sizes and times whenever it is used; digests too for the first time after each start
of the machine, since a power loss may have taken what had a name already, and wherever a time has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonbuild.files import read_sealed, sealed, sha256_of, write_json

LIST, BOOT = "contents.json", "contents.boot"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# [kind and mode, size or target of a link, modification time in ns, SHA-256]; the last two of regular files only.
Row = list[Any]
Rows = Mapping[str, Row]


def list_of(entry: Path) -> Path:
    """Where the list of an entry is: in it, or beside it when it is a root file system with nothing else in it."""
    return entry.with_name(f"{entry.name}.{LIST}") if "seeds" in entry.parts[-3:-1] else entry / LIST


def record(folder: Path, entry: Path | None = None) -> None:
    """Put down what the folder holds, which is or will be `entry`."""
    rows = survey(folder, digests=True)
    write_json(list_of(entry or folder), sealed({"files": rows}), durable=entry is not None)
    _remember(entry or folder, rows)


def damage(entry: Path) -> str | None:
    """What is wrong with an entry, or None. An entry without a list is of an older version: it is given one."""
    found = survey(entry, digests=False)
    if list_of(entry).exists() and read_sealed(_checked(entry)) == _state(found):
        return None
    known = read_sealed(list_of(entry))
    if known is None:
        if list_of(entry).exists():
            return f"{LIST} is damaged"
        record(entry)
        return None
    if wrong := _difference(known["files"], found, columns=2):
        return wrong
    found = survey(entry, digests=True)
    if wrong := _difference(_without_times(known["files"]), _without_times(found), columns=3):
        return wrong
    if _difference(known["files"], found, columns=3):
        write_json(list_of(entry), sealed({"files": found}))
    _remember(entry, found)
    return None


def is_checked(entry: Path) -> bool:
    """Have all digests been looked at since this machine was started?"""
    record = read_sealed(_checked(entry))
    return record is not None and record.get("boot") == _boot()


def _remember(entry: Path, rows: Rows) -> None:
    write_json(_checked(entry), sealed(_state(rows)))


def _state(rows: Rows) -> dict[str, str]:
    """That the digests were looked at since this start of the machine, and what names, sizes and times were then."""
    total = hashlib.sha256()
    for name in sorted(rows):
        total.update(f"{name!r} {rows[name][:3]}\n".encode())
    return {"boot": _boot(), "stamps": total.hexdigest()}


def survey(entry: Path, *, digests: bool) -> dict[str, Row]:
    """Every file below a folder by its path, folders included. What we may not read is listed without a digest."""
    own = {str(list_of(entry)), str(_checked(entry))}
    rows: dict[str, Row] = {}
    todo = [""]
    while todo:
        inside = todo.pop()
        for found in _scan(entry / inside):
            if found.path in own:
                continue
            name = f"{inside}{found.name}"
            with contextlib.suppress(FileNotFoundError):
                rows[name] = _row(found, digests=digests)
                if found.is_dir(follow_symlinks=False):
                    todo.append(f"{name}/")
    return rows


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (PermissionError, FileNotFoundError):
        return []


def _row(found: os.DirEntry[str], *, digests: bool) -> Row:
    facts = found.stat(follow_symlinks=False)
    if stat.S_ISLNK(facts.st_mode):
        return [facts.st_mode, os.readlink(found.path)]
    if stat.S_ISREG(facts.st_mode):
        return [facts.st_mode, facts.st_size, facts.st_mtime_ns, _digest(Path(found.path)) if digests else None]
    return [facts.st_mode]


def _digest(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except PermissionError:
        return None


def _difference(known: Rows, found: Rows, *, columns: int) -> str | None:
    if missing := known.keys() - found.keys():
        return f"{min(missing)} is missing"
    if more := found.keys() - known.keys():
        return f"{min(more)} does not belong there"
    changed = [name for name, row in known.items() if row[:columns] != found[name][:columns]]
    return f"{min(changed)} has changed" if changed else None


def _without_times(rows: Rows) -> Rows:
    return {name: [*row[:2], *row[3:]] for name, row in rows.items()}


def _checked(entry: Path) -> Path:
    return list_of(entry).with_name(list_of(entry).name.removesuffix(LIST) + BOOT)


def _boot() -> str:
    return BOOT_ID.read_text(encoding="ascii").strip()

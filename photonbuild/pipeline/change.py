"""A change to several files of the checkout that is made as a whole, also when this process is killed on the way.

What shall be is put down in one file, by rename. From then on the change counts: who finds that file finishes it.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.errors import ConfigError
from photonbuild.files import locked, read_sealed, sealed, sync, sync_folder

JOURNAL, LOCK = ".photonbuild-change.json", ".photonbuild-change.lock"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Files of the checkout with what they shall hold; None: removed. `notes`: what the user has to know."""

    root: Path
    files: Mapping[Path, str | None] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def diff(self) -> str:
        """The change as a unified diff that git apply(1) takes."""
        found: list[str] = []
        for path, new in sorted(self.files.items()):
            name, is_new = str(path.relative_to(self.root)), not path.exists()
            old = "" if is_new else path.read_text(encoding="utf-8")
            found += difflib.unified_diff(
                old.splitlines(keepends=True),
                (new or "").splitlines(keepends=True),
                "/dev/null" if is_new else f"a/{name}",
                "/dev/null" if new is None else f"b/{name}",
            )
        return "".join(found)

    def write(self) -> None:
        """Make the change. Raises ConfigError when another process makes one here."""
        changed = {
            str(path.relative_to(self.root)): new
            for path, new in sorted(self.files.items())
            if new != (path.read_text(encoding="utf-8") if path.exists() else None)
        }
        if not changed:
            return
        with locked(self.root / LOCK, wait=False) as mine:
            if not mine:
                raise ConfigError("another command changes this checkout", where=str(self.root), hint="run this again")
            _finish(self.root)
            _write(self.root / JOURNAL, json.dumps(sealed({"files": changed}), sort_keys=True))
            _finish(self.root)


def finish(root: Path) -> bool:
    """Finish a change whose process was killed; was there one? To be called before the checkout is read."""
    if not (root / JOURNAL).exists():
        return False
    with locked(root / LOCK):
        return _finish(root)


def _finish(root: Path) -> bool:
    journal = root / JOURNAL
    record = read_sealed(journal)
    if record is None:
        if journal.exists():
            hint = "look at git diff, then remove this file"
            raise ConfigError("what a killed command has left cannot be read", where=str(journal), hint=hint)
        return False
    for name, text in record["files"].items():
        path = root / name
        if text is None:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        else:
            _write(path, text)
    journal.unlink()
    sync_folder(root)
    return True


def _write(path: Path, text: str) -> None:
    """As `files.write_text`, by a name that is the same each time: what a killed process leaves is written over."""
    temporary = path.with_name(f".{path.name.lstrip('.')}.change")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    os.replace(temporary, path)
    sync_folder(path.parent)

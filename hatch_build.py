"""Of hatchling: puts into a wheel what a checkout knows, the commit and the distribution itself.

The distribution goes in as one archive: pip compiles each .py file that it installs, and in ``specs/`` any file counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What a project needs of what it extends.
PARTS = ("LICENSE", "build", "kickstarts", "specs", "src")
BUILT, ARCHIVE = "photonbuild/built.json", "photonbuild/distribution.tar.xz"


def git(root: Path, *words: str) -> str | None:
    """What git(1) says of the checkout; None where this is none, as in an unpacked sdist."""
    if not (root / ".git").exists():
        return None
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout


def files(root: Path) -> list[str]:
    """Paths of the distribution's files: what git knows or would add, else all there are."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS)
    if listed is not None:
        return sorted(name for name in set(listed.split("\0")) if name and (root / name).exists())
    found = [path for part in PARTS for path in ((root / part).rglob("*") if (root / part).is_dir() else [root / part])]
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_file() and path.suffix != ".pyc")


def commit(root: Path) -> str | None:
    """The commit of the checkout; in an sdist, the one that it was made from."""
    said = git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    if said is not None:
        return said.strip()
    return json.loads((root / BUILT).read_text())["commit"] if (root / BUILT).exists() else None


def write(root: Path, target: Path) -> dict[str, str]:
    """Make both files in the folder `target`; where each belongs, by its path."""
    sys.path.insert(0, str(root))
    from photonbuild.projects.tree import tree_digest, unpack, write_archive

    archive, built = target / "distribution.tar.xz", target / "built.json"
    write_archive(root, files(root), archive)
    unpack(archive, target / "tree")
    built.write_text(json.dumps({"commit": commit(root), "distribution": tree_digest(target / "tree")}) + "\n")
    return {str(archive): ARCHIVE, str(built): BUILT}


class Hook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self.work = tempfile.TemporaryDirectory(prefix="photonbuild-wheel-")
        made = write(Path(self.root), Path(self.work.name))
        if self.target_name == "sdist":
            # The wheel that is made of it makes its own archive.
            made = {path: name for path, name in made.items() if name == BUILT}
        build_data["force_include"].update(made)

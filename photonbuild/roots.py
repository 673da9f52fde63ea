"""Where the files of a distribution lie: in an ordered list of roots, each with its ``build/`` and ``specs/``.

A checkout is one root. A project lies over another distribution: what both have under the same name is the project's.
Names are paths relative to a root, as ``build/images/iso.yaml`` or ``specs/bash``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUILD, SPECS = "build", "specs"


@dataclass(frozen=True, kw_only=True)
class Root:
    """One folder with build/ and specs/. `label`: what messages put before the names of its files."""

    path: Path
    label: str = ""


@dataclass(frozen=True)
class Roots:
    """`layers`: the user's own root, which is the one that is written to, and below it what it extends."""

    layers: tuple[Root, ...]

    @classmethod
    def of(cls, *paths: Path) -> Roots:
        """Roots without labels, the uppermost first."""
        return cls(tuple(Root(path=path) for path in paths))

    @classmethod
    def around(cls, spec_dir: Path) -> Roots:
        """The one root that ``specs/NAME`` lies in."""
        return cls.of(spec_dir.parent.parent)

    @property
    def own(self) -> Path:
        return self.layers[0].path

    @property
    def below(self) -> Roots:
        """What the user's own root extends; no roots where it extends nothing."""
        return Roots(self.layers[1:])

    def find(self, name: str) -> Path:
        """The file or folder `name` of the uppermost root that has it; where the own root would have it if none has."""
        paths = [root.path / name for root in self.layers]
        return next((path for path in paths if path.exists() or path.is_symlink()), paths[0])

    def all(self, name: str) -> list[Path]:
        """The file `name` of every root that has it, the uppermost last: each may add to those before it."""
        return [path for root in reversed(self.layers) if (path := root.path / name).exists()]

    def entries(self, folder: str, pattern: str = "*") -> Mapping[str, Path]:
        """What lies in the folder of any root, by its name, sorted; of the same name the uppermost."""
        found = {path.name: path for root in reversed(self.layers) for path in (root.path / folder).glob(pattern)}
        return dict(sorted(found.items()))

    def replaced(self, folder: str, pattern: str = "*") -> list[str]:
        """Names in the folder that the own root and one below it have."""
        own = {path.name for path in (self.own / folder).glob(pattern)}
        return sorted(own & self.below.entries(folder, pattern).keys()) if self.layers[1:] else []

    def root_of(self, path: Path) -> Root | None:
        """The root that holds this path, by name alone."""
        absolute = Path(os.path.abspath(path))
        return next((root for root in self.layers if absolute.is_relative_to(os.path.abspath(root.path))), None)

    def where(self, path: Path) -> str:
        """The path for messages: relative to its root, and with what that is called."""
        root = self.root_of(path)
        if root is None:
            return str(path)
        return f"{root.label}{Path(os.path.abspath(path)).relative_to(os.path.abspath(root.path))}"

    def beside(self, spec_dir: Path, name: str) -> tuple[Path, Path]:
        """What the path `name` of a ``sources.yaml`` stands for, and the root it lies in.

        In the folder of the spec it is that file. Outside, as ``../../build/kernel/host.fragment``, it is the one of
        the uppermost root that has it. Each '..' is taken out by name: no link is followed.
        """
        folder = Path(os.path.abspath(spec_dir))
        path, root = Path(os.path.normpath(folder / name)), folder.parent.parent
        if not path.is_relative_to(folder) and path.is_relative_to(root):
            found = Path(os.path.abspath(self.find(str(path.relative_to(root)))))
            holder = self.root_of(found)
            if holder is not None and (found.exists() or found.is_symlink()):
                return found, Path(os.path.abspath(holder.path))
        return path, root

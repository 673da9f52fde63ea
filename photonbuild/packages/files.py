"""Which files a package has, whether they are here or only known from what repositories say of it."""

from __future__ import annotations

import functools
import os
import xml.etree.ElementTree as ElementTree

from photonbuild.packages.built import Built, tree_of
from photonbuild.packages.package import Package


def are_here(built: Built) -> bool:
    """Are the files of a build in the store?"""
    return built.shared is None or built.folder.is_dir()


def holds(built: Built, package: Package, path: str) -> bool:
    """Has a package of this build something of this absolute path?"""
    if built.shared is None:
        return os.path.lexists(f"{tree_of(package)}{path}")
    return path.rstrip("/") in _paths(built.shared.metadata[package.path.name][1])


@functools.lru_cache(4096)
def _paths(filelists: str) -> frozenset[str]:
    """Every path of a package and the folders on the way there. It is of a signed record."""
    listed = {
        element.text or "" for element in ElementTree.fromstring(filelists).iter() if element.tag.endswith("file")
    }
    return frozenset(listed | {path[:end] for path in listed for end in range(1, len(path)) if path[end] == "/"})

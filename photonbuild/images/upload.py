"""The commands that bring a finished image to where it runs, as text. They are printed; nothing here runs them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from photonbuild.config.models import DiskImage, Distribution, Image
from photonbuild.images.formats import FORMATS
from photonbuild.images.publish import ImageResult
from photonbuild.roots import Roots

GIB = 1 << 30


def upload_commands(roots: Roots, image: Image, distribution: Distribution, result: ImageResult) -> str:
    """From ``build/upload/FORMAT.txt.j2``; empty where there is no such file.

    The template gets ``file`` and, by suffix, ``extras``: paths as seen from here, quoted for a shell where needed;
    ``disks``: name, ``size`` and, by suffix, ``files`` of each further one; ``image``, ``distribution``, ``title``,
    ``size`` (whole GiB of the disk) and ``name``, which every cloud takes.
    """
    template = roots.find(f"build/upload/{image.format}.txt.j2")
    if not template.is_file():
        return ""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    size = image.disk.size if isinstance(image, DiskImage) else 0
    disks: list[dict[str, Any]] = []
    own: set[str] = set()
    stem = f"{distribution.prefix}{image.variant}"
    for each in image.disk.disks if isinstance(image, DiskImage) else ():
        names = FORMATS[image.format].names(stem, each.name)
        own |= {*names}
        files = _by_suffix(path for path in result.extras if path.name in names)
        disks.append({"name": each.name, "size": -(-each.size // GIB), "files": files})
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        file=shell_path(result.path),
        extras=_by_suffix(path for path in result.extras if path.name not in own),
        disks=disks,
        image=image,
        distribution=distribution,
        title=f"{distribution.name} {distribution.version}",
        name=re.sub(r"[^a-z0-9]+", "-", f"{distribution.id}-{distribution.version}".lower()),
        size=-(-size // GIB),
    )


def _by_suffix(paths: Iterable[Path]) -> dict[str, str]:
    return {path.suffix.removeprefix("."): shell_path(path) for path in paths}


def shell_path(path: Path) -> str:
    return shlex.quote(os.path.relpath(path))

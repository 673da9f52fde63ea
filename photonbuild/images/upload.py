"""The commands that bring a finished image to where it runs, as text. They are printed; nothing here runs them."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import jinja2

from photonbuild.config.models import DiskImage, Distribution, Image
from photonbuild.images.publish import ImageResult
from photonbuild.roots import Roots

GIB = 1 << 30


def upload_commands(roots: Roots, image: Image, distribution: Distribution, result: ImageResult) -> str:
    """From ``build/upload/FORMAT.txt.j2``; empty where there is no such file.

    The template gets ``file`` and, by suffix, ``extras``: paths as seen from here, quoted for a shell where needed;
    ``image``, ``distribution``, ``title``, ``size`` (whole GiB of the disk) and ``name``, which every cloud takes.
    """
    template = roots.find(f"build/upload/{image.format}.txt.j2")
    if not template.is_file():
        return ""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    size = image.disk.size if isinstance(image, DiskImage) else 0
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        file=shell_path(result.path),
        extras={path.suffix.removeprefix("."): shell_path(path) for path in result.extras},
        image=image,
        distribution=distribution,
        title=f"{distribution.name} {distribution.version}",
        name=re.sub(r"[^a-z0-9]+", "-", f"{distribution.id}-{distribution.version}".lower()),
        size=-(-size // GIB),
    )


def shell_path(path: Path) -> str:
    return shlex.quote(os.path.relpath(path))

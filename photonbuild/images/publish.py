"""A finished image: its files under their names, with checksum and manifest beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from photonbuild.files import sha256_of
from photonbuild.images.installset import MANIFEST_KEYS, Role
from photonbuild.images.request import ImageRequest


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """The published files and what there is to say about them; `seconds` per step, `extras` beside the image."""

    path: Path
    checksum: Path
    manifest: Path
    extras: Sequence[Path] = ()
    sha256: str
    size: int
    seconds: Mapping[str, float]


def manifest(
    request: ImageRequest,
    *,
    file: str,
    sha256: str,
    size: int,
    facts: Mapping[str, str],
    disks: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The manifest of an image: all that is in it, by version and digest, and what it was made from.

    `disks`: name, file, SHA-256 and size of each further disk that has a file of its own.
    """
    distribution = request.distribution
    kernels = ", ".join(Path(kernel).parent.name for kernel in request.rootfs.kernels)
    listed = {role: chosen.listed() for role, chosen in request.sets.items()}
    return {
        "file": file,
        "format": request.image.format,
        "platform": request.image.platform,
        "configured": sorted({*(file.path for file in request.image.files), *request.rootfs.changed}),
        "sha256": sha256,
        "size": size,
        **({"disks": list(disks)} if disks else {}),
        "distribution": {
            "name": distribution.name,
            "id": distribution.id,
            "version": distribution.version,
            "arch": distribution.arch,
        },
        "source_date_epoch": distribution.source_date_epoch,
        "provenance": dict(request.provenance),
        "facts": {"kernel": kernels, **facts},
        **{MANIFEST_KEYS[role]: packages for role, packages in {Role.INITRAMFS: [], **listed}.items()},
    }


def publish(
    request: ImageRequest,
    image: Path,
    *,
    seconds: Mapping[str, float],
    facts: Mapping[str, str] | None = None,
    extras: Sequence[Path] = (),
    disks: Mapping[str, Path] = MappingProxyType({}),
    listed: bool = False,
) -> ImageResult:
    """Move `image` to the output folder beside its checksum and manifest; none is ever seen half-written.

    It is called after the distribution, its variant and its own suffixes; `extras` go along under their own suffixes.
    `facts` are what the manifest says besides the kernel. With `listed` the checksum file has the extras, too. `disks`
    are the files of further disks, by name; they are in the manifest and in the checksum file.
    """

    def name_of(path: Path) -> str:
        return f"{request.distribution.prefix}{request.image.variant}{''.join(path.suffixes)}"

    name, outdir = name_of(image), request.outdir
    sha256 = sha256_of(image)
    size = image.stat().st_size
    more: list[dict[str, Any]] = [
        {"name": each, "file": name_of(path), "sha256": sha256_of(path), "size": path.stat().st_size}
        for each, path in disks.items()
    ]
    content = manifest(request, file=name, sha256=sha256, size=size, facts=facts or {}, disks=more)
    outdir.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.manifest.json": json.dumps(content, indent=2, sort_keys=True) + "\n"}
    sums = {name: sha256, **({name_of(extra): sha256_of(extra) for extra in extras} if listed else {})}
    sums |= {each["file"]: each["sha256"] for each in more}
    texts[f"{name}.sha256"] = "".join(f"{digest}  {file}\n" for file, digest in sums.items())
    extras = [*disks.values(), *extras]
    for extra in extras:
        move(extra, outdir / f".{name_of(extra)}.new")
    move(image, outdir / f".{name}.new")
    for target, text in texts.items():
        (outdir / f".{target}.new").write_text(text, encoding="utf-8")
    for target in (*map(name_of, extras), name, *texts):
        os.replace(outdir / f".{target}.new", outdir / target)
    return ImageResult(
        path=outdir / name,
        checksum=outdir / f"{name}.sha256",
        manifest=outdir / f"{name}.manifest.json",
        extras=[outdir / name_of(extra) for extra in extras],
        sha256=sha256,
        size=size,
        seconds=seconds,
    )


def move(source: Path, target: Path) -> None:
    """Rename, or copy when the target is on another disk."""
    try:
        os.replace(source, target)
    except OSError:
        shutil.copyfile(source, target)

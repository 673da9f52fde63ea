"""What an image format is asked for, what it answers, and how its files are published."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photonbuild.config.models import Distribution, Image
from photonbuild.errors import ImageError
from photonbuild.files import sha256_of
from photonbuild.images.rootfs import Package, RootfsResult
from photonbuild.sandbox.sandbox import Bind, Sandbox


@dataclass(frozen=True, kw_only=True)
class InstallerSets:
    """Package files of the installer of a live image, and what the manifest says of those of the first two.

    `layer` and `packages` are not in the image's root; `initramfs` is a whole root, `first` its first transaction.
    """

    layer: Sequence[Path]
    packages: Sequence[Path]
    initramfs: Sequence[Path]
    first: Sequence[str]
    listed: Mapping[str, Sequence[Package]]


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image to make. `workdir` is for this call alone; finished files appear in `outdir` by rename.

    `extra_rpms` is the install set of the image's own tools (for ``iso``: the profile of the initramfs) and
    `extra_first` the names of its first transaction. `data` is the folder build/. `provenance` goes into the
    manifest as it is: the seed's digest and the like. `identity` is a digest of all that the image is made of, known
    before it is made: names and serial numbers come from it. `loader` is the tree of the package that brings the boot
    loader, `programs` are those of further packages with tools, `machine_seed` gives the root in which qemu-img is.
    `installer` is there for an ``iso`` that has one.
    """

    image: Image
    distribution: Distribution
    seed: Path
    macros: Sequence[Path]
    rootfs: RootfsResult
    extra_rpms: Sequence[Path]
    extra_first: Sequence[str]
    data: Path
    provenance: Mapping[str, str]
    identity: str
    loader: Path
    programs: Sequence[Path] = ()
    machine_seed: Callable[[], Path]
    installer: InstallerSets | None = None
    workdir: Path
    outdir: Path
    log: Path


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


def tools(
    request: ImageRequest,
    argv: Sequence[str],
    *,
    input: str | None = None,
    seed: Path | None = None,
    binds: Sequence[Bind] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a program of a package's or of a seed; the work folder is /work, the root's tar /root.tar."""
    (request.workdir / "scratch").mkdir(exist_ok=True)
    epoch = str(request.distribution.source_date_epoch)
    sandbox = Sandbox(
        layers=(seed,) if seed else (request.loader, *request.programs, request.seed),
        scratch=request.workdir / "scratch",
        binds=(
            Bind(source=request.workdir, target="/work", readonly=False),
            Bind(source=request.rootfs.tar, target="/root.tar"),
            *binds,
        ),
        env={"SOURCE_DATE_EPOCH": epoch, "MTOOLS_SKIP_CHECK": "1", **(env or {})},
    )
    sandbox.run(argv, input=input.encode() if input else None, log=request.log, error=ImageError)


def manifest(
    request: ImageRequest,
    *,
    file: str,
    sha256: str,
    size: int,
    tools: Sequence[Package],
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest of an image: all that is in it, by version and digest, and what it was made from."""
    distribution = request.distribution
    listed = request.installer.listed if request.installer else {}
    return {
        "file": file,
        "format": request.image.format,
        "platform": request.image.platform,
        "configured": sorted(file.path for file in request.image.files),
        "sha256": sha256,
        "size": size,
        "distribution": {
            "name": distribution.name,
            "id": distribution.id,
            "version": distribution.version,
            "arch": distribution.arch,
        },
        "source_date_epoch": distribution.source_date_epoch,
        "provenance": dict(request.provenance),
        "facts": dict(facts),
        "packages": [asdict(package) for package in request.rootfs.packages],
        "initramfs_packages": [asdict(package) for package in tools],
        **{name: [asdict(package) for package in packages] for name, packages in listed.items()},
    }


def publish(
    request: ImageRequest,
    image: Path,
    *,
    tools: Sequence[Package] = (),
    facts: Mapping[str, str],
    seconds: Mapping[str, float],
    extras: Sequence[Path] = (),
) -> ImageResult:
    """Move `image` to the output folder beside its checksum and manifest; none is ever seen half-written.

    It is called after the distribution, its variant and its own suffixes; `extras` go along under their own suffixes.
    """

    def name_of(path: Path) -> str:
        return f"{request.distribution.prefix}{request.image.variant}{''.join(path.suffixes)}"

    name, outdir = name_of(image), request.outdir
    sha256 = sha256_of(image)
    size = image.stat().st_size
    content = manifest(request, file=name, sha256=sha256, size=size, tools=tools, facts=facts)
    outdir.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.manifest.json": json.dumps(content, indent=2, sort_keys=True) + "\n"}
    texts[f"{name}.sha256"] = f"{sha256}  {name}\n"
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


def pack(target: Path, members: Mapping[str, Path], epoch: int) -> None:
    """A ustar archive of files by name, in the order given, with constant owners, modes and times."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in members.items():
            add_member(tar, name, path, epoch)


def add_member(tar: tarfile.TarFile, name: str, path: Path, epoch: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = path.stat().st_size, epoch, 0o644
    with path.open("rb") as content:
        tar.addfile(info, content)

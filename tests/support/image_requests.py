"""Requests for images: this distribution's settings, and whatever root, sets and tools a test has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from photonbuild.config.models import Image
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.publish import ImageResult
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsResult
from photonbuild.images.upload import upload_commands
from photonbuild.images.workspace import Workspace
from photonbuild.packages.package import Package
from photonbuild.pipeline.configuration import load_config
from photonbuild.roots import Roots

ROOT = Path(__file__).parents[2]
KERNEL = "usr/lib/modules/6.12/vmlinuz"


def workspace(folder: Path, *, seed: Path | None = None) -> Workspace:
    """Without rpm macros; an epoch of 2026."""
    return Workspace(seed=seed or folder, macros=[], epoch=1767225600, log=folder / "log", folder=folder)


def install_sets(**sets: list[Package]) -> Mapping[Role, InstallSet]:
    """Sets by the names of their roles; the root's is there in any case."""
    wanted = {"ROOT": list[Package](), **sets}
    return {Role[name]: InstallSet(role=Role[name], packages=packages) for name, packages in wanted.items()}


def image_request(folder: Path, image: str | Image, *, seed: Path | None = None, **changes: object) -> ImageRequest:
    """A request for an image of ``build/images``, or of these settings, in `folder`: an empty root with a kernel."""
    config = load_config(ROOT)
    request = ImageRequest(
        image=config.image(image) if isinstance(image, str) else image,
        distribution=config.distribution,
        sets=install_sets(),
        rootfs=RootfsResult(tar=folder / "root.tar", kernels=(KERNEL,)),
        workspace=workspace(folder, seed=seed),
        roots=config.roots,
        provenance={},
        identity="0123456789abcdef",
        loader=folder,
        outdir=folder / "out",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def upload_text(name: str, folder: Path, root: Path = ROOT) -> str:
    """The commands that upload the image `name`, were it in `folder`."""
    config = load_config(ROOT)
    base = folder / f"{config.distribution.prefix}{config.image(name).variant}"
    result = ImageResult(
        path=Path(f"{base}{FORMATS[name].suffix}"), checksum=base, manifest=base, sha256="", size=0, seconds={},
        extras=[Path(f"{base}{suffix}") for suffix in FORMATS[name].extras],
    )  # fmt: skip
    return upload_commands(Roots.of(root), config.image(name), config.distribution, result)

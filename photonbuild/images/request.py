"""One image to make: what a format is asked for, and the tools that it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from photonbuild.config.models import Distribution, Image
from photonbuild.errors import ImageError
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.rootfs import RootfsResult
from photonbuild.images.workspace import Workspace
from photonbuild.roots import Roots
from photonbuild.sandbox.sandbox import Bind


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image to make, in the folder of `workspace`; finished files appear in `outdir` by rename.

    `sets` are those that the format asked for, and the root's, which is already installed as `rootfs`. `roots` is
    where the files of build/ lie. `provenance` goes into the manifest as it is: the seed's digest and the like.
    `identity` is a digest of all that the image is made of, known before it is made: names and serial numbers come from
    it. `loader` is the tree of the package that brings the boot loader, `programs` are those of further packages with
    tools. `machine_seed` is there for a format that asks for it: qemu-img is in it.
    """

    image: Image
    distribution: Distribution
    sets: Mapping[Role, InstallSet]
    rootfs: RootfsResult
    workspace: Workspace
    roots: Roots
    provenance: Mapping[str, str]
    identity: str
    loader: Path
    programs: Sequence[Path] = ()
    machine_seed: Path | None = None
    outdir: Path

    @property
    def folder(self) -> Path:
        """The work folder, /work for the tools."""
        return self.workspace.folder


def disk_request(request: ImageRequest, name: str) -> ImageRequest:
    """The same for a further disk, in a folder of its own; for the first, which has no name, the request itself."""
    if not name:
        return request
    folder = request.folder / f"disk-{name}"
    folder.mkdir(exist_ok=True)
    identity = hashlib.sha256(f"{request.identity} {name}".encode()).hexdigest()
    return replace(request, workspace=replace(request.workspace, folder=folder), identity=identity)


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
    workspace = request.workspace
    sandbox = workspace.sandbox(
        layers=(seed,) if seed else (request.loader, *request.programs, workspace.seed),
        binds=(Bind(source=request.rootfs.tar, target="/root.tar"), *binds),
        env={"MTOOLS_SKIP_CHECK": "1", **(env or {})},
    )
    sandbox.run(argv, input=input.encode() if input else None, log=workspace.log, error=ImageError)

"""A small root with one of everything, and what a file system of an image is filled with it by."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from photonbuild.config.partitions import FileSystem
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsResult
from photonbuild.packages.buildroot import with_requirements
from photonbuild.packages.built import tree_of
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store
from tests.support.image_requests import image_request

EPOCH = 1767225600
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep, version 2


def _add(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, **fields: object) -> None:
    info = tarfile.TarInfo(name)
    content = bytes(str(fields.pop("content", "")), "ascii")
    info.type, info.mode, info.mtime, info.size = kind, mode, EPOCH, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(content))


def write_root(folder: Path, *, name: str = "", **more: object) -> Path:
    """root.tar in `folder`: one of everything, and at its end a file of that name."""
    value = CAPABILITY.decode("utf-8", "surrogateescape")
    with tarfile.open(folder / "root.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, ".", tarfile.DIRTYPE, 0o755)
        _add(archive, "./tmp", tarfile.DIRTYPE, 0o1777)
        _add(archive, "./bin", tarfile.DIRTYPE, 0o755, pax_headers={"SCHILY.xattr.user.note": "a folder"})
        capable = {"SCHILY.xattr.security.capability": value}
        _add(archive, "./bin/ping", tarfile.REGTYPE, 0o755, content="ping", pax_headers=capable)
        _add(archive, "./bin/su", tarfile.REGTYPE, 0o6755, content="su" * 3000, uid=7, gid=8)
        _add(archive, "./bin/other", tarfile.LNKTYPE, 0o755, linkname="./bin/su")
        _add(archive, "./bin/soft", tarfile.SYMTYPE, 0o777, linkname="../bin/su")
        _add(archive, "./bin/old", tarfile.REGTYPE, 0o644, content="old", mtime=1000000000)
        _add(archive, "./bin/pipe", tarfile.FIFOTYPE, 0o600)
        if name:
            _add(archive, name, tarfile.REGTYPE, 0o644, **({"content": "x"} | more))
    return folder / "root.tar"


def filling(folder: Path, session: Session, filesystem: FileSystem) -> ImageRequest:
    """A request in `folder` with that root, and with the programs of ours that make such a file system."""
    names = session.config.filesystems[filesystem].tools
    done = build_packages(session, [session.spec(name).name for name in names])
    packages = [
        package
        for name in names
        for package in with_requirements(session.builder, [name], done, session.spec(name)).values()
    ]
    # A layer of the sandbox, so not the folder that has the sandbox's own in it.
    (folder / "loader").mkdir()
    return image_request(
        folder,
        "raw",
        seed=session.seed.root,
        loader=folder / "loader",
        rootfs=RootfsResult(tar=write_root(folder), kernels=()),
        programs=[tree_of(package) for package in packages],
    )


def programs_of(request: ImageRequest, store: Store) -> Sandbox:
    """Its programs, with its folder at /work."""
    return Sandbox(
        layers=[*request.programs, request.workspace.seed],
        scratch=store.scratch,
        binds=[Bind(request.folder, "/work", readonly=False)],
    )

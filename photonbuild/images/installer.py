"""The installer's part of a live image: a squashfs layer over its root, and a repository of packages on the medium.

The layer has what the installer runs with and the live root lacks; only the installer's entry of the menu mounts it.
The repository has what an installed system may need besides what the live root is: tools of logical volumes and so on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from photonbuild import code
from photonbuild.config.validation import Model, Name
from photonbuild.errors import ImageError
from photonbuild.images import rootfs
from photonbuild.images.initramfs import build_initramfs
from photonbuild.images.installset import Role
from photonbuild.images.request import ImageRequest
from photonbuild.images.workspace import Workspace
from photonbuild.packages import repo
from photonbuild.sandbox.sandbox import Bind

PROGRAM = "photonbuild.installer.__main__"  # shipped with all that it imports
HOME = "usr/lib/installer"
UNITS = "usr/lib/systemd/system"
LAYER_PROGRAM = code.program("photonbuild.images.inside.layer")
MODULE = "dracut/90root"
LAYER, PACKAGES = "live/installer.squashfs", "packages"
LIMIT = 25_000_000


class IsoInstaller(Model):
    """The installer of a live image: a layer over its root, a repository of packages, an initramfs of its own.

    `profile` is what the layer brings besides the live root, without what matches `exclude_paths`; `packages_profile`
    what installed systems may need, put on the medium as packages; `initramfs_profile` the root in which dracut makes
    the initramfs of systems whose root the kernel alone cannot mount.
    """

    profile: Name
    packages_profile: Name
    initramfs_profile: Name
    exclude_paths: tuple[str, ...] = ()
    kernel_args: tuple[str, ...] = ()


def add_installer(request: ImageRequest, settings: IsoInstaller, tree: Path) -> None:
    """Put layer and repository into the ISO's tree. Raises ImageError, SolveError."""
    workspace = request.workspace.subfolder("installer")
    write_files(request, workspace)
    layer = make_layer(workspace, request.sets[Role.INSTALLER_LAYER].rpms, settings.exclude_paths)
    size = layer.stat().st_size
    if size > LIMIT:
        raise ImageError(
            f"the installer's layer has {size} bytes, and {LIMIT} are the most",
            hint="see installer.exclude_paths in build/images",
        )
    shutil.move(layer, tree / LAYER)
    repo.make_repository(request.sets[Role.MEDIUM].rpms, tree / PACKAGES, revision=workspace.epoch)


def write_files(request: ImageRequest, workspace: Workspace) -> None:
    """What comes from no package, as ``files``: program, units, initramfs of systems that need one."""
    home, units = workspace.folder / "files" / HOME, workspace.folder / "files" / UNITS
    for source in code.files([PROGRAM]):
        shipped = home / source.relative_to(code.PROJECT)
        shipped.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, shipped)
    units.mkdir(parents=True)
    for path in request.roots.entries("build/installer").values():
        shutil.copyfile(path, units / path.name)
        for target in wanted_by(path.read_text(encoding="utf-8")):
            (units / f"{target}.wants").mkdir(exist_ok=True)
            (units / f"{target}.wants" / path.name).symlink_to(f"../{path.name}")
    chosen = request.sets[Role.INSTALLER_INITRAMFS]
    modules = [request.roots.find(f"build/{MODULE}")]
    initramfs = build_initramfs(workspace.subfolder("initramfs"), chosen, modules=modules)
    shutil.move(initramfs, home / "initramfs.img")


def wanted_by(text: str) -> Sequence[str]:
    """Units that the [Install] section of a unit file names: in a layer nobody enables it."""
    lines = (line.partition("=") for line in text.splitlines())
    return [word for key, _, value in lines if key == "WantedBy" for word in value.split()]


def make_layer(workspace: Workspace, rpms: Sequence[Path], exclude_paths: Sequence[str]) -> Path:
    """The squashfs image of these packages, without what matches `exclude_paths`, and the folder ``files``."""
    content = {
        "rpms": [f"/rpms/{path.name}" for path in sorted(rpms, key=lambda path: path.name)],
        "exclude_paths": list(exclude_paths),
        "files": "/work/files",
        "compile": [HOME],
        "epoch": workspace.epoch,
        "output": "/work/layer.squashfs",
    }
    (workspace.folder / "request.json").write_text(json.dumps(content), encoding="utf-8")
    program = Bind(source=LAYER_PROGRAM, target="/layer.py")
    sandbox = workspace.sandbox(
        binds=(program, *rootfs.package_binds(rpms), *workspace.macro_binds), target=rootfs.TARGET
    )
    argv = ["python3", "-I", "/layer.py", "/work/request.json"]
    sandbox.run(argv, log=workspace.log, error=ImageError)
    return workspace.folder / "layer.squashfs"

"""What live images have in common, on a medium or over the network: an EROFS root, an initramfs, an installer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.models import BootImage, Image
from photonbuild.config.validation import Name
from photonbuild.errors import ImageError
from photonbuild.images.archive import extract_file
from photonbuild.images.initramfs import build_initramfs
from photonbuild.images.installer import IsoInstaller
from photonbuild.images.installset import Role, SetProfile
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsFile

# LZ4 costs a starting system far less than zstd; levels above 6 make no smaller image, and fragments hardly one.
EROFS_OPTIONS = ("-zlz4hc,6", "-C65536", "-Eztailpacking")
# The initramfs has mounted /var: it stays until the very end, like the root itself.
ROOT_FILES = (RootfsFile(path="/etc/fstab", text="live /var tmpfs x-initrd.mount 0 0\n"),)


class LiveImage(BootImage):
    """What every live image may hold. `autologin_args`: kernel arguments that log in on the consoles."""

    installer: IsoInstaller | None = None
    initramfs_profile: Name
    autologin_args: tuple[str, ...] = ()
    dracut_args: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way to start it: a short name, what it is called in a menu, and the kernel's arguments for it."""

    name: str
    title: str
    arguments: Sequence[str]


def choices(image: LiveImage, title: str) -> list[Choice]:
    """The live system, the installer where there is one, and a log-in without password on the consoles."""
    settings = image.installer
    installing = Choice(
        name="install", title=f"Install {title} to a disk", arguments=settings.kernel_args if settings else ()
    )
    automatic = f"{title}, log in automatically on the console"
    return [
        Choice(name="live", title=title, arguments=()),
        *([installing] if settings else []),
        Choice(name="autologin", title=automatic, arguments=image.autologin_args),
    ]


def root_files(image: Image, identity: str, title: str) -> Sequence[RootfsFile]:
    return ROOT_FILES


def install_sets(image: Image) -> Mapping[Role, SetProfile]:
    """The initramfs, and what the installer is made of."""
    assert isinstance(image, LiveImage)
    sets = {Role.INITRAMFS: SetProfile(profile=image.initramfs_profile)}
    if image.installer:
        sets[Role.INSTALLER_LAYER] = SetProfile(profile=image.installer.profile, over_root=True)
        sets[Role.MEDIUM] = SetProfile(profile=image.installer.packages_profile, over_root=True)
        sets[Role.INSTALLER_INITRAMFS] = SetProfile(profile=image.installer.initramfs_profile)
    return sets


def make_initramfs(request: ImageRequest, modules: Sequence[str]) -> Path:
    """The initramfs with these modules, folders of build/. Raises ImageError."""
    image = request.image
    assert isinstance(image, LiveImage)
    workspace, chosen = request.workspace.subfolder("initramfs"), request.sets[Role.INITRAMFS]
    folders = [request.roots.find(f"build/{module}") for module in modules]
    return build_initramfs(workspace, chosen, modules=folders, dracut_args=image.dracut_args)


def extract_kernel(tar: Path, kernels: Sequence[str], target: Path) -> None:
    """Copy the one kernel out of the root's tar. Raises ImageError."""
    if len(kernels) != 1:
        raise ImageError(
            f"the root file system must hold one kernel, not {len(kernels)}",
            detail="\n".join(kernels) or None,
        )
    extract_file(tar, kernels[0], target)


def erofs_argv(request: ImageRequest, target: str) -> list[str]:
    """mkfs.erofs(1) straight from the tar; the UUID is named after the packages in it."""
    epoch = request.workspace.epoch
    listed = sorted(request.sets[Role.ROOT].packages, key=lambda package: package.nevra)
    names = "\n".join(f"{package.nevra} {package.sha256}" for package in listed)
    return [
        "mkfs.erofs", "--quiet", f"-T{epoch}", f"-U{uuid.uuid5(uuid.NAMESPACE_OID, names)}", *EROFS_OPTIONS,
        "--tar=f", target, "/root.tar",
    ]  # fmt: skip

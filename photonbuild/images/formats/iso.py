"""Live ISO image, hybrid for BIOS and UEFI: root tar → EROFS, initramfs, GRUB, ISO 9660 with a bootable ESP.

Layout: /live/root.erofs, /boot/vmlinuz, /boot/initramfs.img, /boot/grub/{grub.cfg,bios.img}; with an installer also
/live/installer.squashfs and the repository /packages; the ESP is partition 2. Label, FAT serial number and EROFS UUID
come from digests of the content, times from the epoch.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from photonbuild.config.models import BootImage, Image
from photonbuild.config.validation import Name
from photonbuild.disk import gpt, grub
from photonbuild.errors import ImageError
from photonbuild.files import sha256_of
from photonbuild.images import menu
from photonbuild.images.archive import extract_file
from photonbuild.images.format import Attachment, Format
from photonbuild.images.initramfs import build_initramfs
from photonbuild.images.installer import IsoInstaller, add_installer
from photonbuild.images.installset import Role, SetProfile
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools
from photonbuild.images.rootfs import RootfsFile

MODULE = "dracut/90live"
# LZ4 costs a starting system far less than zstd; levels above 6 make no smaller image, and fragments hardly one.
EROFS_OPTIONS = ("-zlz4hc,6", "-C65536", "-Eztailpacking")
LABEL_LENGTH = 32
# The initramfs has mounted /var: it stays until the very end, like the root itself.
ROOT_FILES = (RootfsFile(path="/etc/fstab", text="live /var tmpfs x-initrd.mount 0 0\n"),)


class IsoImage(BootImage):
    """``format: iso``: a live image for BIOS and UEFI, with an installer or without one."""

    format: Literal["iso"]
    installer: IsoInstaller | None = None
    initramfs_profile: Name
    volume_label: Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,32}$")]
    autologin_args: tuple[str, ...] = ()
    dracut_args: tuple[str, ...] = ()


def root_files(image: Image, identity: str, title: str) -> Sequence[RootfsFile]:
    return ROOT_FILES


def install_sets(image: Image) -> Mapping[Role, SetProfile]:
    """The initramfs, and what the installer is made of."""
    assert isinstance(image, IsoImage)
    sets = {Role.INITRAMFS: SetProfile(profile=image.initramfs_profile)}
    if image.installer:
        sets[Role.INSTALLER_LAYER] = SetProfile(profile=image.installer.profile, over_root=True)
        sets[Role.MEDIUM] = SetProfile(profile=image.installer.packages_profile, over_root=True)
        sets[Role.INSTALLER_INITRAMFS] = SetProfile(profile=image.installer.initramfs_profile)
    return sets


def build_iso(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    image = request.image
    assert isinstance(image, IsoImage)
    work = request.folder
    seconds: dict[str, float] = {}
    started = time.monotonic()
    tree = work / "iso"
    for name in ("boot/grub", "live"):
        (tree / name).mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(make_initramfs, request, image.dracut_args)
        added = pool.submit(add_installer, request, image.installer, tree) if image.installer else None
        extract_kernel(request.rootfs.tar, request.rootfs.kernels, tree / "boot/vmlinuz")
        tools(request, erofs_argv(request))
        seconds["erofs"] = round(time.monotonic() - started, 2)
        initramfs = pending.result()
        if added:
            added.result()
    seconds["initramfs and erofs"] = round(time.monotonic() - started, 2)
    os.replace(initramfs, tree / "boot/initramfs.img")
    digest = content_digest(tree)
    label = volume_label(image.volume_label, digest)
    write_loader(request, tree, label, digest)
    set_times(tree, request.workspace.epoch)
    tools(request, xorriso_argv(label, digest))
    seconds["total"] = round(time.monotonic() - started, 2)
    return publish(request, work / "image.iso", facts={"volume_label": label}, seconds=seconds)


def make_initramfs(request: ImageRequest, dracut_args: Sequence[str]) -> Path:
    workspace, chosen = request.workspace.subfolder("initramfs"), request.sets[Role.INITRAMFS]
    return build_initramfs(workspace, chosen, module=request.roots.find(f"build/{MODULE}"), dracut_args=dracut_args)


def extract_kernel(tar: Path, kernels: Sequence[str], target: Path) -> None:
    """Copy the one kernel out of the root's tar. Raises ImageError."""
    if len(kernels) != 1:
        raise ImageError(
            f"the root file system must hold one kernel, not {len(kernels)}",
            detail="\n".join(kernels) or None,
        )
    extract_file(tar, kernels[0], target)


def content_digest(tree: Path) -> str:
    """SHA-256 of every file of the tree, by name and content."""
    total = hashlib.sha256()
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(tree)} {sha256_of(path)}\n".encode())
    return total.hexdigest()


def volume_label(prefix: str, digest: str) -> str:
    """A label of its own for each content, so that two media in one machine cannot be mixed up."""
    label = f"{prefix}_{digest[:8].upper()}"
    if len(label) > LABEL_LENGTH:
        raise ImageError(
            f"volume label '{label}' is longer than {LABEL_LENGTH} characters",
            hint="shorten volume_label in build/images",
        )
    return label


def entries(request: ImageRequest, label: str) -> list[menu.Entry]:
    """The menu: the live system, the installer, and the live system with a log-in without password on the consoles."""
    distribution, image = request.distribution, request.image
    assert isinstance(image, IsoImage)
    title = f"{distribution.name} {distribution.version}"
    arguments = [f"root=live:LABEL={label}", *image.kernel_args]
    settings = image.installer
    installing = [*arguments, *(settings.kernel_args if settings else ())]
    return [
        menu.Entry(title=title, arguments=arguments),
        *([menu.Entry(title=f"Install {title} to a disk", arguments=installing)] if settings else []),
        menu.Entry(
            title=f"{title}, log in automatically on the console",
            arguments=[*arguments, *image.autologin_args],
        ),
    ]


def write_loader(request: ImageRequest, tree: Path, label: str, digest: str) -> None:
    """GRUB for both firmwares: grub.cfg, the El Torito image, and the ESP with its removable-media path."""
    work, image = request.folder, request.image
    assert isinstance(image, IsoImage)
    text = menu.menu(entries=entries(request, label), label=label, timeout=image.menu_timeout)
    (tree / "boot/grub/grub.cfg").write_text(text, encoding="utf-8")
    (work / "first.cfg").write_text(menu.first_stage(label), encoding="utf-8")
    (work / "efi").mkdir()
    targets = {"i386-pc-eltorito": "/work/iso/boot/grub/bios.img", "x86_64-efi": "/work/efi/BOOTX64.EFI"}
    for platform, output in targets.items():
        tools(request, grub.mkimage_argv(platform, config="/work/first.cfg", output=output))
    loader = work / "efi/BOOTX64.EFI"
    epoch = request.workspace.epoch
    os.utime(loader, (epoch, epoch))
    with open(work / "esp.img", "wb") as handle:
        handle.truncate(esp_size(loader.stat().st_size))
    for argv in esp_argvs(digest):
        tools(request, argv)


def esp_size(loader: int) -> int:
    """Bytes of an ESP that holds a loader of that size: FAT12 needs little more; whole sectors of a CD."""
    return -(-(loader + 128 * 1024) // 65536) * 65536


def esp_argvs(digest: str) -> list[list[str]]:
    """Commands that put the loader into the ESP image, whose serial number comes from `digest`."""
    return [
        ["mkfs.vfat", "--invariant", "-i", digest[:8], "-n", "ESP", "/work/esp.img"],
        ["mmd", "-i", "/work/esp.img", "::/EFI", "::/EFI/BOOT"],
        ["mcopy", "-m", "-i", "/work/esp.img", "/work/efi/BOOTX64.EFI", "::/EFI/BOOT/BOOTX64.EFI"],
    ]


def erofs_argv(request: ImageRequest) -> list[str]:
    """mkfs.erofs(1) straight from the tar; the UUID is named after the packages in it."""
    epoch = request.workspace.epoch
    listed = sorted(request.sets[Role.ROOT].packages, key=lambda package: package.nevra)
    names = "\n".join(f"{package.nevra} {package.sha256}" for package in listed)
    return [
        "mkfs.erofs", "--quiet", f"-T{epoch}", f"-U{uuid.uuid5(uuid.NAMESPACE_OID, names)}", *EROFS_OPTIONS,
        "--tar=f", "/work/iso/live/root.erofs", "/root.tar",
    ]  # fmt: skip


def xorriso_argv(label: str, digest: str) -> list[str]:
    """xorriso(1) as mkisofs: BIOS El Torito and MBR through GRUB, the ESP for UEFI, no time of its own.

    On a stick the table is GPT, whose identifiers xorriso makes from the disk's. Its protective MBR has GRUB's code and
    a partition with the boot flag, without which some BIOSes start no stick.
    """
    return [
        "xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-rational-rock", "-joliet",
        "-volid", label, "--set_all_file_dates", "set_to_mtime",
        "--grub2-mbr", f"{grub.GRUB}/i386-pc/boot_hybrid.img", "--mbr-force-bootable",
        "-appended_part_as_gpt", "--gpt_disk_guid", str(uuid.uuid5(uuid.NAMESPACE_OID, digest)),
        "-eltorito-boot", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
        "--grub2-boot-info", "-append_partition", "2", gpt.TYPES[gpt.ESP], "/work/esp.img", "-eltorito-alt-boot",
        "-e", "--interval:appended_partition_2:all::", "-no-emul-boot",
        "-o", "/work/image.iso", "/work/iso",
    ]  # fmt: skip


def set_times(tree: Path, epoch: int) -> None:
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (epoch, epoch))


FORMAT = Format(
    name="iso",
    model=IsoImage,
    suffix=".iso",
    build=build_iso,
    sets=install_sets,
    root_files=root_files,
    data=("dracut", "installer"),
    attachment=Attachment(format="raw", bus="cd"),
)

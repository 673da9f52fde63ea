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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from photonbuild.disk import gpt, grub
from photonbuild.errors import ImageError
from photonbuild.files import sha256_of
from photonbuild.images import menu
from photonbuild.images.format import Attachment, Format
from photonbuild.images.installer import add_installer
from photonbuild.images.live import (
    LiveImage,
    choices,
    erofs_argv,
    extract_kernel,
    install_sets,
    make_initramfs,
    root_files,
)
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools

MODULES = ("dracut/90live",)
ROOT = "live/root.erofs"
LABEL_LENGTH = 32


class IsoImage(LiveImage):
    """``format: iso``: a live image for BIOS and UEFI, with an installer or without one."""

    format: Literal["iso"]
    volume_label: Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,32}$")]


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
        pending = pool.submit(make_initramfs, request, MODULES)
        added = pool.submit(add_installer, request, image.installer, tree) if image.installer else None
        extract_kernel(request.rootfs.tar, request.rootfs.kernels, tree / "boot/vmlinuz")
        tools(request, erofs_argv(request, f"/work/iso/{ROOT}"))
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
    return [
        menu.Entry(title=choice.title, arguments=[*arguments, *choice.arguments]) for choice in choices(image, title)
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

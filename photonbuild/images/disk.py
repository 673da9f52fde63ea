"""Disk image that boots with BIOS and UEFI: file systems, GRUB twice, GUID partition table, in one sparse file.

No loop device, no mount: file systems are filled from a tar, the ESP by mtools, and where grub-bios-setup(8) would
write its blocks follows from the table. There is no initramfs: drivers of disks and file systems are in the kernel.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from photonbuild.config.disk import Disk
from photonbuild.config.models import DiskImage, Image
from photonbuild.disk import grub
from photonbuild.disk.gpt import BIOS_BOOT, ESP, ROOT, SECTOR, SWAP, VAR, Partition, sfdisk_script
from photonbuild.errors import ImageError
from photonbuild.images.filesystems import OPTIONS, make_filesystems
from photonbuild.images.layout import LAYERED, LAYERS, filesystem_of, partition, partitions
from photonbuild.images.request import ImageRequest, tools
from photonbuild.images.rootfs import RootfsFile


def root_files(image: Image, identity: str, title: str) -> list[RootfsFile]:
    """Files of the root file system that depend on the disk: mounts, growth, the boot menu."""
    assert isinstance(image, DiskImage)
    table = partitions(image.disk, identity)
    last = table[-1].name
    root = partition(table, ROOT)
    grow = {name: ",x-systemd.growfs" if name == last else "" for name in (ROOT, VAR)}
    options, check = OPTIONS[image.disk.filesystem]
    how = options.removesuffix("rw") + "ro" if image.disk.read_only else options
    fstab = [f"UUID={root.filesystem_uuid} / {how}{grow[ROOT]} 0 {check}"]
    if image.disk.var:
        var = partition(table, VAR).filesystem_uuid
        options, check = OPTIONS[filesystem_of(image.disk, VAR)]
        fstab.append(f"UUID={var} /var {options},nodev,nosuid{grow[VAR]} 0 {2 * check}")
    fstab += more_mounts(image.disk, table)
    fstab.append(f"PARTUUID={partition(table, ESP).uuid} /boot/efi vfat umask=0077,noauto,x-systemd.automount 0 0")
    menu = grub.disk_menu(
        title=title, root=f"PARTUUID={root.uuid}", arguments=image.kernel_args, timeout=image.menu_timeout
    )
    more = []
    if image.disk.filesystem == "xfs":
        # Without an initramfs the kernel calls the root's device /dev/root; xfsprogs look for a node of that name.
        rule = f'SUBSYSTEM=="block", ENV{{ID_PART_ENTRY_UUID}}=="{root.uuid}", SYMLINK+="root"\n'
        more.append(RootfsFile(path="/etc/udev/rules.d/70-root.rules", text=rule))
    return [
        *more,
        RootfsFile(path="/etc/fstab", text="\n".join(fstab) + "\n"),
        RootfsFile(path=f"/etc/repart.d/50-{last}.conf", text=f"[Partition]\nType={last}\n"),
        RootfsFile(path="/boot/grub/grub.cfg", text=menu),
        RootfsFile(path="/boot/grub/grubenv", text=grub.environment_block()),
    ]


def more_mounts(disk: Disk, table: Sequence[Partition]) -> list[str]:
    """Lines of fstab(5) for partitions besides root and /var, and for what a root that is read-only has in layers."""
    lines = []
    for part in sorted(disk.partitions, key=lambda part: part.path):
        options, check = OPTIONS[part.filesystem or disk.filesystem]
        made = partition(table, part.name).filesystem_uuid
        lines.append(f"UUID={made} {part.path} {','.join([options, *part.options])} 0 {2 * check}")
    if disk.swap:
        lines.append(f"UUID={partition(table, SWAP).filesystem_uuid} none swap defaults 0 0")
    for name in LAYERED if disk.read_only else ():
        upper = f"upperdir={LAYERS}/{name}/upper,workdir={LAYERS}/{name}/work"
        options = f"lowerdir=/{name},{upper},nodev,nosuid,x-systemd.requires-mounts-for=/var"
        lines.append(f"overlay /{name} overlay {options} 0 0")
    return lines


def make_raw(request: ImageRequest, seconds: dict[str, float]) -> Path:
    """The disk as one sparse file, in the work folder. Raises ImageError."""
    image, identity = request.image, request.identity
    assert isinstance(image, DiskImage)
    started = time.monotonic()
    table = partitions(image.disk, identity)
    disk = request.folder / "disk.raw"
    with disk.open("wb") as handle:
        handle.truncate(image.disk.size)
    script = sfdisk_script(table, identity)
    tools(request, ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "/work/disk.raw"], input=script)
    make_filesystems(request, table, image.disk)
    started = timed(seconds, "root", started)
    write_loaders(request, table)
    timed(seconds, "boot loader", started)
    return disk


def write_loaders(request: ImageRequest, table: tuple[Partition, ...]) -> None:
    """GRUB for BIOS into the first sector and its partition, for UEFI into the ESP."""
    work = request.folder
    (work / "first.cfg").write_text(grub.disk_first_stage(partition(table, ROOT).filesystem_uuid), encoding="utf-8")
    for platform, output in (("i386-pc", "/work/core.img"), ("x86_64-efi", "/work/BOOTX64.EFI")):
        tools(request, grub.mkimage_argv(platform, config="/work/first.cfg", output=output, modules=grub.DISK_MODULES))
    epoch = request.workspace.epoch
    os.utime(work / "BOOTX64.EFI", (epoch, epoch))
    esp = partition(table, ESP)
    for argv in esp_argvs(esp, hashlib.sha256(request.identity.encode()).hexdigest()):
        tools(request, argv)
    place_bios_loader(
        work / "disk.raw",
        boot=(request.loader / f"{grub.GRUB.lstrip('/')}/i386-pc/boot.img").read_bytes(),
        core=(work / "core.img").read_bytes(),
        part=partition(table, BIOS_BOOT),
    )


def esp_argvs(esp: Partition, digest: str) -> list[list[str]]:
    """Commands that make the ESP inside the disk's file and put the loader at its removable-media path."""
    inside = f"/work/disk.raw@@{esp.start}"
    return [
        ["mkfs.vfat", "--invariant", "-F", "16", "-i", digest[:8], "-n", "ESP", "--offset", str(esp.start // SECTOR),
         "/work/disk.raw", str(esp.size // 1024)],
        ["mmd", "-i", inside, "::/EFI", "::/EFI/BOOT"],
        ["mcopy", "-m", "-i", inside, "/work/BOOTX64.EFI", "::/EFI/BOOT/BOOTX64.EFI"],
    ]  # fmt: skip


def place_bios_loader(disk: Path, *, boot: bytes, core: bytes, part: Partition) -> None:
    """Write GRUB's boot code before the table and its core image into `part`. Raises ImageError if it is too large."""
    if len(core) > part.size:
        raise ImageError(f"GRUB's core image, {len(core)} bytes, is larger than its partition of {part.size} bytes")
    code, blocks = grub.boot_blocks(boot, core, part.start // SECTOR)
    with disk.open("r+b") as handle:
        handle.write(code)
        handle.seek(part.start)
        handle.write(blocks)


def timed(seconds: dict[str, float], name: str, started: float) -> float:
    seconds[name] = round(time.monotonic() - started, 2)
    return time.monotonic()

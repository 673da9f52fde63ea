"""Disk image that boots with BIOS and UEFI: file systems, GRUB twice, GUID partition table, in one sparse file.

No loop device, no mount: file systems are filled from a tar, the ESP by mtools, and where grub-bios-setup(8) would
write its blocks follows from the table. There is no initramfs: drivers of disks and file systems are in the kernel.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from photonbuild.config.disk import Disk
from photonbuild.config.models import DiskImage, Image
from photonbuild.disk import grub, lvm
from photonbuild.disk.gpt import BIOS_BOOT, ESP, ROOT, SECTOR, TYPES, VAR, Partition, sfdisk_script
from photonbuild.errors import ImageError
from photonbuild.images.filesystems import OPTIONS, make_filesystems
from photonbuild.images.layout import (
    LAYERED,
    LAYERS,
    filesystems,
    further_partitions,
    partition,
    partitions,
    volume_groups,
)
from photonbuild.images.request import ImageRequest, disk_request, tools
from photonbuild.images.rootfs import RootfsFile

RAW = "disk.raw"


def root_files(image: Image, identity: str, title: str) -> list[RootfsFile]:
    """Files of the root file system that depend on the disk: mounts, growth, the boot menu."""
    assert isinstance(image, DiskImage)
    table, last = partitions(image.disk, identity), image.disk.last
    root = partition(table, ROOT)
    options, check = OPTIONS[image.disk.filesystem]
    how = options.removesuffix("rw") + "ro" if image.disk.read_only else options
    grow = ",x-systemd.growfs"
    fstab = [f"UUID={root.filesystem_uuid} / {how}{grow if last == ROOT else ''} 0 {check}"]
    fstab += more_mounts(image.disk, identity, {VAR: grow} if last == VAR else {})
    fstab.append(f"PARTUUID={partition(table, ESP).uuid} /boot/efi vfat umask=0077,noauto,x-systemd.automount 0 0")
    arguments = image.kernel_args
    if image.disk.read_only and not any(each.startswith("systemd.machine_id=") for each in arguments):
        # Nobody can write one down in /etc: without this each start has another one, see machine-id(5).
        arguments = (*arguments, "systemd.machine_id=firmware")
    menu = grub.disk_menu(title=title, root=f"PARTUUID={root.uuid}", arguments=arguments, timeout=image.menu_timeout)
    more = []
    if image.disk.filesystem == "xfs":
        # Without an initramfs the kernel calls the root's device /dev/root; xfsprogs look for a node of that name.
        rule = f'SUBSYSTEM=="block", ENV{{ID_PART_ENTRY_UUID}}=="{root.uuid}", SYMLINK+="root"\n'
        more.append(RootfsFile(path="/etc/udev/rules.d/70-root.rules", text=rule))
    # systemd has names of its own for the types of root and /var only.
    kind = last if last in (ROOT, VAR) else TYPES[partition(table, last).kind].lower()
    return [
        *more,
        RootfsFile(path="/etc/fstab", text="\n".join(fstab) + "\n"),
        RootfsFile(path=f"/etc/repart.d/50-{last}.conf", text=f"[Partition]\nType={kind}\n"),
        RootfsFile(path="/boot/grub/grub.cfg", text=menu),
        RootfsFile(path="/boot/grub/grubenv", text=grub.environment_block()),
    ]


def more_mounts(disk: Disk, identity: str, more: Mapping[str, str]) -> list[str]:
    """Lines of fstab(5) for all but the root, `more` options of some by name, and for what a root that is read-only
    has in layers."""
    lines = []
    found = filesystems(disk, identity)
    for each in sorted(found, key=lambda each: (each.name != VAR, each.path)):
        if each.path not in ("", "/"):
            options, check = OPTIONS[each.kind]
            words = ",".join([options, *each.options]) + more.get(each.name, "")
            lines.append(f"UUID={each.uuid} {each.path} {words} 0 {2 * check}")
    lines += [f"UUID={each.uuid} none swap defaults 0 0" for each in found if not each.path]
    for name in LAYERED if disk.read_only else ():
        upper = f"upperdir={LAYERS}/{name}/upper,workdir={LAYERS}/{name}/work"
        options = f"lowerdir=/{name},{upper},nodev,nosuid,x-systemd.requires-mounts-for=/var"
        lines.append(f"overlay /{name} overlay {options} 0 0")
    return lines


def make_raw(request: ImageRequest, seconds: dict[str, float]) -> Path:
    """The first disk as one sparse file, in the work folder; others see `disk_request`. Raises ImageError."""
    image, identity = request.image, request.identity
    assert isinstance(image, DiskImage)
    started = time.monotonic()
    table = partitions(image.disk, identity)
    write_table(request, image.disk.size, table)
    for each in image.disk.disks:
        write_table(disk_request(request, each.name), each.size, further_partitions(each, identity))
    host, epoch = request.distribution.id, request.workspace.epoch
    for group in volume_groups(image.disk, identity, host=host, time=epoch):
        for number, place in enumerate(group.places):
            with (disk_request(request, place.disk).folder / RAW).open("r+b") as handle:
                handle.seek(place.start)
                handle.write(lvm.header(group.group, number))
    make_filesystems(request, filesystems(image.disk, identity), image.disk.last)
    started = timed(seconds, "root", started)
    write_loaders(request, table)
    timed(seconds, "boot loader", started)
    return request.folder / RAW


def write_table(request: ImageRequest, size: int, table: Sequence[Partition]) -> None:
    """A disk of that size with this table, or blank without partitions."""
    with (request.folder / RAW).open("wb") as handle:
        handle.truncate(size)
    if table:
        script = sfdisk_script(table, request.identity)
        tools(request, ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", f"/work/{RAW}"], input=script)


def further_disks(
    request: ImageRequest, convert: Callable[[ImageRequest, Path], Path] | None = None
) -> dict[str, Path]:
    """The further disks of a finished first one, by name; each as `convert` makes it of its request and ``disk.raw``.

    Their files are called so that `publish` puts the disk's name before the suffix.
    """
    assert isinstance(request.image, DiskImage)
    found = {}
    for each in request.image.disk.disks:
        mine = disk_request(request, each.name)
        made = mine.folder / RAW
        made = convert(mine, made) if convert else made
        found[each.name] = made.rename(request.folder / f"disk.{each.name}{''.join(made.suffixes)}")
    return found


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

"""GRUB on the installed disk: its images, its menu, the kernel arguments. Pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from photonbuild.disk import efi, gpt, grub
from photonbuild.installer.kickstart.model import DUALBOOT, EFI, XFS, Kickstart
from photonbuild.installer.machine.facts import Facts
from photonbuild.installer.plan.encryption import initramfs_arguments, kernel_steps
from photonbuild.installer.plan.layout import Layout
from photonbuild.installer.plan.steps import BootCode, BootEntry, Command, Copy, Folder, Step, Write

MENU_TIMEOUT = 2
# On the root file system even where /boot is one of its own.
INITRAMFS = "/usr/lib/initramfs.img"
# Where firmware looks on a disk that it has no entry of.
LOADER = "/EFI/BOOT/BOOTX64.EFI"
# Words of the medium's kernel command line that are about the medium.
MEDIUM_WORDS = ("ro", "rw", "rootwait", "installer")
MEDIUM_PREFIXES = (
    "BOOT_IMAGE=", "init=", "initrd=", "insecure_installation=", "installer.", "ks.", "ks=", "live.", "rd.", "rdinit=",
    "root=", "systemd.set_credential", "systemd.unit=",
    # The network of the installation, as dracut.cmdline(7) and systemd-network-generator(8) read it.
    "BOOTIF=", "bond=", "bootdev=", "bridge=", "ifname=", "ip=", "nameserver=", "netroot=", "rd=", "team=", "vlan=",
)  # fmt: skip


def kernel_arguments(command_line: str) -> list[str]:
    """Words of the medium's own kernel command line that hold for the installed system: consoles and the like."""
    try:
        words = shlex.split(command_line)
    except ValueError:
        words = command_line.split()
    # What follows -- is for init, not for the kernel.
    words = words[: words.index("--")] if "--" in words else words
    return [
        word
        for word in words
        if word not in MEDIUM_WORDS and not word.startswith(MEDIUM_PREFIXES) and not set(word) & set(" '\"\\$;{}")
    ]


def _title(facts: Facts) -> str:
    return facts.os_release.get("PRETTY_NAME", "Linux").translate(str.maketrans("", "", '"$\\`'))


def bootloader_steps(kickstart: Kickstart, layout: Layout, facts: Facts) -> list[Step]:
    """The menu, and GRUB where each firmware looks for it."""
    root, lvm, kernels = layout.root, layout.root.partition.lvm, layout.root.partition.keeps_kernels
    arguments = kernel_arguments(facts.command_line)
    folder = "/boot/grub"
    text = grub.disk_menu(
        title=_title(facts),
        root=_root_argument(layout),
        arguments=[
            *([f"rd.lvm.lv={lvm.vg_name}/{lvm.lv_name}"] if lvm else []),
            *initramfs_arguments(layout),
            *arguments,
            *facts.user_arguments,
        ],
        timeout=MENU_TIMEOUT,
        filesystem=root.uuid if layout.boot is not root and kernels else "",
        initramfs=INITRAMFS if root.partition.needs_initramfs and kernels else "",
    )
    steps: list[Step] = [
        Folder(title=f"make {folder}", path=folder),
        Write(title="write the boot menu", path=f"{folder}/grub.cfg", text=text),
        Write(title="write GRUB's environment block", path=f"{folder}/grubenv", text=grub.environment_block()),
    ]
    if root.partition.needs_initramfs:
        steps.append(Copy(title="copy the initramfs", source=facts.paths.initramfs, path=INITRAMFS))
    steps += kernel_steps(layout, facts)
    if layout.esp and kickstart.bootmode in (EFI, DUALBOOT):
        loader = f"{layout.esp.partition.mountpoint}{LOADER}"
        steps.append(Copy(title="install GRUB for UEFI", source=facts.paths.work / "BOOTX64.EFI", path=loader))
        if facts.firmware == EFI:
            steps.append(_boot_entry(layout, facts))
    if layout.bios_boot:
        steps.append(
            BootCode(
                title="install GRUB for BIOS",
                disk=layout.disk,
                boot=facts.paths.grub / "i386-pc/boot.img",
                core=facts.paths.work / "core.img",
                start=layout.bios_boot.start,
                size=layout.bios_boot.size,
            )
        )
    return steps


def _root_argument(layout: Layout) -> str:
    root = layout.root
    if root.container:
        return root.device
    return f"UUID={root.uuid}" if root.partition.needs_initramfs else f"PARTUUID={root.partuuid}"


def _boot_entry(layout: Layout, facts: Facts) -> BootEntry:
    """Firmware that starts from the network first would install again, were the disk not named before that."""
    number, partition = next((i, part) for i, part in enumerate(layout.table, 1) if part.type == gpt.TYPES[gpt.ESP])
    option = efi.load_option(_title(facts), partition, number, facts.disk.sector, LOADER)
    return BootEntry(title="tell the firmware what to start", option=option)


def grub_modules(layout: Layout) -> Sequence[str]:
    """What GRUB needs to read the menu and the kernel where they lie."""
    extra = []
    for partition in (layout.root.partition, layout.boot.partition):
        extra += [XFS] if partition.filesystem == XFS else []
        extra += ["lvm"] if partition.lvm else []
    return [*grub.DISK_MODULES, *dict.fromkeys(extra)]


def bootloader_images(kickstart: Kickstart, layout: Layout, facts: Facts) -> list[Step]:
    """GRUB's core images, made in memory before the disk is touched."""
    outputs = {"i386-pc": "core.img"} if layout.bios_boot else {}
    if kickstart.bootmode in (EFI, DUALBOOT):
        outputs["x86_64-efi"] = "BOOTX64.EFI"
    config, work = facts.paths.work / "first.cfg", facts.paths.work
    folder = "/boot/grub" if layout.boot is layout.root else "/grub"
    text = grub.disk_first_stage(layout.boot.uuid, folder)
    steps: list[Step] = [Write(title="write GRUB's first configuration", path=str(config), text=text, live=True)]
    for platform, output in outputs.items():
        argv = grub.mkimage_argv(platform, config=str(config), output=str(work / output), modules=grub_modules(layout))
        steps.append(Command(title=f"make GRUB's image for {platform}", argv=tuple(argv)))
    return steps

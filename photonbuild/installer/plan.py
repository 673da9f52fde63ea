"""From a kickstart and the facts of a machine to the steps of its installation. Pure: nothing is read or written."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Sequence

from photonbuild.disk import gpt
from photonbuild.disk import grub as bootloader
from photonbuild.documents import nearest
from photonbuild.installer import networkd
from photonbuild.installer.facts import Card, Facts
from photonbuild.installer.failures import KickstartError
from photonbuild.installer.kickstart import BIOS, DUALBOOT, EFI, VFAT, XFS, Kickstart, Link
from photonbuild.installer.passwords import shadow
from photonbuild.installer.steps import BootCode, Command, Copy, Folder, Plan, Remove, Step, Write
from photonbuild.installer.storage import Storage, filesystem_steps, fstab, storage, table_steps

MENU_TIMEOUT = 2
SCRIPT = "/root/.postinstall"
# On the root file system even where /boot is one of its own.
INITRAMFS = "/usr/lib/initramfs-lvm.img"
# Words of the medium's kernel command line that are about the medium.
MEDIUM_WORDS = ("ro", "rw", "rootwait", "installer")
MEDIUM_PREFIXES = (
    "BOOT_IMAGE=", "init=", "initrd=", "insecure_installation=", "installer.", "ks=", "live.", "rd.", "rdinit=",
    "root=", "systemd.set_credential", "systemd.unit=",
)  # fmt: skip
COPY_TITLE = "copy the system"


def make_plan(kickstart: Kickstart, facts: Facts) -> Plan:
    """Everything that is going to be done, in order. Raises DiskError and MachineError for what cannot be."""
    layout = storage(kickstart, facts)
    _require_units(kickstart, facts)
    places = facts.places
    steps: list[Step] = [*table_steps(layout, facts), *filesystem_steps(layout), *_mounts(layout, facts)]
    copy = ("cp", "--archive", "--", f"{places.root}/.", str(places.target))
    steps.append(Command(title=COPY_TITLE, argv=copy))
    steps += _late_mounts(layout, facts)
    steps += _settings(kickstart, layout, facts)
    steps += _additions(kickstart, facts)
    steps += _loader(kickstart, layout, facts)
    steps += _postinstall(kickstart, facts)
    steps.append(Command(title="write everything to the disk", argv=("sync",)))
    return Plan(
        disk=facts.disk.path,
        notes=_notes(kickstart, facts),
        preparation=(*_package_check(facts), *_loader_images(kickstart, layout, facts)),
        steps=tuple(steps),
    )


def _require_units(kickstart: Kickstart, facts: Facts) -> None:
    """Units must be there, unless packages or files are added that may bring them."""
    if facts.packages or facts.files:
        return
    for name, state in kickstart.services.items():
        full = (
            name
            if re.search(r"\.(service|socket|target|timer|path|mount|automount|slice|swap)$", name)
            else f"{name}.service"
        )
        template = re.sub(r"@.*\.", "@.", full)
        if state != "masked" and not {full, template} & facts.units:
            raise KickstartError(
                f"the system has no unit '{full}'{nearest(full, facts.units)}", where=f"{kickstart.name}: services"
            )


def _notes(kickstart: Kickstart, facts: Facts) -> tuple[str, ...]:
    notes = []
    wanted = {BIOS: "bios", EFI: "efi"}.get(kickstart.bootmode, facts.firmware)
    if wanted != facts.firmware:
        names = {"bios": "BIOS", "efi": "UEFI"}
        notes.append(
            f"this machine was started by {names[facts.firmware]}, the disk will start by {names[wanted]} only"
        )
    if kickstart.password is None and not kickstart.public_key and not facts.authorized_keys.strip():
        notes.append("neither a password nor a public key: nobody will be able to log in, except by a credential")
    for link in kickstart.links:
        if link.vlan is None and not any(_matches(link, card) for card in facts.cards):
            there = ", ".join(f"{card.name} ({card.address})" for card in facts.cards) or "none"
            notes.append(f"no card of this machine is the '{link.key}' of the kickstart; there are: {there}")
    if facts.disk.model:
        notes.append(f"the disk is {facts.disk.model}, {facts.disk.size // gpt.MIB} MiB")
    return tuple(notes)


def _matches(link: Link, card: Card) -> bool:
    """As systemd.network(5) matches."""
    if link.match_mac and link.match_mac.lower() != card.address.lower():
        return False
    return not link.match_name or fnmatch.fnmatchcase(card.name, link.match_name)


def _target(facts: Facts, path: str) -> str:
    return f"{facts.places.target}{path}".rstrip("/")


def _mount(facts: Facts, path: str, *words: str, title: str = "") -> Command:
    target = _target(facts, path)
    title = title or f"mount {path}"
    return Command(title=title, argv=("mount", *words, target), undo=("umount", target))


def _mounts(layout: Storage, facts: Facts) -> list[Step]:
    steps: list[Step] = []
    mounted = [place for place in layout.places if place.entry.mountpoint and place.entry.filesystem != VFAT]
    for place in sorted(mounted, key=lambda place: place.entry.mountpoint):
        path = place.entry.mountpoint
        steps.append(Folder(title=f"make {path}", path=path))
        steps.append(_mount(facts, path, "-t", place.entry.filesystem, place.device))
    return steps


def _late_mounts(layout: Storage, facts: Facts) -> list[Step]:
    """What must not be there while the root is copied: FAT knows no owners, and the rest is the kernel's."""
    steps: list[Step] = []
    if layout.esp:
        path = layout.esp.entry.mountpoint
        steps.append(Folder(title=f"make {path}", path=path))
        steps.append(_mount(facts, path, "-t", VFAT, layout.esp.device))
    for path, words in (
        ("/proc", ("-t", "proc", "proc")),
        ("/sys", ("-t", "sysfs", "sysfs")),
        ("/dev", ("--bind", "/dev")),
        ("/run", ("-t", "tmpfs", "-o", "mode=0755", "tmpfs")),
    ):
        steps.append(_mount(facts, path, *words))
    if facts.resolver:
        # The folder itself: the network may come up later than this.
        steps.append(Folder(title="make the resolver's folder", path=facts.resolver))
        steps.append(_mount(facts, facts.resolver, "--bind", facts.resolver, title="let scripts resolve names"))
    return steps


def hostname(kickstart: Kickstart, facts: Facts) -> str:
    """The one asked for, or the distribution's id with six digits of this installation's identity."""
    return kickstart.hostname or f"{facts.os_release.get('ID', 'linux')}-{facts.identity[:6]}"


def _settings(kickstart: Kickstart, layout: Storage, facts: Facts) -> list[Step]:
    steps: list[Step] = [
        Write(title="write fstab", path="/etc/fstab", text=fstab(layout)),
        Write(title="name the machine", path="/etc/hostname", text=hostname(kickstart, facts) + "\n"),
        Write(title="empty the machine's id", path="/etc/machine-id", text="", mode=0o444),
    ]
    for path, text in networkd.files(kickstart.links).items():
        steps.append(Write(title=f"write {path}", path=path, text=text))
    if kickstart.password is not None or kickstart.password_age is not None:
        text = shadow(facts.shadow, password=kickstart.password, age=kickstart.password_age, today=facts.today)
        steps.append(Write(title="set root's password", path="/etc/shadow", text=text, mode=0o600, secret=True))
    if kickstart.public_key:
        known = facts.authorized_keys.strip().splitlines()
        keys = [*known, *(key for key in (kickstart.public_key,) if key not in known)]
        steps.append(Folder(title="make /root/.ssh", path="/root/.ssh", mode=0o700))
        text = "\n".join(keys) + "\n"
        steps.append(Write(title="let the key in", path="/root/.ssh/authorized_keys", text=text, mode=0o600))
    return steps


def _rpm(root: str, facts: Facts, *words: str) -> tuple[str, ...]:
    return ("rpm", "--root", root, "--install", *words, *(str(path) for path in facts.packages))


def _package_check(facts: Facts) -> list[Step]:
    """The live system has the same packages as the one to be installed, so rpm can judge before anything is written."""
    if not facts.packages:
        return []
    argv = _rpm("/", facts, "--test", "--ignoresize")
    reason = "the packages cannot be installed"
    return [Command(title="ask rpm whether the packages can be installed", argv=argv, reason=reason)]


def _additions(kickstart: Kickstart, facts: Facts) -> list[Step]:
    steps: list[Step] = []
    if facts.packages:
        argv = _rpm(str(facts.places.target), facts)
        steps.append(Command(title=f"install {len(facts.packages)} packages", argv=argv, reason="rpm failed"))
    for file in facts.files:
        steps.append(Copy(title=f"copy {file.source}", source=file.path, path=file.destination))
    verbs = {"enabled": "enable", "disabled": "disable", "masked": "mask"}
    for unit, state in kickstart.services.items():
        argv = ("systemctl", f"--root={facts.places.target}", verbs[state], unit)
        steps.append(Command(title=f"{verbs[state]} {unit}", argv=argv))
    return steps


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


def _loader(kickstart: Kickstart, layout: Storage, facts: Facts) -> list[Step]:
    root, menu, volume = layout.root, layout.menu, layout.root.entry.volume
    arguments = kernel_arguments(facts.command_line)
    folder = "/boot/grub"
    text = bootloader.disk_menu(
        title=_title(facts),
        root=f"UUID={root.uuid}" if volume else f"PARTUUID={root.partition}",
        arguments=[*([f"rd.lvm.lv={volume.group}/{volume.name}"] if volume else []), *arguments],
        timeout=MENU_TIMEOUT,
        filesystem=root.uuid if menu is not root else "",
        initramfs=INITRAMFS if volume else "",
    )
    steps: list[Step] = [
        Folder(title=f"make {folder}", path=folder),
        Write(title="write the boot menu", path=f"{folder}/grub.cfg", text=text),
    ]
    if volume:
        steps.append(Copy(title="copy the initramfs", source=facts.places.lvm_initramfs, path=INITRAMFS))
    if layout.esp and kickstart.bootmode in (EFI, DUALBOOT):
        loader = f"{layout.esp.entry.mountpoint}/EFI/BOOT/BOOTX64.EFI"
        steps.append(Copy(title="install GRUB for UEFI", source=facts.places.work / "BOOTX64.EFI", path=loader))
    if layout.bios_boot:
        steps.append(
            BootCode(
                title="install GRUB for BIOS",
                disk=layout.disk,
                boot=facts.places.grub / "i386-pc/boot.img",
                core=facts.places.work / "core.img",
                start=layout.bios_boot.start,
                size=layout.bios_boot.size,
            )
        )
    return steps


def grub_modules(layout: Storage) -> Sequence[str]:
    """What GRUB needs to read the menu and the kernel where they lie."""
    extra = []
    for place in (layout.root, layout.menu):
        extra += [XFS] if place.entry.filesystem == XFS else []
        extra += ["lvm"] if place.entry.volume else []
    return [*bootloader.DISK_MODULES, *dict.fromkeys(extra)]


def _loader_images(kickstart: Kickstart, layout: Storage, facts: Facts) -> list[Step]:
    """GRUB's core images, made in memory before the disk is touched."""
    outputs = {"i386-pc": "core.img"} if layout.bios_boot else {}
    if kickstart.bootmode in (EFI, DUALBOOT):
        outputs["x86_64-efi"] = "BOOTX64.EFI"
    config, work = facts.places.work / "first.cfg", facts.places.work
    folder = "/boot/grub" if layout.menu is layout.root else "/grub"
    text = bootloader.disk_first_stage(layout.menu.uuid, folder)
    steps: list[Step] = [Write(title="write GRUB's first configuration", path=str(config), text=text, live=True)]
    for platform, output in outputs.items():
        argv = bootloader.mkimage_argv(
            platform, config=str(config), output=str(work / output), modules=grub_modules(layout)
        )
        steps.append(Command(title=f"make GRUB's image for {platform}", argv=tuple(argv)))
    return steps


def _postinstall(kickstart: Kickstart, facts: Facts) -> list[Step]:
    lines = kickstart.postinstall
    if not lines:
        return []
    if not lines[0].startswith("#!"):
        lines = ("#!/bin/sh", *lines)
    environment = ("env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8")
    if any("\0" in line for line in lines):
        raise KickstartError("a line of postinstall has a zero byte", where=kickstart.name)
    return [
        Write(title="write the script", path=SCRIPT, text="\n".join(lines) + "\n", mode=0o700, secret=True),
        Command(title="run postinstall", argv=("chroot", str(facts.places.target), *environment, SCRIPT)),
        Remove(title="remove the script", paths=(SCRIPT,)),
    ]

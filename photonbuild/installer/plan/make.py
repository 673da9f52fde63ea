"""The whole plan of an installation, in order: disk, copy, settings, packages, boot loader, script."""

from __future__ import annotations

import re
from dataclasses import replace

from photonbuild.documents import nearest
from photonbuild.installer.errors import KickstartError, MachineError
from photonbuild.installer.kickstart.model import BIOS, DUALBOOT, EFI, VFAT, Kickstart
from photonbuild.installer.machine.facts import Facts
from photonbuild.installer.passwords import shadow
from photonbuild.installer.plan import networkd
from photonbuild.installer.plan.additions import (
    image_steps,
    package_check,
    package_steps,
    playbook_steps,
    postinstall_steps,
    script_steps,
)
from photonbuild.installer.plan.bootloader import bootloader_images, bootloader_steps
from photonbuild.installer.plan.encryption import container_steps, key_steps, notes
from photonbuild.installer.plan.filesystems import filesystem_steps, fstab, table_steps
from photonbuild.installer.plan.layout import Layout, bootmode, make_layout
from photonbuild.installer.plan.steps import Command, Folder, Plan, Step, Write


def make_plan(kickstart: Kickstart, facts: Facts) -> Plan:
    """Everything that is going to be done, in order. Raises DiskError and MachineError for what cannot be."""
    require_installable(kickstart)
    interfaces, named = networkd.of_machine(kickstart.interfaces, facts.cards)
    kickstart = replace(kickstart, bootmode=bootmode(kickstart, facts), interfaces=interfaces)
    layout = make_layout(kickstart, facts)
    _require_units(kickstart, facts)
    steps: list[Step] = [*table_steps(layout, facts), *container_steps(layout, facts)]
    steps += [*filesystem_steps(layout, facts), *_mounts(layout, facts)]
    copy = ("cp", "--archive", "--", f"{facts.paths.root}/.", str(facts.paths.target))
    steps.append(Command(title="copy the system", argv=copy))
    steps += _late_mounts(layout, facts)
    steps += _settings(kickstart, layout, facts)
    steps += key_steps(layout, facts)
    steps += script_steps(kickstart, facts)
    steps += package_steps(kickstart, facts)
    steps += image_steps(kickstart, facts)
    steps += bootloader_steps(kickstart, layout, facts)
    steps += playbook_steps(kickstart, facts)
    steps += postinstall_steps(kickstart, facts)
    steps.append(Command(title="write everything to the disk", argv=("sync",)))
    return Plan(
        disks=tuple(table.disk.path for table in layout.tables),
        notes=(*kickstart.notes, *named, *_notes(kickstart, layout, facts)),
        preparation=(*package_check(facts), *bootloader_images(kickstart, layout, facts)),
        steps=tuple(steps),
    )


def require_installable(kickstart: Kickstart) -> None:
    """Raises MachineError for what no installation can do, KickstartError for values that nobody has set."""
    if kickstart.refusals:
        raise MachineError.of(kickstart.refusals, "things cannot be installed", hint="nothing was written")
    if kickstart.pending:
        waiting = ", ".join(f"'{key}' of ${name}" for key, name in kickstart.pending.items())
        raise KickstartError(f"preinstall has to be run first: {waiting}", where=kickstart.name)


def unit_name(name: str) -> str:
    """As systemctl(1) takes it: what has no type is a service."""
    typed = re.search(r"\.(service|socket|target|timer|path|mount|automount|slice|swap)$", name)
    return name if typed else f"{name}.service"


def _require_units(kickstart: Kickstart, facts: Facts) -> None:
    """Units must be there, unless packages or files are added that may bring them."""
    if facts.packages or facts.additional_files:
        return
    for name, state in kickstart.services.items():
        full = unit_name(name)
        template = re.sub(r"@.*\.", "@.", full)
        if state != "masked" and not {full, template} & facts.units:
            raise KickstartError(
                f"the system has no unit '{full}'{nearest(full, facts.units)}", where=f"{kickstart.name}: services"
            )


def _notes(kickstart: Kickstart, layout: Layout, facts: Facts) -> tuple[str, ...]:
    found = notes(kickstart, layout)
    starts = facts.firmware if kickstart.bootmode == DUALBOOT else kickstart.bootmode
    if starts != facts.firmware:
        names = {BIOS: "BIOS", EFI: "UEFI"}
        found.append(
            f"this machine was started by {names[facts.firmware]}, the disk will start by {names[starts]} only"
        )
    if kickstart.password is None and not kickstart.public_key and not facts.authorized_keys.strip():
        found.append("neither a password nor a public key: nobody will be able to log in, except by a credential")
    for interface in kickstart.interfaces:
        if interface.is_card and not any(networkd.matches(interface, card) for card in facts.cards):
            there = ", ".join(f"{card.name} ({card.address})" for card in facts.cards) or "none"
            found.append(f"no card of this machine is the '{interface.key}' of the kickstart; there are: {there}")
    for table in layout.tables:
        found.append(f"the disk is {table.disk.name}; on it: {table.disk.content}")
    if layout.shadows:
        shadowed = ", ".join(made.partition.mountpoint for made in layout.shadows)
        found.append(f"the second partition of {shadowed} stays empty: nothing of this system changes over to it")
    return tuple(found)


def _target(facts: Facts, path: str) -> str:
    return f"{facts.paths.target}{path}".rstrip("/")


def _mount(facts: Facts, path: str, *words: str, title: str = "") -> Command:
    target = _target(facts, path)
    title = title or f"mount {path}"
    return Command(title=title, argv=("mount", *words, target), undo=("umount", target))


def _mounts(layout: Layout, facts: Facts) -> list[Step]:
    steps: list[Step] = []
    mounted: list[tuple[str, tuple[str, ...]]] = []
    for made in layout.filesystems:
        kind = ("-t", made.partition.filesystem)
        mounted += [(made.partition.mountpoint, (*kind, made.device))] if made is not layout.esp else []
        subvolumes = [each for each in made.partition.subvolumes if each.mountpoint]
        mounted += [(each.mountpoint, (*kind, "-o", f"subvol=/{each.path}", made.device)) for each in subvolumes]
    for path, words in sorted(pair for pair in mounted if pair[0]):
        steps.append(Folder(title=f"make {path}", path=path))
        steps.append(_mount(facts, path, *words))
    return steps


def _late_mounts(layout: Layout, facts: Facts) -> list[Step]:
    """What must not be there while the root is copied: FAT knows no owners, and the rest is the kernel's."""
    steps: list[Step] = []
    if layout.esp:
        path = layout.esp.partition.mountpoint
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


def _settings(kickstart: Kickstart, layout: Layout, facts: Facts) -> list[Step]:
    steps: list[Step] = [
        Write(title="write fstab", path="/etc/fstab", text=fstab(layout)),
        Write(title="name the machine", path="/etc/hostname", text=hostname(kickstart, facts) + "\n"),
        Write(title="empty the machine's id", path="/etc/machine-id", text="", mode=0o444),
    ]
    files = networkd.files(kickstart.interfaces) | networkd.resolver(kickstart.nameservers, kickstart.search)
    for path, text in files.items():
        steps.append(Write(title=f"write {path}", path=path, text=text))
    if kickstart.password is not None:
        text = shadow(facts.shadow, password=kickstart.password, age=kickstart.password_age, today=facts.today)
        steps.append(Write(title="set root's password", path="/etc/shadow", text=text, mode=0o600, secret=True))
    if kickstart.public_key:
        known = facts.authorized_keys.strip().splitlines()
        keys = [*known, *(key for key in (kickstart.public_key,) if key not in known)]
        steps.append(Folder(title="make /root/.ssh", path="/root/.ssh", mode=0o700))
        text = "\n".join(keys) + "\n"
        steps.append(Write(title="let the key in", path="/root/.ssh/authorized_keys", text=text, mode=0o600))
    return steps

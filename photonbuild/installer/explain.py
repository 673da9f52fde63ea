"""What a kickstart does, in words, as far as it can be said without the machine. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from photonbuild.installer.kickstart.model import BIOS, DUALBOOT, EFI, Interface, Kickstart, Partition, Scripts, Target
from photonbuild.installer.kickstart.urls import redacted

STARTS = {BIOS: "BIOS", EFI: "UEFI", DUALBOOT: "BIOS and UEFI"}


def explain(kickstart: Kickstart) -> str:
    """Lines for a reader: what is lost, what is made, who gets in, what is run, what a key does not do."""
    sections = [
        ("first", _first(kickstart)),
        ("disks", _disks(kickstart)),
        ("system", _system(kickstart)),
        ("network", _network(kickstart)),
        ("added", _added(kickstart)),
        ("run", _run(kickstart)),
        ("note", iter(kickstart.notes)),
        ("refused", _refused(kickstart)),
    ]
    lines = [f"{title + ':':9} {line}" for title, found in sections for line in found]
    return redacted("\n".join(lines) + "\n")


def _refused(kickstart: Kickstart) -> Iterator[str]:
    for reason in kickstart.refusals:
        yield f"{reason}; an installation stops for this before anything is written"


def _scripts(scripts: Scripts, name: str, where: str) -> Iterator[str]:
    if scripts.lines:
        yield f"{name}, a script of {len(scripts.lines)} lines, {where}"
    for file in scripts.files:
        yield f"{file}, {where}"


def _first(kickstart: Kickstart) -> Iterator[str]:
    yield from _scripts(kickstart.preinstall, "preinstall", "in the live system, before anything is written")
    for key, name in kickstart.pending.items():
        yield f"'{key}' is then what it has set ${name} to"


def _disks(kickstart: Kickstart) -> Iterator[str]:
    for target in kickstart.used_disks:
        partitions = [each for each in kickstart.partitions if each.disk_id == target.id]
        yield f"everything on {_name(target, kickstart)} is lost"
        if any(each.all_disk for each in partitions):
            yield "  the whole disk, without a partition table"
        elif target is kickstart.used_disks[0]:
            yield f"  a GUID partition table, started by {STARTS.get(kickstart.bootmode, kickstart.bootmode)}"
        else:
            yield "  a GUID partition table"
        for partition in sorted(partitions, key=lambda each: each.size == 0):
            yield f"  {_partition(partition, kickstart)}"
    unused = [target for target in kickstart.disks if target not in kickstart.used_disks]
    for target in unused:
        yield f"nothing is written to {_name(target, kickstart)}"


def _name(target: Target, kickstart: Kickstart) -> str:
    if target.filename:
        return f"the image file {target.filename} of {target.size} MiB ('{target.id}')"
    return f"{target.device} ('{target.id}')" if len(kickstart.disks) > 1 else target.device


def _partition(partition: Partition, kickstart: Kickstart) -> str:
    what = f"{partition.filesystem} for {partition.mountpoint}" if partition.mountpoint else partition.filesystem
    if partition.size is None:
        size = f"{partition.sizepercent} percent"
    else:
        size = f"{partition.size} MiB" if partition.size else "what is left"
    words = [f"{what}, {size}"]
    if partition.lvm:
        words.append(f"logical volume {partition.lvm.lv_name} of the group {partition.lvm.vg_name}")
    if partition.luks:
        own = partition.mountpoint != "/" and kickstart.encrypted_root
        opened = "a key file in the encrypted /" if own else "a passphrase that is asked for at each start"
        words.append(f"encrypted with LUKS, opened by {opened}")
    words += [f"mounted with {partition.fs_options}"] if partition.fs_options else []
    words += ["and once more, empty"] if partition.ab else []
    names = [each.path + (f" at {each.mountpoint}" if each.mountpoint else "") for each in partition.subvolumes]
    words += [f"subvolumes {', '.join(names)}"] if names else []
    return ", ".join(words)


def _system(kickstart: Kickstart) -> Iterator[str]:
    yield f"host name: {kickstart.hostname or 'one of its own'}"
    if kickstart.password is None and "password.text" not in kickstart.pending:
        yield "root has no password"
    else:
        age = {None: "", 0: ", a new one is asked for at the first log-in", -1: ", for ever"}
        days = age.get(kickstart.password_age, f", for {kickstart.password_age} days")
        yield f"root has a password, for the console{days}"
    yield "a public key lets root in by ssh" if kickstart.public_key else "no key lets root in by ssh"
    for unit, state in kickstart.services.items():
        yield f"{unit} is {state}"


def _network(kickstart: Kickstart) -> Iterator[str]:
    if not kickstart.interfaces:
        yield "every card asks by DHCP"
    for interface in kickstart.interfaces:
        yield _interface(interface)
    if kickstart.nameservers:
        yield f"name servers {', '.join(kickstart.nameservers)}"


def _interface(interface: Interface) -> str:
    if interface.vlan_id is not None:
        words = [f"VLAN {interface.vlan_id} on '{interface.link}', called {interface.key}"]
    elif interface.members:
        words = [f"bond {interface.key} of {', '.join(interface.members)}"]
    else:
        words = [f"card {interface.match_macaddress or interface.match_name}"]
    asked = [name for name, on in (("IPv4", interface.dhcp4), ("IPv6", interface.dhcp6)) if on]
    words += [f"asks for {' and '.join(asked)}"] if asked else []
    words += [f"has {', '.join(interface.addresses)}"] if interface.addresses else []
    words += [f"over {interface.gateway}"] if interface.gateway else []
    return ", ".join(words)


def _added(kickstart: Kickstart) -> Iterator[str]:
    if kickstart.packages:
        yield f"packages {', '.join(kickstart.packages)}"
    for name in kickstart.packagelist_files:
        yield f"packages of the list {name}"
    if kickstart.additional_rpms_path:
        yield f"every package file in {kickstart.additional_rpms_path}"
    for repository in kickstart.repos:
        signed = "signed" if repository.gpgcheck else "not asked for signatures"
        yield f"from the repository {repository.name}, {repository.baseurl}, {signed}"
    for source, destination in kickstart.additional_files:
        yield f"{source} as {destination}"
    for image in kickstart.images:
        yield f"container image {image.name or image.filename}, at the first start"
    if kickstart.user_grub_cfg_file:
        yield f"arguments for the kernel from {kickstart.user_grub_cfg_file}"


def _run(kickstart: Kickstart) -> Iterator[str]:
    yield from _scripts(kickstart.prepkgsinstall, "prepkgsinstall", "in the live system, before packages are added")
    for book in kickstart.playbooks:
        yield f"the playbook {book.playbook}, by ansible-playbook of the live system"
    yield from _scripts(kickstart.postinstall, "postinstall", "in the new system, at the end")

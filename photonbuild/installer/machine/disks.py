"""The disks of the machine, what they are in use for, and the volume groups on them."""

from __future__ import annotations

import os
from pathlib import Path

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import DiskError
from photonbuild.installer.machine.facts import Disk
from photonbuild.installer.machine.kernel import Kernel, mounts
from photonbuild.installer.paths import Paths
from photonbuild.run import run

# Of /sys/block/*/size, whatever the disk's own is.
SECTOR = 512
# Devices that are no disks to install onto: memory, floppies, CDs, other devices' views.
OTHER_DEVICES = ("ram", "loop", "zram", "fd", "sr", "dm-", "md", "nbd")


def disks(kernel: Kernel, paths: Paths) -> list[Disk]:
    """Every disk, with what it is in use for."""
    found = []
    mounted = mounts(kernel)
    for folder in sorted((kernel.root / "sys/block").glob("*")):
        if folder.name.startswith(OTHER_DEVICES):
            continue
        base = f"sys/block/{folder.name}"
        size = int(kernel.text(f"{base}/size") or 0) * SECTOR
        if not size:
            continue
        vendor = kernel.text(f"{base}/device/vendor")
        # Where it is a number, it says nothing to a reader.
        named = "" if vendor.startswith("0x") else vendor
        model = " ".join(f"{named} {kernel.text(f'{base}/device/model')}".split())
        in_use = _in_use(kernel, folder, mounted, paths)
        found.append(Disk(path=kernel.device(folder.name.replace("!", "/")), size=size, model=model, in_use=in_use))
    return found


def _in_use(kernel: Kernel, folder: Path, mounted: dict[str, str], paths: Paths) -> str:
    if (folder / "ro").exists() and (folder / "ro").read_text().strip() == "1":
        return "it is read-only"
    swaps = [line.split()[0] for line in kernel.text("proc/swaps").splitlines()[1:] if line.split()]
    for device in [folder, *sorted(folder.glob(f"{folder.name}*"))]:
        users = [device, *(folder.parent / holder.name for holder in sorted(device.glob("holders/*")))]
        for user in users:
            number = kernel.text(str((user / "dev").relative_to(kernel.root)))
            point = mounted.get(number, "") if number else ""
            if point == str(paths.medium):
                return "this system runs from it"
            if point:
                return f"/dev/{user.name} is mounted at {point}"
            if f"/dev/{user.name}" in swaps:
                return f"/dev/{user.name} is in use as swap"
    return ""


def find_disk(name: str, kernel: Kernel, paths: Paths) -> Disk:
    """The disk that the kickstart names. Raises DiskError when it is not there, no disk, or in use."""
    known = disks(kernel, paths)
    path = os.path.realpath(kernel.root / name.lstrip("/"))
    disk = next((disk for disk in known if disk.path == path), None)
    if disk is None:
        what = "this is no disk" if os.path.exists(path) else "there is no such disk"
        there = ", ".join(f"{disk.path} ({disk.size >> 20} MiB)" for disk in known) or "none"
        raise DiskError(f"{what}: {name}", where="disk", hint=f"disks of this machine: {there}")
    if disk.in_use:
        raise DiskError(f"{disk.path} is in use: {disk.in_use}", where="disk")
    return disk


def volume_groups() -> dict[str, tuple[str, ...]]:
    """Devices of each group that LVM knows; none where there is no LVM."""
    argv = ["pvs", "--noheadings", "--separator=|", "--options=vg_name,pv_name"]
    try:
        done = run(argv, check=False)
    except PhotonbuildError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in done.stdout.splitlines():
        name, _, device = line.strip().partition("|")
        if name:
            found[name] = (*found.get(name, ()), device)
    return found

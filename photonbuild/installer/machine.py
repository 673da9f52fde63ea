"""Finds out what a plan needs to know of this machine, and fetches what the kickstart names. Writes to no disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.facts import Card, Disk, Facts, LocalFile, Package, Places
from photonbuild.installer.failures import DiskError, MachineError, PackageError
from photonbuild.installer.fetching import Fetcher, Source, source
from photonbuild.installer.kickstart import XFS, Kickstart, Repository
from photonbuild.installer.repository import choose, read_repository, required
from photonbuild.run import run

RESOLVER = "/run/systemd/resolve"
SECTOR = 512
BLOCK = 4096
# Programs that an installed system needs for what its kickstart asks for; the package that has one is added.
VOLUMES = "volumes"
PROGRAMS = {VOLUMES: "/usr/sbin/lvm", XFS: "/usr/sbin/fsck.xfs"}
# Devices that are no disks to install onto: memory, floppies, CDs, other devices' views.
OTHER_DEVICES = ("ram", "loop", "zram", "fd", "sr", "dm-", "md", "nbd")


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Where the kernel tells of itself and has its devices; tests put a tree of their own there."""

    root: Path = Path("/")

    def text(self, path: str) -> str:
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def device(self, name: str) -> str:
        """/dev/NAME."""
        return str(self.root / "dev" / name)


def disks(kernel: Kernel, places: Places) -> list[Disk]:
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
        in_use = _in_use(kernel, folder, mounted, places)
        found.append(Disk(path=kernel.device(folder.name.replace("!", "/")), size=size, model=model, in_use=in_use))
    return found


def mounts(kernel: Kernel) -> dict[str, str]:
    """Mount points by major:minor of their device (proc_pid_mountinfo(5))."""
    found: dict[str, str] = {}
    for line in kernel.text("proc/self/mountinfo").splitlines():
        words = line.split()
        if len(words) > 4:
            found.setdefault(words[2], words[4])
    return found


def _in_use(kernel: Kernel, folder: Path, mounted: dict[str, str], places: Places) -> str:
    if (folder / "ro").exists() and (folder / "ro").read_text().strip() == "1":
        return "it is read-only"
    swaps = [line.split()[0] for line in kernel.text("proc/swaps").splitlines()[1:] if line.split()]
    for device in [folder, *sorted(folder.glob(f"{folder.name}*"))]:
        users = [device, *(folder.parent / holder.name for holder in sorted(device.glob("holders/*")))]
        for user in users:
            number = kernel.text(str((user / "dev").relative_to(kernel.root)))
            point = mounted.get(number, "") if number else ""
            if point == str(places.medium):
                return "this system runs from it"
            if point:
                return f"/dev/{user.name} is mounted at {point}"
            if f"/dev/{user.name}" in swaps:
                return f"/dev/{user.name} is in use as swap"
    return ""


def find_disk(name: str, kernel: Kernel, places: Places) -> Disk:
    """The disk that the kickstart names. Raises DiskError when it is not there, no disk, or in use."""
    known = disks(kernel, places)
    path = os.path.realpath(kernel.root / name.lstrip("/"))
    disk = next((disk for disk in known if disk.path == path), None)
    if disk is None:
        what = "this is no disk" if os.path.exists(path) else "there is no such disk"
        there = ", ".join(f"{disk.path} ({disk.size >> 20} MiB)" for disk in known) or "none"
        raise DiskError(f"{what}: {name}", where="disk", hint=f"disks of this machine: {there}")
    if disk.in_use:
        raise DiskError(f"{disk.path} is in use: {disk.in_use}", where="disk")
    return disk


def firmware(kernel: Kernel) -> str:
    return "efi" if (kernel.root / "sys/firmware/efi").exists() else "bios"


def file_systems(kernel: Kernel) -> frozenset[str]:
    """Names that the kernel knows (proc_filesystems(5))."""
    return frozenset(line.split()[-1] for line in kernel.text("proc/filesystems").splitlines() if line.split())


def tree_size(root: Path) -> int:
    """Bytes that a copy of the tree takes, in whole blocks; a file with several names counts once."""
    total, seen = 0, set()
    for folder, names, files in os.walk(root):
        total += BLOCK * (1 + len(names))
        for name in files:
            status = os.lstat(os.path.join(folder, name))
            if status.st_nlink > 1 and (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if stat.S_ISREG(status.st_mode):
                total += -(-status.st_size // BLOCK) * BLOCK
    return total


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


def os_release(text: str) -> dict[str, str]:
    """os-release(5)."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            with contextlib.suppress(ValueError):
                found[key.strip()] = " ".join(shlex.split(value))
    return found


def installed_packages() -> dict[str, set[str]]:
    """Versions of every package of the live system, which are those of the one to be installed, by name."""
    form = r"%{NAME} %{VERSION} %{VERSION}-%{RELEASE}\n"
    found: dict[str, set[str]] = {}
    for line in run(["rpm", "--query", "--all", f"--queryformat={form}"], error=MachineError).stdout.splitlines():
        name, *versions = line.split()
        found.setdefault(name, set()).update(versions)
    return found


def missing_packages(kickstart: Kickstart, places: Places, known: frozenset[str]) -> list[str]:
    """What of `packages`, and of the programs that its file systems need, the system does not have already.

    `known` are the file systems of the kernel: what is not in it is refused later, with a better reason.
    """
    used = {entry.filesystem for entry in kickstart.filesystems} & known
    used |= {VOLUMES for entry in kickstart.filesystems if entry.volume}
    programs = [path for name, path in sorted(PROGRAMS.items()) if name in used]
    wanted = [path for path in programs if not (places.root / path.lstrip("/")).exists()]
    if not kickstart.packages:
        return wanted
    there = installed_packages()
    named = [text.partition("=") for text in kickstart.packages]
    return wanted + [name + equals + version for name, equals, version in named
                     if name not in there or (version and version not in there[name])]  # fmt: skip


def unmet(capabilities: Sequence[str]) -> set[str]:
    """Those that no package of the system provides."""
    if not capabilities:
        return set()
    done = run(["rpm", "--query", "--whatprovides", *capabilities], check=False, error=MachineError)
    complaints = [line for line in f"{done.stdout}{done.stderr}".splitlines() if line.startswith(("no pack", "error:"))]
    return {
        name for name in capabilities if any(line.endswith(f" {name}") or f" {name}: " in line for line in complaints)
    }


def fetch_packages(
    kickstart: Kickstart, fetcher: Fetcher, known: frozenset[str]
) -> tuple[list[Package], tuple[Path, ...]]:
    """Every package that there is, and the files of those to add. Raises PackageError and FetchError."""
    wanted = missing_packages(kickstart, fetcher.places, known)
    if not wanted:
        return [], ()
    repositories = list(kickstart.repositories)
    if fetcher.places.packages.is_dir():
        repositories.append(Repository(name="medium", baseurl=f"file://{fetcher.places.packages}"))
    if not repositories:
        raise PackageError(
            f"{', '.join(wanted)}: not on this medium, and no repository is named",
            where=kickstart.name,
            hint="name one under 'repos'",
        )
    available = [package for repository in repositories for package in read_repository(fetcher, repository)]
    try:
        chosen = required(choose(wanted, available), available, unmet)
    except PackageError as error:
        hint = error.hint or (None if kickstart.repositories else "name a repository that has it under 'repos'")
        raise PackageError(error.message, where=error.where, detail=error.detail, hint=hint) from None
    folder = fetcher.places.work / "packages"
    paths = [
        fetcher.file(source(package.url), folder / package.url.rpartition("/")[2], sha256=package.sha256)
        for package in chosen
    ]
    return available, tuple(paths)


def fetch_files(kickstart: Kickstart, fetcher: Fetcher, base: Source | None) -> Iterator[LocalFile]:
    for number, (text, destination) in enumerate(kickstart.files):
        wanted = source(text, base=base)
        path = fetcher.file(wanted, fetcher.places.work / f"files/{number}")
        if destination.endswith("/"):
            destination += wanted.text.rstrip("/").rpartition("/")[2]
        yield LocalFile(source=wanted.text, path=path, destination=destination)


def gather(kickstart: Kickstart, fetcher: Fetcher, base: Source | None, *, kernel: Kernel | None = None) -> Facts:
    """Everything about this machine, with the packages and files of the kickstart at hand."""
    kernel, places = kernel or Kernel(), fetcher.places
    disk = find_disk(kickstart.disk, kernel, places)
    if not (places.root / "usr").is_dir():
        raise MachineError(f"there is no system to copy at {places.root}", hint="start this from the live medium")
    files = tuple(fetch_files(kickstart, fetcher, base))
    filesystems = file_systems(kernel)
    available, packages = fetch_packages(kickstart, fetcher, filesystems)
    return Facts(
        places=places,
        disk=disk,
        firmware=firmware(kernel),
        root_size=tree_size(places.root) + sum(path.stat().st_size for path in packages) * 4,
        identity=secrets.token_hex(16),
        today=int(time.time()) // 86400,
        filesystems=filesystems,
        volume_groups=volume_groups(),
        has_lvm_initramfs=places.lvm_initramfs.exists(),
        packages=packages,
        available=tuple(available),
        files=files,
        shadow=_read(places.root / "etc/shadow"),
        authorized_keys=_read(places.root / "root/.ssh/authorized_keys"),
        os_release=os_release(_read(places.root / "usr/lib/os-release")),
        command_line=kernel.text("proc/cmdline"),
        units=units(places.root),
        resolver=RESOLVER if (kernel.root / RESOLVER.lstrip("/")).is_dir() else "",
        cards=cards(kernel),
    )


def cards(kernel: Kernel) -> tuple[Card, ...]:
    """Every card; what has no device behind it is the host's own making."""
    folders = sorted((kernel.root / "sys/class/net").glob("*"))
    return tuple(
        Card(name=folder.name, address=kernel.text(f"sys/class/net/{folder.name}/address"))
        for folder in folders
        if (folder / "device").exists()
    )


def units(root: Path) -> frozenset[str]:
    """Names of unit files of a system."""
    folders = [root / "usr/lib/systemd/system", root / "etc/systemd/system"]
    return frozenset(path.name for folder in folders if folder.is_dir() for path in folder.iterdir())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

"""Gathers the facts of this machine, and fetches what the kickstart names. Writes to no disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from photonbuild.installer.errors import MachineError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import Source, parse_source
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.machine.disks import find_disk, volume_groups
from photonbuild.installer.machine.facts import Facts, LocalFile
from photonbuild.installer.machine.kernel import Kernel, cards, file_systems, firmware
from photonbuild.installer.machine.packages import fetch_packages

RESOLVER = "/run/systemd/resolve"
BLOCK = 4096


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


def os_release(text: str) -> dict[str, str]:
    """os-release(5)."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            with contextlib.suppress(ValueError):
                found[key.strip()] = " ".join(shlex.split(value))
    return found


def fetch_files(kickstart: Kickstart, fetcher: Fetcher, base: Source | None) -> Iterator[LocalFile]:
    for number, (text, destination) in enumerate(kickstart.additional_files):
        source = parse_source(text, base=base)
        path = fetcher.fetch(source, fetcher.paths.work / f"files/{number}")
        if destination.endswith("/"):
            destination += source.name.rstrip("/").rpartition("/")[2]
        yield LocalFile(source=source.name, path=path, destination=destination)


def gather_facts(kickstart: Kickstart, fetcher: Fetcher, base: Source | None, *, kernel: Kernel | None = None) -> Facts:
    """Everything about this machine, with the packages and files of the kickstart at hand."""
    kernel, paths = kernel or Kernel(), fetcher.paths
    disk = find_disk(kickstart.disk, kernel, paths)
    if not (paths.root / "usr").is_dir():
        raise MachineError(f"there is no system to copy at {paths.root}", hint="start this from the live medium")
    files = tuple(fetch_files(kickstart, fetcher, base))
    filesystems = file_systems(kernel)
    packages = fetch_packages(kickstart, fetcher, filesystems)
    return Facts(
        paths=paths,
        kernel=kernel,
        disk=disk,
        firmware=firmware(kernel),
        root_size=tree_size(paths.root) + sum(path.stat().st_size for path in packages) * 4,
        identity=secrets.token_hex(16),
        today=int(time.time()) // 86400,
        filesystems=filesystems,
        volume_groups=volume_groups(),
        has_lvm_initramfs=paths.lvm_initramfs.exists(),
        packages=packages,
        additional_files=files,
        shadow=_read(paths.root / "etc/shadow"),
        authorized_keys=_read(paths.root / "root/.ssh/authorized_keys"),
        os_release=os_release(_read(paths.root / "usr/lib/os-release")),
        command_line=kernel.text("proc/cmdline"),
        units=units(paths.root),
        resolver=RESOLVER if (kernel.root / RESOLVER.lstrip("/")).is_dir() else "",
        cards=cards(kernel),
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

"""Gathers the facts of this machine, and fetches what the kickstart names. Writes to no disk."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import stat
import string
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from photonbuild.installer.errors import DiskError, KickstartError, MachineError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import Source, parse_source
from photonbuild.installer.kickstart.model import DEFAULT, Kickstart
from photonbuild.installer.machine.disks import find_disk, volume_groups
from photonbuild.installer.machine.facts import Disk, Facts, LocalFile
from photonbuild.installer.machine.kernel import Kernel, cards, file_systems, firmware
from photonbuild.installer.machine.packages import fetch_packages
from photonbuild.installer.paths import Paths

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
        file = fetch_file(text, kickstart, fetcher, base, f"files/{number}")
        if destination.endswith("/"):
            destination += file.source.rstrip("/").rpartition("/")[2]
        yield replace(file, destination=destination)


def fetch_file(text: str, kickstart: Kickstart, fetcher: Fetcher, base: Source | None, place: str) -> LocalFile:
    """A file that the kickstart names; what is remote is kept at `place` of the work folder."""
    source, path = fetcher.find(text, base, kickstart.search_path, fetcher.paths.work / place)
    return LocalFile(source=source.name, path=path)


def fetch_scripts(
    names: Sequence[str], key: str, kickstart: Kickstart, fetcher: Fetcher, base: Source | None
) -> tuple[LocalFile, ...]:
    return tuple(
        fetch_file(name, kickstart, fetcher, base, f"scripts/{key}-{number}") for number, name in enumerate(names)
    )


def user_arguments(text: str, name: str) -> tuple[str, ...]:
    """Words of `user_cmdline` in a file of lines NAME=VALUE, with the values of other names for $NAME.

    Raises KickstartError.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        key, equals, value = line.partition("=")
        if line and not line.startswith("#") and not equals:
            raise KickstartError("NAME=VALUE is expected", where=f"{name}:{number}")
        values[key.strip()] = string.Template(value.strip().strip("\"'")).safe_substitute(values)
    words = tuple(values.get("user_cmdline", "").split())
    for word in words:
        if set(word) & set("'\"\\\\$;{}"):
            raise KickstartError(f"'{word}' of user_cmdline cannot stand in GRUB's menu", where=name)
    return words


def find_disks(kickstart: Kickstart, kernel: Kernel, paths: Paths) -> dict[str, Disk]:
    """Every disk that is written to, by its name in the kickstart. Raises DiskError, also where two are one."""
    found: dict[str, Disk] = {}
    for target in kickstart.used_disks:
        disk = find_disk(target.device, kernel, paths)
        for name, other in found.items():
            if other.path == disk.path:
                raise DiskError(f"'{name}' and '{target.id}' are one disk: {disk.path}", where="disks")
        found[target.id] = disk
    return found


def gather_facts(kickstart: Kickstart, fetcher: Fetcher, base: Source | None, *, kernel: Kernel | None = None) -> Facts:
    """Everything about this machine, with the packages and files of the kickstart at hand."""
    kernel, paths = kernel or Kernel(), fetcher.paths
    disks = find_disks(kickstart, kernel, paths)
    if not (paths.root / "usr").is_dir():
        raise MachineError(f"there is no system to copy at {paths.root}", hint="start this from the live medium")
    files = tuple(fetch_files(kickstart, fetcher, base))
    filesystems = file_systems(kernel)
    packages = fetch_packages(kickstart, fetcher, filesystems, base)
    arguments: tuple[str, ...] = ()
    if kickstart.user_grub_cfg_file:
        file = fetch_file(kickstart.user_grub_cfg_file, kickstart, fetcher, base, "user.cfg")
        arguments = user_arguments(fetcher.read_text(parse_source(f"file:{file.path}")), file.source)
    images = tuple(
        fetch_file(image.filename, kickstart, fetcher, base, f"images/{number}") if image.method == "load" else None
        for number, image in enumerate(kickstart.images)
    )
    return Facts(
        paths=paths,
        kernel=kernel,
        disk=disks.pop(DEFAULT),
        more_disks=disks,
        firmware=firmware(kernel),
        root_size=tree_size(paths.root)
        + sum(path.stat().st_size for path in packages) * 4
        + sum(file.path.stat().st_size for file in images if file),
        identity=secrets.token_hex(16),
        today=int(time.time()) // 86400,
        filesystems=filesystems,
        volume_groups=volume_groups(),
        has_initramfs=paths.initramfs.exists(),
        packages=packages,
        additional_files=files,
        scripts={
            "prepkgsinstall": fetch_scripts(kickstart.prepkgsinstall.files, "before", kickstart, fetcher, base),
            "postinstall": fetch_scripts(kickstart.postinstall.files, "after", kickstart, fetcher, base),
        },
        images=images,
        playbooks=fetch_scripts([book.playbook for book in kickstart.playbooks], "playbook", kickstart, fetcher, base),
        user_arguments=arguments,
        shadow=_read(paths.root / "etc/shadow"),
        authorized_keys=_read(paths.root / "root/.ssh/authorized_keys"),
        os_release=os_release(_read(paths.root / "usr/lib/os-release")),
        command_line=kernel.text("proc/cmdline"),
        units=units(paths.root),
        resolver=RESOLVER if (kernel.root / RESOLVER.lstrip("/")).is_dir() else "",
        cards=cards(kernel),
        memory=memory(kernel),
        secret=secrets.token_hex(32),
    )


def memory(kernel: Kernel) -> int:
    """Bytes of the machine's memory, as /proc/meminfo has it; 0 where it does not say."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", kernel.text("proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def units(root: Path) -> frozenset[str]:
    """Names of unit files of a system."""
    folders = [root / "usr/lib/systemd/system", root / "etc/systemd/system"]
    return frozenset(path.name for folder in folders if folder.is_dir() for path in folder.iterdir())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

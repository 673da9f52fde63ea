"""Which packages the kickstart adds to the system of the medium, and their files, fetched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from photonbuild.installer.errors import FetchError, MachineError, PackageError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import Source, parse_source
from photonbuild.installer.fetch.tdnf import download
from photonbuild.installer.kickstart.model import BTRFS, XFS, Kickstart, Repository
from photonbuild.installer.kickstart.parse import packages_listed
from photonbuild.installer.paths import Paths
from photonbuild.run import run

# Programs that an installed system needs for what its kickstart asks for, and what comes with modules of the kernel:
# the package that has such a file is added.
LVM, LUKS, KERNELS = "lvm", "luks", "kernels"
PROGRAMS = {
    LVM: ("/usr/sbin/lvm",),
    LUKS: ("/usr/bin/systemd-cryptsetup",),
    KERNELS: ("/usr/sbin/update-initramfs",),
    XFS: ("/usr/sbin/fsck.xfs",),
    BTRFS: ("/usr/bin/btrfs", "/usr/lib/modules-load.d/btrfs.conf"),
}
# What the medium's own packages are called; no key of a kickstart's `repos` begins so.
MEDIUM = "_medium"


def installed_packages() -> dict[str, set[str]]:
    """Versions of every package of the live system, which are those of the one to be installed, by name."""
    form = r"%{NAME} %{VERSION} %{VERSION}-%{RELEASE} %{EPOCHNUM}:%{VERSION} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"
    found: dict[str, set[str]] = {}
    for line in run(["rpm", "--query", "--all", f"--queryformat={form}"], error=MachineError).stdout.splitlines():
        if words := line.split():
            found.setdefault(words[0], set()).update(words[1:])
    return found


def missing_programs(kickstart: Kickstart, paths: Paths, known: frozenset[str]) -> list[str]:
    """Paths of the programs that its file systems need and the system does not have.

    `known` are the file systems of the kernel: what is not in it is refused later, with a better reason.
    """
    used = {partition.filesystem for partition in kickstart.partitions} & known
    used |= {LVM for partition in kickstart.partitions if partition.lvm}
    used |= {LUKS for partition in kickstart.partitions if partition.luks}
    used |= set() if kickstart.root.keeps_kernels else {KERNELS}
    programs = [file for name, files in sorted(PROGRAMS.items()) if name in used for file in files]
    return [path for path in programs if not (paths.root / path.lstrip("/")).exists()]


def listed_packages(kickstart: Kickstart, fetcher: Fetcher, base: Source | None) -> tuple[str, ...]:
    """Packages of the kickstart and of the lists that it names. Raises ConfigError and FetchError."""
    found = list(kickstart.packages)
    for number, name in enumerate(kickstart.packagelist_files):
        source, path = fetcher.find(name, base, kickstart.search_path, fetcher.paths.work / f"lists/{number}")
        found += packages_listed(fetcher.read_text(parse_source(f"file:{path}")), source.name)
    return tuple(dict.fromkeys(found))


def folder_packages(kickstart: Kickstart, fetcher: Fetcher, base: Source | None) -> tuple[Path, ...]:
    """Every package file of `additional_rpms_path`. Raises FetchError."""
    if not kickstart.additional_rpms_path:
        return ()
    name, work = kickstart.additional_rpms_path, fetcher.paths.work
    source, folder = fetcher.find(name, base, kickstart.search_path, work / "rpms")
    found = tuple(sorted(folder.glob("*.rpm"))) if folder.is_dir() else ()
    if not found:
        raise FetchError("there is no package file in this folder", where=source.name)
    return found


def repository_keys(kickstart: Kickstart, fetcher: Fetcher, base: Source | None) -> dict[str, list[Path]]:
    """Files of the keys of each repository. Raises FetchError."""
    found: dict[str, list[Path]] = {}
    for repository in kickstart.repos:
        for number, text in enumerate(repository.gpgkeys):
            text = text.removeprefix("file://") if text.startswith("file:///") else text
            target = fetcher.paths.work / f"keys/{repository.name}-{number}"
            _, path = fetcher.find(text, base, kickstart.search_path, target)
            found.setdefault(repository.name, []).append(path)
    return found


def fetch_packages(
    kickstart: Kickstart, fetcher: Fetcher, known: frozenset[str], base: Source | None = None
) -> tuple[Path, ...]:
    """The files of those to add. Raises PackageError and FetchError."""
    files = folder_packages(kickstart, fetcher, base)
    return (*files, *_fetch_named(kickstart, fetcher, known, base))


def _fetch_named(
    kickstart: Kickstart, fetcher: Fetcher, known: frozenset[str], base: Source | None
) -> tuple[Path, ...]:
    kickstart = replace(kickstart, packages=listed_packages(kickstart, fetcher, base))
    wanted = missing_programs(kickstart, fetcher.paths, known)
    there = installed_packages() if wanted or kickstart.packages else {}
    named = [text.partition("=") for text in kickstart.packages]
    missing = [parts for parts in named if parts[0] not in there or (parts[2] and parts[2] not in there[parts[0]])]
    wanted += ["".join(parts) for parts in missing]
    if not wanted:
        return ()
    repositories = list(kickstart.repos)
    if fetcher.paths.packages.is_dir():
        repositories.append(Repository(name=MEDIUM, baseurl=f"file://{fetcher.paths.packages}"))
    if not repositories:
        raise PackageError(
            f"{', '.join(wanted)}: not on this medium, and no repository is named",
            where=kickstart.name,
            hint="name one under 'repos'",
        )
    try:
        # What the system has stays as it is, unless another version is named: then rpm judges.
        excluded = sorted(there.keys() - {parts[0] for parts in missing})
        return download(wanted, repositories, fetcher, excluded, repository_keys(kickstart, fetcher, base))
    except PackageError as error:
        hint = error.hint or (None if kickstart.repos else "name a repository that has it under 'repos'")
        raise PackageError(error.message, where=error.where, detail=error.detail, hint=hint) from None

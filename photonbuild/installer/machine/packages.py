"""Which packages the kickstart adds to the system of the medium, and their files, fetched."""

from __future__ import annotations

from pathlib import Path

from photonbuild.installer.errors import MachineError, PackageError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.tdnf import download
from photonbuild.installer.kickstart.model import XFS, Kickstart, Repository
from photonbuild.installer.paths import Paths
from photonbuild.run import run

# Programs that an installed system needs for what its kickstart asks for; the package that has one is added.
LVM = "lvm"
PROGRAMS = {LVM: "/usr/sbin/lvm", XFS: "/usr/sbin/fsck.xfs"}
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
    programs = [path for name, path in sorted(PROGRAMS.items()) if name in used]
    return [path for path in programs if not (paths.root / path.lstrip("/")).exists()]


def fetch_packages(kickstart: Kickstart, fetcher: Fetcher, known: frozenset[str]) -> tuple[Path, ...]:
    """The files of those to add. Raises PackageError and FetchError."""
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
        return download(wanted, repositories, fetcher, sorted(there.keys() - {parts[0] for parts in missing}))
    except PackageError as error:
        hint = error.hint or (None if kickstart.repos else "name a repository that has it under 'repos'")
        raise PackageError(error.message, where=error.where, detail=error.detail, hint=hint) from None

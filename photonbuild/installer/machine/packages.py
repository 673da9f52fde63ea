"""Which packages the kickstart adds to the system of the medium, and their files, fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from photonbuild.installer.errors import MachineError, PackageError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.repository import Package, read_repository
from photonbuild.installer.fetch.resolve import choose, with_required
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.kickstart.model import XFS, Kickstart, Repository
from photonbuild.installer.paths import Paths
from photonbuild.run import run

# Programs that an installed system needs for what its kickstart asks for; the package that has one is added.
LVM = "lvm"
PROGRAMS = {LVM: "/usr/sbin/lvm", XFS: "/usr/sbin/fsck.xfs"}


def installed_packages() -> dict[str, set[str]]:
    """Versions of every package of the live system, which are those of the one to be installed, by name."""
    form = r"%{NAME} %{VERSION} %{VERSION}-%{RELEASE}\n"
    found: dict[str, set[str]] = {}
    for line in run(["rpm", "--query", "--all", f"--queryformat={form}"], error=MachineError).stdout.splitlines():
        if words := line.split():
            found.setdefault(words[0], set()).update(words[1:])
    return found


def missing_packages(kickstart: Kickstart, paths: Paths, known: frozenset[str]) -> list[str]:
    """What of `packages`, and of the programs that its file systems need, the system does not have already.

    `known` are the file systems of the kernel: what is not in it is refused later, with a better reason.
    """
    used = {partition.filesystem for partition in kickstart.partitions} & known
    used |= {LVM for partition in kickstart.partitions if partition.lvm}
    programs = [path for name, path in sorted(PROGRAMS.items()) if name in used]
    wanted = [path for path in programs if not (paths.root / path.lstrip("/")).exists()]
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
    wanted = missing_packages(kickstart, fetcher.paths, known)
    if not wanted:
        return [], ()
    repositories = list(kickstart.repos)
    if fetcher.paths.packages.is_dir():
        repositories.append(Repository(name="medium", baseurl=f"file://{fetcher.paths.packages}"))
    if not repositories:
        raise PackageError(
            f"{', '.join(wanted)}: not on this medium, and no repository is named",
            where=kickstart.name,
            hint="name one under 'repos'",
        )
    available = [package for repository in repositories for package in read_repository(fetcher, repository)]
    try:
        chosen = with_required(choose(wanted, available), available, unmet)
    except PackageError as error:
        hint = error.hint or (None if kickstart.repos else "name a repository that has it under 'repos'")
        raise PackageError(error.message, where=error.where, detail=error.detail, hint=hint) from None
    folder = fetcher.paths.work / "packages"
    paths = []
    for package in chosen:
        # Two repositories may have files of one name.
        target = folder / package.sha256 / f"{package.nevr}.rpm"
        paths.append(fetcher.fetch(parse_source(package.url), target, sha256=package.sha256, size=package.size))
    return available, tuple(paths)

"""The install sets of an image: the root's, and those that its format asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.load import Config
from photonbuild.config.models import DiskImage, Image, Profile
from photonbuild.config.partitions import FileSystemNeeds
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import InstallSet, Role
from photonbuild.packages.package import Package
from photonbuild.packages.solve import solve


@dataclass(frozen=True, kw_only=True)
class SetRequest:
    """What a set is solved from; with `over_root` it is what the profile needs besides the set of the root."""

    profile: Profile
    over_root: bool = False


def set_requests(config: Config, image: Image) -> Mapping[Role, SetRequest]:
    """The sets of an image, that of the root first. Raises ConfigError for a profile that is not known."""
    root = config.profile(image.profile)
    packages = (*root.packages, *image.packages, *filesystem_needs(config, image).packages)
    requests = {Role.ROOT: SetRequest(profile=root.model_copy(update={"packages": packages}))}
    for role, asked in FORMATS[image.format].sets(image).items():
        requests[role] = SetRequest(profile=config.profile(asked.profile), over_root=asked.over_root)
    return requests


def filesystem_needs(config: Config, image: Image) -> FileSystemNeeds:
    """What it takes to make and to have the file systems of the image's disk."""
    kinds = image.disk.filesystems if isinstance(image, DiskImage) else ()
    needs = [config.filesystems[kind] for kind in kinds]
    if isinstance(image, DiskImage) and image.disk.volume_groups:
        needs.append(config.lvm)
    return FileSystemNeeds(
        tools=tuple(dict.fromkeys(name for need in needs for name in need.tools)),
        packages=tuple(dict.fromkeys(name for need in needs for name in need.packages)),
    )


def solve_sets(
    repository: Path, packages: Mapping[str, Package], requests: Mapping[Role, SetRequest], *, arch: str
) -> Mapping[Role, InstallSet]:
    """Solve for every set. `packages`: those of the repository by NEVRA. Raises SolveError, which names the profile."""
    sets: dict[Role, InstallSet] = {}
    for role, asked in requests.items():
        below = requests[Role.ROOT].profile.packages if asked.over_root else ()
        names = [*below, *asked.profile.packages]
        found = solve(repository, packages, names, arch=arch, where=asked.profile.name)
        there = {package.nevra for package in sets[Role.ROOT].packages} if asked.over_root else set()
        more = [package for package in found if package.nevra not in there]
        sets[role] = InstallSet(role=role, packages=more, first=asked.profile.first)
    return sets

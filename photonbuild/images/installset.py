"""The sets of packages that an image is made of, by what each is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from photonbuild.packages.package import Package


class Role(StrEnum):
    """What a set is for. `MEDIUM` lies on the medium as a repository of packages; the others are installed."""

    ROOT = "root"
    INITRAMFS = "initramfs"
    INSTALLER_LAYER = "installer-layer"
    MEDIUM = "medium"
    INSTALLER_INITRAMFS = "installer-initramfs"


MANIFEST_KEYS: Mapping[Role, str] = {
    Role.ROOT: "packages",
    Role.INITRAMFS: "initramfs_packages",
    Role.INSTALLER_LAYER: "installer_packages",
    Role.MEDIUM: "medium_packages",
    Role.INSTALLER_INITRAMFS: "installer_initramfs_packages",
}


@dataclass(frozen=True, kw_only=True)
class SetProfile:
    """The profile that a set is solved from; with `over_root` the set is what it needs besides the image's root."""

    profile: str
    over_root: bool = False


@dataclass(frozen=True, kw_only=True)
class InstallSet:
    """Packages to install together, those with a name in `first` in a transaction of their own before the rest."""

    role: Role
    packages: Sequence[Package]
    first: Sequence[str] = ()

    @property
    def rpms(self) -> Sequence[Path]:
        return [package.path for package in self.packages]

    def listed(self) -> Sequence[Mapping[str, str | int]]:
        """The packages as a manifest lists them, by NEVRA; `size`: bytes of the installed files."""
        return [
            {
                "name": package.name,
                "nevra": package.nevra,
                "license": package.license,
                "source": package.source,
                "size": package.installed_size,
                "sha256": package.sha256,
            }
            for package in sorted(self.packages, key=lambda package: package.nevra)
        ]

"""What an image is made of, and the digests that name all of it. Pure but for reading the files that are inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from photonbuild.config.models import Distribution, Image
from photonbuild.errors import StoreError
from photonbuild.files import sha256_of
from photonbuild.images.customise.customised import Customised
from photonbuild.images.format import Format
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.rootfs import RootfsFile, UnitSetting
from photonbuild.packages.built import Built
from photonbuild.packages.package import Package
from photonbuild.roots import Roots
from photonbuild.seeds.frozen import FrozenSeed

# The order of the sets in an image's identity; the first two are always there, if need be as empty ones.
SET_ORDER = (Role.ROOT, Role.INITRAMFS, Role.INSTALLER_INITRAMFS, Role.INSTALLER_LAYER, Role.MEDIUM)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an image is made of: settings, install sets, the boot loader.

    `authorized_keys` are let in as root. `files` are those that its configuration asks for, with their text, `units`
    the states of units, `customised` what it has besides. `loader`: the build of the boot loader; `programs`: packages
    whose programs make it, beside those of the seeds, which are there by name as far as the format needs them.
    `builds`: what these packages are of. `seeds`: by what they are for; the packages were built in that of builds.
    `macros`: digests of rpm's macro files; `roots`: where build/'s files lie.
    """

    name: str
    image: Image
    distribution: Distribution
    sets: Mapping[Role, InstallSet]
    authorized_keys: Sequence[str]
    files: Sequence[RootfsFile]
    units: Sequence[UnitSetting]
    loader: Built | None
    programs: Sequence[Package]
    seeds: Mapping[str, FrozenSeed]
    macros: Mapping[str, str]
    roots: Roots
    customised: Customised = field(default_factory=Customised)
    builds: Sequence[Built] = ()

    @property
    def format(self) -> Format:
        return FORMATS[self.image.format]

    @property
    def identity(self) -> str:
        """Digest of what the image holds: packages and settings. Its serial numbers and UUIDs are named after it."""
        # Not the packager: he is in the packages.
        total = hashlib.sha256(self.distribution.model_dump_json(exclude={"packager"}).encode())
        roles = [role for role in SET_ORDER if role in {Role.ROOT, Role.INITRAMFS, *self.sets}]
        sets = [[package.sha256 for package in self.packages(role)] for role in roles]
        files = [[file.path, file.mode, file.text] for file in self.files]
        # Repositories are in it as the files that they become.
        settings = self.image.model_dump(mode="json", exclude={"repositories"})
        # What nobody asked for is not in it, lest images that were made before there was such a thing become others.
        more = [] if self.customised.empty else [self.customised.digests()]
        total.update(json.dumps([settings, *sets, list(self.authorized_keys), files, *more]).encode())
        return total.hexdigest()

    def packages(self, role: Role) -> Sequence[Package]:
        """The packages of one of its sets, none where it has no such set."""
        return self.sets[role].packages if role in self.sets else ()


def check_packages(recipe: Recipe) -> None:
    """Raises StoreError when the file of a package to install is not the one that was built."""
    # Install sets overlap: each file is read once.
    for package in {package.path: package for chosen in recipe.sets.values() for package in chosen.packages}.values():
        if sha256_of(package.path) != package.sha256:
            raise StoreError(
                f"package {package.nevra} is damaged: wrong checksum",
                where=str(package.path),
                hint="remove this package's folder under packages/ in the store, then run this again",
            )

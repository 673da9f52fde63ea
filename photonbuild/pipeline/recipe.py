"""What an image is made of: the packages built and chosen, settings, keys; and the digests that name all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.models import BootImage, Image, Profile
from photonbuild.errors import StoreError
from photonbuild.files import sha256_of
from photonbuild.images.format import Format
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.rootfs import RootfsFile
from photonbuild.installer import SHIPPED
from photonbuild.packages import solve
from photonbuild.packages.buildroot import with_requirements
from photonbuild.packages.built import Built
from photonbuild.packages.graph import wanted_specs
from photonbuild.packages.package import Package
from photonbuild.pipeline.build import build_packages, profile_specs, repository
from photonbuild.pipeline.installsets import filesystem_needs, set_requests, solve_sets
from photonbuild.pipeline.session import Session

IMAGE_CODE = (
    "images", "packages/repo.py", "packages/rpmconfig", *SHIPPED,
)  # fmt: skip
# The order of the sets in an image's identity; the first two are always there, if need be as empty ones.
SET_ORDER = (Role.ROOT, Role.INITRAMFS, Role.INSTALLER_INITRAMFS, Role.INSTALLER_LAYER, Role.MEDIUM)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an image is made of: settings, install sets, the boot loader.

    `programs`: packages whose programs make it, beside those of the build seed. `checksums`: SHA-256 of each package's
    file as it was built. `files` are those that its configuration asks for, with their text.
    """

    name: str
    image: Image
    sets: Mapping[Role, InstallSet]
    keys: Sequence[str]
    files: Sequence[RootfsFile]
    loader: Built | None
    programs: Sequence[Package]
    checksums: Mapping[str, str]

    @property
    def format(self) -> Format:
        return FORMATS[self.image.format]

    def packages(self, role: Role) -> Sequence[solve.Package]:
        """The packages of one of its sets, none where it has no such set."""
        return self.sets[role].packages if role in self.sets else ()


def make_recipe(session: Session, name: str, authorized_keys: Sequence[str], profile: str | None) -> Recipe:
    """Build the packages and solve for the install sets. `profile` replaces the image's own."""
    config = session.config
    image = config.image(name)
    if profile is not None:
        image = image.model_copy(update={"profile": config.profile(profile).name})
    requests = set_requests(config, image)
    needs = filesystem_needs(config, image)
    done = build_packages(session, _specs(session, name, image, (asked.profile for asked in requests.values())))
    place = repository(session, done)
    with session.reporter.phase("solve"):
        sets = solve_sets(place, requests, arch=config.distribution.arch)
    own = image.authorized_keys if isinstance(image, BootImage) else ()
    return Recipe(
        name=name,
        image=image,
        sets=sets,
        keys=tuple(dict.fromkeys([*own, *config.user.authorized_keys, *authorized_keys])),
        files=[
            RootfsFile(path=file.path, text=text, mode=int(file.mode, 8)) for file, text in config.image_files(name)
        ],
        loader=done[session.spec(image.loader).name] if isinstance(image, BootImage) else None,
        programs=[
            package
            for tool in needs.tools
            for package in with_requirements(session.builder, [tool], done.values(), session.spec(tool)).values()
        ],
        checksums={package.path.name: package.sha256 for built in done.values() for package in built.packages},
    )


def _specs(session: Session, name: str, image: Image, profiles: Iterable[Profile]) -> set[str]:
    """Names of all specs that the image needs: its own packages, those of `profiles`, its maker's tools, the loader."""
    config = session.config
    found: set[str] = set()
    for index, package in enumerate(image.packages):
        where = config.image_where(name, "packages", index)
        found |= wanted_specs(session.specs, session.graph, [package], where=where)
    for profile in profiles:
        found |= profile_specs(session, profile)
    found |= {session.spec(package).name for package in filesystem_needs(config, image).tools}
    if isinstance(image, BootImage):
        found.add(session.spec(image.loader).name)
    return found


def image_identity(session: Session, recipe: Recipe) -> str:
    """Digest of what an image holds: packages and settings. Its serial numbers and UUIDs are named after it."""
    total = hashlib.sha256(session.config.distribution.model_dump_json().encode())
    roles = [role for role in SET_ORDER if role in {Role.ROOT, Role.INITRAMFS, *recipe.sets}]
    sets = [[package.sha256 for package in recipe.packages(role)] for role in roles]
    files = [[file.path, file.mode, file.text] for file in recipe.files]
    total.update(json.dumps([recipe.image.model_dump(mode="json"), *sets, list(recipe.keys), files]).encode())
    return total.hexdigest()


def image_key(session: Session, recipe: Recipe) -> str:
    """Digest of all that an image is made of: what it holds, the data files and tools, and the code that makes it."""
    loader = recipe.loader.key if recipe.loader else ""
    programs = "".join(package.sha256 for package in recipe.programs)
    total = hashlib.sha256(f"{session.seed.digest}{image_identity(session, recipe)}{loader}{programs}".encode())
    code = Path(__file__).parents[1]
    for base in [
        *(code / part for part in IMAGE_CODE),
        *(session.config.build_dir / part for part in recipe.format.data),
    ]:
        for path in [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.suffix != ".pyc"):
            if path.is_file():
                total.update(f"{path.relative_to(base)}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def check_packages(recipe: Recipe) -> None:
    """Raises StoreError when the file of a package to install is not the one that was built."""
    # Install sets overlap: each file is read once.
    for package in {package.path: package for chosen in recipe.sets.values() for package in chosen.packages}.values():
        if sha256_of(package.path) != recipe.checksums[package.path.name]:
            raise StoreError(
                f"package {package.nevra} is damaged: wrong checksum",
                where=str(package.path),
                hint="remove this file and the package's folder under packages/ in the store, then run this again",
            )

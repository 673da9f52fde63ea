"""What an image is made of: the packages built and chosen, settings, keys; and the digests that name all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.disk import FileSystemNeeds
from photonbuild.config.models import BootImage, DiskImage, Image, IsoImage, Profile
from photonbuild.errors import StoreError
from photonbuild.files import sha256_of
from photonbuild.images.rootfs import RootfsFile
from photonbuild.installer import SHIPPED
from photonbuild.packages import solve
from photonbuild.packages.buildroot import with_requirements
from photonbuild.packages.built import Built
from photonbuild.packages.graph import wanted_specs
from photonbuild.packages.package import Package
from photonbuild.pipeline import installsets
from photonbuild.pipeline.build import build_packages, profile_specs, repository
from photonbuild.pipeline.session import Session

IMAGE_CODE = (
    "images", "packages/repo.py", "packages/rpmconfig", *SHIPPED,
)  # fmt: skip
IMAGE_DATA = ("dracut", "installer", "ovf")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an image is made of: settings, the install sets of its root and of its initramfs, the boot loader.

    `programs`: packages whose programs make it, beside those of the build seed. `checksums`: SHA-256 of each package's
    file as it was built. `installer` has the sets of a live image's installer, by its settings' names of their
    profiles. `files` are those that its configuration asks for, with their text.
    """

    name: str
    image: Image
    install: Sequence[solve.Package]
    tools: Sequence[solve.Package]
    keys: Sequence[str]
    files: Sequence[RootfsFile]
    loader: Built | None
    programs: Sequence[Package]
    checksums: Mapping[str, str]
    installer: Mapping[str, Sequence[solve.Package]]

    @property
    def sets(self) -> Sequence[Sequence[solve.Package]]:
        """Every install set, in a fixed order."""
        return (self.install, self.tools, *(self.installer[role] for role in sorted(self.installer)))


def make_recipe(session: Session, name: str, authorized_keys: Sequence[str], profile: str | None) -> Recipe:
    """Build the packages and solve for the install sets. `profile` replaces the image's own."""
    config = session.config
    image = config.image(name)
    if profile is not None:
        image = image.model_copy(update={"profile": config.profile(profile).name})
    needs = config.filesystems[image.disk.filesystem] if isinstance(image, DiskImage) else FileSystemNeeds()
    base = config.profile(image.profile)
    base = base.model_copy(update={"packages": (*base.packages, *image.packages, *needs.packages)})
    tools = config.profile(image.initramfs_profile) if isinstance(image, IsoImage) else None
    more = installsets.profiles(config, image)
    done = build_packages(session, _specs(session, name, image, [*more.values(), *([tools] if tools else [])]))
    place = repository(session, done)

    def solved(profile: Profile) -> Sequence[solve.Package]:
        return solve.solve(place, profile.packages, arch=config.distribution.arch, where=profile.name)

    with session.reporter.phase("solve"):
        install = solved(base)
        initramfs = solved(tools) if tools else ()
        installer = {role: installsets.added(config, place, base, install, each) for role, each in more.items()}
    own = image.authorized_keys if isinstance(image, BootImage) else ()
    return Recipe(
        name=name,
        image=image,
        install=install,
        tools=initramfs,
        installer=installer,
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


def _specs(session: Session, name: str, image: Image, more: Sequence[Profile]) -> set[str]:
    """Names of all specs that the image needs: its profile, `more` profiles, its own packages, its maker's tools."""
    config = session.config
    found = {spec for each in (config.profile(image.profile), *more) for spec in profile_specs(session, each)}
    for index, package in enumerate(image.packages):
        where = config.image_where(name, "packages", index)
        found |= wanted_specs(session.specs, session.graph, [package], where=where)
    if isinstance(image, DiskImage):
        needs = config.filesystems[image.disk.filesystem]
        found |= {session.spec(package).name for package in (*needs.tools, *needs.packages)}
    if isinstance(image, BootImage):
        found.add(session.spec(image.loader).name)
    return found


def image_identity(session: Session, recipe: Recipe) -> str:
    """Digest of what an image holds: packages and settings. Its serial numbers and UUIDs are named after it."""
    total = hashlib.sha256(session.config.distribution.model_dump_json().encode())
    sets = [[choice.sha256 for choice in choices] for choices in recipe.sets]
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
        *(session.config.build_dir / part for part in IMAGE_DATA),
    ]:
        for path in [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.suffix != ".pyc"):
            if path.is_file():
                total.update(f"{path.relative_to(base)}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def check_packages(recipe: Recipe) -> None:
    """Raises StoreError when the file of a package to install is not the one that was built."""
    # Install sets overlap: each file is read once.
    for choice in {choice.path: choice for choices in recipe.sets for choice in choices}.values():
        if sha256_of(choice.path) != recipe.checksums[choice.path.name]:
            raise StoreError(
                f"package {choice.nevra} is damaged: wrong checksum",
                where=str(choice.path),
                hint="remove this file and the package's folder under packages/ in the store, then run this again",
            )

"""What a live image's installer is made of, as install sets: those of its layer, its repository and its initramfs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from photonbuild.config.load import Config
from photonbuild.config.models import Image, IsoImage, Profile
from photonbuild.images import InstallerSets
from photonbuild.images.rootfs import Package
from photonbuild.packages import solve

LAYER, PACKAGES, INITRAMFS = "layer", "packages", "initramfs"
Sets = Mapping[str, Sequence[solve.Package]]


def profiles(config: Config, image: Image) -> Mapping[str, Profile]:
    """The profiles of the image's installer by what they are for, none without one."""
    settings = image.installer if isinstance(image, IsoImage) else None
    if settings is None:
        return {}
    return {
        LAYER: config.profile(settings.profile),
        PACKAGES: config.profile(settings.packages_profile),
        INITRAMFS: config.profile(settings.initramfs_profile),
    }


def added(
    config: Config, place: Path, base: Profile, install: Sequence[solve.Package], profile: Profile
) -> Sequence[solve.Package]:
    """What `profile` needs besides `install`, the set of `base`; a profile that has a `first` is a root of its own.

    Raises SolveError.
    """
    arch = config.distribution.arch
    if profile.first:
        return solve.solve(place, profile.packages, arch=arch, where=profile.name)
    together = solve.solve(place, [*base.packages, *profile.packages], arch=arch, where=profile.name)
    there = {choice.nevra for choice in install}
    return tuple(choice for choice in together if choice.nevra not in there)


def for_image(config: Config, image: Image, sets: Sets) -> InstallerSets | None:
    """The sets as the maker of the image takes them."""
    if not sets:
        return None
    return InstallerSets(
        layer=[choice.path for choice in sets[LAYER]],
        packages=[choice.path for choice in sets[PACKAGES]],
        initramfs=[choice.path for choice in sets[INITRAMFS]],
        first=profiles(config, image)[INITRAMFS].first,
        listed={
            "installer_packages": _listed(sets[LAYER]),
            "medium_packages": _listed(sets[PACKAGES]),
            "installer_initramfs_packages": _listed(sets[INITRAMFS]),
        },
    )


def _listed(choices: Sequence[solve.Package]) -> tuple[Package, ...]:
    return tuple(
        Package(
            name=choice.name,
            nevra=choice.nevra,
            license=choice.license,
            source=choice.source,
            size=choice.installed_size,
            sha256=choice.sha256,
        )
        for choice in choices
    )

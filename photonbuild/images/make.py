"""A recipe to an image: root file system, then what the format makes of it; and all that decides on its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.config.models import BootImage
from photonbuild.files import sha256_of
from photonbuild.images.installset import Role
from photonbuild.images.publish import ImageResult
from photonbuild.images.recipe import Recipe, check_packages
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsSettings, build_rootfs
from photonbuild.images.workspace import Workspace
from photonbuild.packages.built import tree_of
from photonbuild.roots import Roots


def make_image(
    recipe: Recipe,
    work: Path,
    *,
    macros: Sequence[Path],
    log: Path,
    phase: Callable[[str], AbstractContextManager[None]],
) -> ImageResult:
    """Make the image in the empty folder `work`; the finished files are in its folder ``out``.

    `macros` are the files of `Recipe.macros`; `phase` times a step of that name. Raises ImageError, StoreError.
    """
    check_packages(recipe)
    out, no_loader = work / "out", work / "no-loader"
    for folder in (out, no_loader):
        folder.mkdir()
    epoch = recipe.distribution.source_date_epoch
    workspace = Workspace(seed=recipe.seeds["image"].root, macros=macros, epoch=epoch, log=log, folder=work)
    with phase("root file system"):
        place = workspace.subfolder("root")
        if not recipe.customised.empty:
            recipe.customised.stage(place.folder)
        rootfs = build_rootfs(place, recipe.sets[Role.ROOT], settings=rootfs_settings(recipe))
    with phase(f"{recipe.image.format} image"):
        return recipe.format.build(
            ImageRequest(
                image=recipe.image,
                distribution=recipe.distribution,
                sets=recipe.sets,
                rootfs=rootfs,
                workspace=workspace.subfolder("image"),
                roots=recipe.roots,
                provenance={f"{name} seed": seed.digest for name, seed in recipe.seeds.items()},
                identity=recipe.identity,
                loader=recipe.loader.folder / "trees" / recipe.loader.spec if recipe.loader else no_loader,
                programs=[tree_of(package) for package in recipe.programs],
                machine_seed=recipe.seeds["machine"].root if recipe.format.machine_seed else None,
                outdir=out,
            )
        )


def rootfs_settings(recipe: Recipe) -> RootfsSettings:
    """What the root file system is besides its packages."""
    image, distribution = recipe.image, recipe.distribution
    title = f"{distribution.name} {distribution.version}"
    return RootfsSettings(
        hostname=image.hostname or distribution.id,
        authorized_keys=recipe.authorized_keys,
        exclude_docs=image.exclude_docs,
        exclude_paths=image.exclude_paths,
        unit_presets=isinstance(image, BootImage),
        files=[*recipe.format.root_files(image, recipe.identity, title), *recipe.files],
        units=[*recipe.units, *recipe.customised.units],
        customise=None if recipe.customised.empty else recipe.customised.request(),
    )


def image_inputs(recipe: Recipe) -> dict[str, Any]:
    """All that decides on the image's bytes, for its key: what it holds, and the tools, data and code that make it.

    The code is this module's and the format's, with all that they import.
    """
    return {
        "distribution": recipe.distribution.model_dump(mode="json"),
        "settings": recipe.image.model_dump(mode="json"),
        "sets": {
            role: {"packages": {p.nevra: p.sha256 for p in chosen.packages}, "first": sorted(chosen.first)}
            for role, chosen in recipe.sets.items()
        },
        "authorized_keys": list(recipe.authorized_keys),
        "files": {
            file.path: f"{file.mode:04o} {hashlib.sha256(file.text.encode()).hexdigest()}" for file in recipe.files
        },
        "customised": recipe.customised.digests(),
        "loader": recipe.loader.key if recipe.loader else None,
        "programs": {package.nevra: package.sha256 for package in recipe.programs},
        "seeds": {name: seed.digest for name, seed in recipe.seeds.items()},
        "macros": dict(recipe.macros),
        "data": data_digests(recipe.roots, recipe.format.data),
        "code": code.digests([__name__, recipe.format.build.__module__]),
    }


def data_digests(roots: Roots, parts: Sequence[str]) -> dict[str, str]:
    """Mode and SHA-256 of every file below these folders of build/, by its path in there."""
    entries = {f"{part}/{name}": path for part in parts for name, path in roots.entries(f"build/{part}").items()}
    paths = {name: path for name, path in entries.items() if path.is_file()}
    for name, folder in entries.items():
        found = (path for path in folder.rglob("*") if path.is_file())
        paths |= {f"{name}/{path.relative_to(folder).as_posix()}": path for path in found}
    return {name: f"{path.stat().st_mode & 0o777:04o} {sha256_of(path)}" for name, path in sorted(paths.items())}

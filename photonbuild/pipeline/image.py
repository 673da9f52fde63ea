"""An image and everything before it: packages, repository, install set, root file system, files under stage/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from photonbuild.config.load import Config
from photonbuild.config.models import BootImage
from photonbuild.errors import ConfigError
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import Role
from photonbuild.images.publish import ImageResult
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsSettings, UnitSetting, build_rootfs
from photonbuild.images.sign import Signer, signer
from photonbuild.images.workspace import Workspace
from photonbuild.packages.built import tree_of
from photonbuild.pipeline.publish import publish_image, read_result, write_result
from photonbuild.pipeline.recipe import Recipe, check_packages, image_identity, image_key, make_recipe
from photonbuild.pipeline.session import Session


def make_image(
    session: Session,
    name: str,
    authorized_keys: Sequence[str],
    *,
    profile: str | None = None,
    sign: bool = False,
    fresh: Path | None = None,
) -> tuple[ImageResult, int]:
    """An image and everything before it; returns the published files and the number of packages in it.

    `profile` replaces the image's own. With `sign` it must be an appliance, and the user's configuration must have a
    key. With `fresh`, a folder on the store's file system, the image is made anew from the same packages and put there
    only, not signed.
    """
    signed_by = _signer(session, name) if sign else None
    recipe = make_recipe(session, name, authorized_keys, profile)
    count = len(recipe.packages(Role.ROOT))
    if fresh is not None:
        _make_image(session, recipe, fresh / "image")
        return read_result(fresh / "image"), count
    key = image_key(session, recipe)
    cached = session.store.root / "images" / key
    with session.store.lock(f"image-{key[:32]}"):
        if not (cached / "result.json").exists():
            _make_image(session, recipe, cached)
    if signed_by is None or recipe.format.sign is None:
        return publish_image(session.config.stage_dir, cached), count
    with session.store.staging() as work:
        recipe.format.sign(cached, work / "signed", signed_by)
        return publish_image(session.config.stage_dir, work / "signed"), count


def _signer(session: Session, name: str) -> Signer:
    """The user's key, found usable before anything is built. Raises ConfigError."""
    if FORMATS[session.config.image(name).format].sign is None:
        known = ", ".join(name for name, found in FORMATS.items() if found.sign)
        raise ConfigError(f"only an appliance (format: {known}) can be signed", where=f"build/images/{name}.yaml")
    if session.config.user.signing is None:
        raise ConfigError(
            "there is no key to sign with", hint="--sign-key and --sign-certificate, or 'signing' in your configuration"
        )
    with session.store.staging() as work:
        seed, scratch = session.seed.root, session.store.scratch
        return signer(session.config.user.signing, seed=seed, scratch=scratch, work=work)


def _rootfs_settings(config: Config, recipe: Recipe, identity: str, title: str) -> RootfsSettings:
    image = recipe.image
    return RootfsSettings(
        hostname=config.distribution.id,
        authorized_keys=recipe.keys,
        exclude_docs=image.exclude_docs,
        exclude_paths=image.exclude_paths,
        unit_presets=isinstance(image, BootImage),
        files=[*recipe.format.root_files(image, identity, title), *recipe.files],
        units=[
            UnitSetting(unit=unit, state=state, where=config.image_where(recipe.name, "services", unit))
            for unit, state in sorted(image.services.items())
        ],
    )


def _make_image(session: Session, recipe: Recipe, final: Path) -> None:
    check_packages(recipe)
    config, image = session.config, recipe.image
    identity = image_identity(session, recipe)
    title = f"{config.distribution.name} {config.distribution.version}"
    log = session.store.root / "logs" / f"image-{recipe.name}.log"
    log.write_text("", encoding="utf-8")
    with session.store.staging() as work:
        for part in ("out", "no-loader"):
            (work / part).mkdir()
        workspace = Workspace(
            seed=session.seed.root,
            macros=[bind.source for bind in session.builder.macros],
            epoch=config.distribution.source_date_epoch,
            log=log,
            folder=work,
        )
        root = recipe.sets[Role.ROOT]
        with session.reporter.phase("root file system"):
            rootfs = build_rootfs(
                workspace.subfolder("root"),
                rpms=root.rpms,
                first=root.first,
                settings=_rootfs_settings(config, recipe, identity, title),
            )
        loader = recipe.loader.folder / "trees" / recipe.loader.spec if recipe.loader else work / "no-loader"
        with session.reporter.phase(f"{image.format} image"):
            result = recipe.format.build(
                ImageRequest(
                    image=image,
                    distribution=config.distribution,
                    sets=recipe.sets,
                    rootfs=rootfs,
                    workspace=workspace.subfolder("image"),
                    data=config.build_dir,
                    provenance={"build seed": session.seed.digest},
                    identity=identity,
                    loader=loader,
                    programs=[tree_of(package) for package in recipe.programs],
                    machine_seed=session.machine_seed.root if recipe.format.machine_seed else None,
                    outdir=work / "out",
                )
            )
        write_result(work / "out", result)
        session.store.publish(work / "out", final)

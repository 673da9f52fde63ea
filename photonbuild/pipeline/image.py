"""An image and everything before it: packages, repository, install set, root file system, files under stage/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from photonbuild import images
from photonbuild.config.load import Config
from photonbuild.config.models import BootImage, IsoImage
from photonbuild.errors import ConfigError
from photonbuild.images import sign as signing
from photonbuild.images.rootfs import RootfsSettings, UnitSetting, build_rootfs
from photonbuild.packages.built import tree_of
from photonbuild.pipeline import installsets
from photonbuild.pipeline.publish import read_result, stage_image, write_result
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
) -> tuple[images.ImageResult, int]:
    """An image and everything before it; returns the published files and the number of packages in it.

    `profile` replaces the image's own. With `sign` it must be an appliance, and the user's configuration must have a
    key. With `fresh`, a folder on the store's file system, the image is made anew from the same packages and put there
    only, not signed.
    """
    signer = _signer(session, name) if sign else None
    recipe = make_recipe(session, name, authorized_keys, profile)
    if fresh is not None:
        _make_image(session, recipe, fresh / "image")
        return read_result(fresh / "image"), len(recipe.install)
    key = image_key(session, recipe)
    cached = session.store.root / "images" / key
    with session.store.lock(f"image-{key[:32]}"):
        if not (cached / "result.json").exists():
            _make_image(session, recipe, cached)
    if signer is None:
        return stage_image(session.config.stage_dir, cached), len(recipe.install)
    with session.store.staging() as work:
        signing.sign_image(cached, work / "signed", signer)
        return stage_image(session.config.stage_dir, work / "signed"), len(recipe.install)


def _signer(session: Session, name: str) -> signing.Signer:
    """The user's key, found usable before anything is built. Raises ConfigError."""
    if session.config.image(name).format != "ova":
        raise ConfigError("only an appliance (format: ova) can be signed", where=f"build/images/{name}.yaml")
    if session.config.user.signing is None:
        raise ConfigError(
            "there is no key to sign with", hint="--sign-key and --sign-certificate, or 'signing' in your configuration"
        )
    with session.store.staging() as work:
        seed, scratch = session.seed.root, session.store.scratch
        return signing.signer(session.config.user.signing, seed=seed, scratch=scratch, work=work)


def _rootfs_settings(config: Config, recipe: Recipe, identity: str, title: str) -> RootfsSettings:
    image = recipe.image
    return RootfsSettings(
        source_date_epoch=config.distribution.source_date_epoch,
        hostname=config.distribution.id,
        authorized_keys=recipe.keys,
        exclude_docs=image.exclude_docs,
        exclude_paths=image.exclude_paths,
        unit_presets=isinstance(image, BootImage),
        files=[*images.ROOT_FILES[image.format](image, identity, title), *recipe.files],
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
    extra = config.profile(image.initramfs_profile) if isinstance(image, IsoImage) else None
    log = session.store.root / "logs" / f"image-{recipe.name}.log"
    log.write_text("", encoding="utf-8")
    macros = [bind.source for bind in session.builder.macros]
    with session.store.staging() as work:
        for part in ("root", "image", "out", "no-loader"):
            (work / part).mkdir()
        with session.reporter.phase("root file system"):
            rootfs = build_rootfs(
                seed=session.seed.root,
                rpms=[choice.path for choice in recipe.install],
                first=config.profile(image.profile).first,
                settings=_rootfs_settings(config, recipe, identity, title),
                macros=macros,
                workdir=work / "root",
                log=log,
            )
        loader = recipe.loader.folder / "trees" / recipe.loader.spec if recipe.loader else work / "no-loader"
        with session.reporter.phase(f"{image.format} image"):
            result = images.FORMATS[image.format](
                images.ImageRequest(
                    image=image,
                    distribution=config.distribution,
                    seed=session.seed.root,
                    macros=macros,
                    rootfs=rootfs,
                    extra_rpms=[choice.path for choice in recipe.tools],
                    extra_first=extra.first if extra is not None else (),
                    data=config.build_dir,
                    provenance={"build seed": session.seed.digest},
                    identity=identity,
                    loader=loader,
                    programs=[tree_of(package) for package in recipe.programs],
                    machine_seed=lambda: session.machine_seed.root,
                    installer=installsets.for_image(config, image, recipe.installer),
                    workdir=work / "image",
                    outdir=work / "out",
                    log=log,
                )
            )
        write_result(work / "out", result)
        session.store.publish(work / "out", final)

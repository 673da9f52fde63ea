"""An image and everything before it: packages, repository, install sets, root file system, files under stage/."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from photonbuild import events
from photonbuild.errors import ConfigError, ImageError, StoreError
from photonbuild.files import read_sealed
from photonbuild.images import make
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import Role
from photonbuild.images.publish import ImageResult
from photonbuild.images.recipe import Recipe
from photonbuild.images.sign import Signer, signer
from photonbuild.keys import Inputs, key_of, write_inputs
from photonbuild.pipeline.fromcaches import bring, with_caches
from photonbuild.pipeline.imagecache import send_image, shared_image
from photonbuild.pipeline.publish import RECORD, publish_image, read_result, write_result
from photonbuild.pipeline.recipe import make_recipe
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
    return with_caches(session, lambda: _image(session, name, authorized_keys, profile, sign=sign, fresh=fresh))


def _image(
    session: Session, name: str, authorized_keys: Sequence[str], profile: str | None, *, sign: bool, fresh: Path | None
) -> tuple[ImageResult, int]:
    started = time.monotonic()
    signed_by = _signer(session, name) if sign else None
    recipe = make_recipe(session, name, authorized_keys, profile)
    count = len(recipe.packages(Role.ROOT))
    inputs = make.image_inputs(recipe)
    if fresh is not None:
        bring(session, recipe.builds)
        _make(session, recipe, inputs, fresh / "image")
        return read_result(fresh / "image"), count
    key = key_of(inputs)
    cached, cache = session.store.image(name, key), None
    with session.store.lock(f"image-{key[:32]}"):
        if not _is_made(session, cached):
            if (shared := shared_image(session.caches, session.store, name, key)) is not None:
                cached, cache = shared
            elif session.only_cached:
                hint = "without --from-cache-only it is made here"
                raise StoreError(f"the image {name} is in no cache", where=f"build/images/{name}.yaml", hint=hint)
            else:
                bring(session, recipe.builds)
                _make(session, recipe, inputs, cached)
                send_image(session.caches, name, cached)
    with session.reporter.phase("stage"):
        if signed_by is None or recipe.format.sign is None:
            result = publish_image(session.config.stage_dir, cached)
        else:
            with session.store.staging() as work:
                recipe.format.sign(cached, work / "signed", signed_by)
                result = publish_image(session.config.stage_dir, work / "signed")
    seconds = round(time.monotonic() - started, 1)
    facts = {"file": result.path.name, "size": result.size, "sha256": result.sha256}
    if cache:
        session.reporter.info(f"{name} came from the cache {cache}")
    session.reporter.event(events.Image(name=name, packages=count, seconds=seconds, cache=cache, **facts))
    return result, count


def _is_made(session: Session, cached: Path) -> bool:
    """Is the image in the store? What is wrong with it is removed."""
    store = session.store
    if store.use(cached).exists():
        whole = read_sealed(cached / RECORD) is not None
        if whole and store.is_intact(cached):
            return True
        if not whole:
            store.warn(f"{cached.relative_to(store.root)} in the store is damaged: {RECORD}; it is made again")
        store.discard(cached)
    return False


def _make(session: Session, recipe: Recipe, inputs: Inputs, final: Path) -> None:
    log = session.store.root / "logs" / f"image-{recipe.name}.log"
    log.write_text("", encoding="utf-8")
    macros = [bind.source for bind in session.builder.macros]
    session.store.need_room()
    with session.store.staging() as work:
        try:
            result = make.make_image(recipe, work, macros=macros, log=log, phase=session.reporter.phase)
        except ImageError as error:
            session.store.check_full(error.detail or "", work, log)
            raise
        write_result(work / "out", result)
        write_inputs(work / "out", inputs)
        session.store.publish(work / "out", final)


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
        seed, scratch = session.image_seed.root, session.store.scratch
        return signer(session.config.user.signing, seed=seed, scratch=scratch, work=work)

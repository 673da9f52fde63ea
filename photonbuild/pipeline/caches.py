"""Shared caches as a whole: what a checkout gets from them, all of it sent or fetched, and old entries removed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.cache import gc
from photonbuild.cache.entry import Cache
from photonbuild.cache.manifest import entry_path
from photonbuild.config.checks import unknown
from photonbuild.errors import ConfigError, StoreError
from photonbuild.images.make import image_inputs
from photonbuild.keys import key_of
from photonbuild.packages import build as packages
from photonbuild.packages import readspecs
from photonbuild.packages.built import Built
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.fromcaches import bring, with_caches
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.imagecache import send_image
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.publish import RECORD
from photonbuild.pipeline.recipe import image_specs, image_with, solve_recipe
from photonbuild.pipeline.session import Session
from photonbuild.seeds.seed import is_ready, send


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What `push` did, by cache: entries and bytes sent. `missing`: specs and images that the store has not."""

    sent: dict[str, dict[str, int]]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a cache has for this checkout. `entries`, `bytes`: all that it holds, None where that cannot be told."""

    name: str
    reached: str | None
    writes: bool
    have: int
    of: int
    missing: tuple[str, ...]
    entries: int | None
    bytes: int | None


def check_configured(session: Session, *, writes: bool = False) -> None:
    """Raises ConfigError where there is no cache, or none to write to."""
    if not session.caches:
        raise ConfigError("there is no cache", hint="caches: in build/cache.yaml, see docs/use/cache.md")
    if writes and session.caches.signer is None:
        raise ConfigError(
            "there is no key to sign with", hint="photonbuild cache key new NAME, then 'key' of your cache:"
        )
    if writes and not session.caches.targets:
        raise ConfigError("there is no cache that is written to", hint="access: write")


def push(session: Session, names: Sequence[str], images: Sequence[str], *, seeds: bool) -> Pushed:
    """Send what the store has of these specs, with all they need, of these images, the parsed specs and the seeds."""
    check_configured(session, writes=True)
    caches, store = session.caches, session.store
    if seeds:
        _push_seeds(session)
    for name, (key, record) in session.parsed.items():
        readspecs.send(caches, name, key, record)
    missing = []
    wanted = set(names)
    for image in images:
        wanted |= image_specs(session, image, image_with(session, image, None))
    for step in plan(session, wanted):
        if step.built is None:
            missing.append(step.spec)
        elif step.built.shared is None:
            packages.send(caches, step.built)
    for image in images:
        found = _image(session, image)
        if found is None or not (folder := store.image(image, found)).joinpath(RECORD).exists():
            missing.append(f"image {image}")
        else:
            send_image(caches, image, store.use(folder))
    caches.finish()
    sent = {cache.name: {"entries": cache.pushed, "bytes": cache.sent} for cache in caches.caches if cache.pushed}
    if failed := [cache for cache in caches.caches if cache.failed]:
        raise StoreError(
            f"not everything was sent to {', '.join(cache.name for cache in failed)}", hint="run this again"
        )
    return Pushed(sent=sent, missing=tuple(missing))


def _push_seeds(session: Session) -> None:
    for name in session.config.seed_names:
        if is_ready(session.config, session.store, name):
            send(session.config, session.store, session.frozen(name), session.caches)


def _image(session: Session, name: str) -> str | None:
    """The key of an image, None while a package of it is in neither store nor cache."""
    image = image_with(session, name, None)
    steps = plan(session, image_specs(session, name, image))
    done: dict[str, Built] = {step.spec: step.built for step in steps if step.built}
    if len(done) != len(steps):
        return None
    return key_of(image_inputs(solve_recipe(session, name, image, (), done)))


def pull(session: Session, names: Sequence[str], images: Sequence[str], *, whole: bool) -> int:
    """Have in the store what these specs and images need, as far as caches have it; the number of specs.

    Raises StoreError for what would have to be built.
    """
    check_configured(session)
    session.only_cached = session.caches.only = True

    def work() -> int:
        done = build_packages(session, names, whole=names if whole else ())
        bring(session, done.values())
        return len(done)

    count = with_caches(session, work) if names else 0
    for image in images:
        make_image(session, image, ())
    return count


def status(session: Session, names: Sequence[str], images: Sequence[str]) -> list[Status]:
    """What each cache has of that. Asked is each, also for what the store has."""
    check_configured(session)
    wanted = [("seed", name, key_of(inputs)) for name, inputs in session.seed_keys()]
    steps = plan(session, names)
    wanted += [("package", step.spec, step.built.key) for step in steps if step.built]
    for image in images:
        key = _image(session, image)
        if key is not None:
            wanted.append(("image", image, key))
    return [_status(session, cache, wanted) for cache in session.caches.caches]


def _status(session: Session, cache: Cache, wanted: Sequence[tuple[str, str, str]]) -> Status:
    caches = session.caches
    have = [entry for entry in wanted if caches.has(cache, entry_path(*entry))]
    missing = tuple(f"{kind} {name}" for kind, name, key in wanted if (kind, name, key) not in have)
    entries = size = None
    if not cache.down and (times := caches.times(cache)) is not None:
        entries = sum(path.startswith("entries/") for path in times)
        size = sum(length for length, _ in times.values())
    return Status(
        name=cache.name,
        reached=cache.down,
        writes=cache in caches.targets,
        have=len(have),
        of=len(wanted),
        missing=missing,
        entries=entries,
        bytes=size,
    )


def collect(session: Session, name: str | None, *, older: float | None, size: int | None, dry_run: bool) -> list[str]:
    """Remove old entries of a cache, the only one unless one is named; what was, or would be, removed."""
    check_configured(session)
    known = {cache.name: cache for cache in session.caches.caches}
    if name is None and len(known) > 1:
        raise ConfigError("which cache?", hint=f"one of: {', '.join(known)}")
    if name is not None and name not in known:
        raise unknown("cache", name, known)
    cache = known[name] if name is not None else next(iter(known.values()))
    if not cache.writes:
        raise ConfigError(f"the cache {cache.name} is not written to from here", hint="access: write")
    try:
        paths, freed = gc.choose(gc.survey(cache.place, cache.name), older=older, size=size, now=time.time())
        if not dry_run:
            cache.place.remove(paths)
    except OSError as error:
        raise StoreError(f"the cache {cache.name} cannot be reached: {error}") from None
    session.reporter.info(f"{len(paths)} files, {freed / 1e6:.1f} MB {'would go' if dry_run else 'gone'}")
    return paths

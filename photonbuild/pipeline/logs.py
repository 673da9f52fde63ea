"""The log of the last build of a package, or of the last making of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import ConfigError
from photonbuild.pipeline.session import Session
from photonbuild.roots import SPECS
from photonbuild.store import Store


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log: of which spec or image, where it is, seconds since 1970 of its last line, did what it tells of fail?"""

    name: str
    path: Path
    time: float
    failed: bool


def last_log(session: Session, name: str) -> Log:
    """The log of the last build of this spec or package in the store, or with ``image:NAME`` of the last image.

    It may be of another checkout that shares the store. Raises ConfigError where nothing was built.
    """
    kind, _, plain = name.rpartition(":")
    store = session.store
    if kind == "image":
        session.config.image(plain)
        path = store.root / "logs" / f"image-{plain}.log"
        if not path.is_file():
            raise ConfigError(f"image '{plain}' was never made in this store", hint=f"photonbuild image {plain}")
        return Log(name=plain, path=path, time=path.stat().st_mtime, failed=False)
    if kind not in ("", "package"):
        raise ConfigError(f"unknown kind '{kind}'", hint="known: image, package")
    known = session.config.roots.entries(SPECS)
    # Without reading the specs where the name is one of theirs.
    spec = plain if plain in known else session.spec(plain).name
    found = _path(store, spec)
    if found is None:
        raise ConfigError(f"'{spec}' was never built in this store", hint=f"photonbuild build {spec}")
    return Log(name=spec, path=found, time=found.stat().st_mtime, failed=store.failed(spec).exists())


def _path(store: Store, spec: str) -> Path | None:
    """The log that the last build wrote; without it, as after a collection, that of the newest result."""
    running = store.root / "logs" / f"{spec}.log"
    if running.is_file():
        return running
    built = store.package(spec, "key").parent.glob("*/build.log")
    shared = store.root.glob(f"shared/*/complete/{spec}/*/build.log")
    kept = sorted([*built, *shared], key=lambda path: path.stat().st_mtime)
    return kept[-1] if kept else None

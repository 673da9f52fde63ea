"""Two images of this or another build, held against each other."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from photonbuild.documents import nearest
from photonbuild.errors import ConfigError, ImageError
from photonbuild.files import read_sealed
from photonbuild.images.difference import Files, ImageDifference, changed_packages, difference, packages_of
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import MANIFEST_KEYS
from photonbuild.packages.built import RECORD
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind, Sandbox

SUFFIX = ".manifest.json"
QUERY = "[%{FILENAMES}\\t%{FILESIZES}\\t%{FILEMODES:octal}\\t%{FILEDIGESTS}%{FILELINKTOS}\\n]"
Manifest = Mapping[str, Any]


def compare_images(session: Session, old: str, new: str) -> ImageDifference:
    """From one image to another. Each is a name of ``build/images``, an image file, its manifest, or a folder with one.

    Raises ConfigError, ImageError.
    """
    before, after = (read_manifest(manifest_of(session, name)) for name in (old, new))
    keys = tuple(MANIFEST_KEYS.values())
    gone, come = changed_packages(before, after, keys)
    paths = rpms(session, gone | come)
    one, other = (files_of(session, {paths[digest] for digest in side & paths.keys()}) for side in (gone, come))
    names = {
        f"{package.name}-{package.version}"
        for manifest in (before, after)
        for key in keys
        for rows in packages_of(manifest, key).values()
        for package in rows
        if package.sha256 in (gone | come) - paths.keys()
    }
    return difference(before, after, keys, (one, other), names)


def manifest_of(session: Session, name: str) -> Path:
    """Where the manifest of an image is. Raises ConfigError."""
    place = Path(name)
    if "/" not in name and name in session.config.images:
        image = session.config.image(name)
        stem = f"{session.config.distribution.prefix}{image.variant}{FORMATS[image.format].suffix}"
        path = session.config.stage_dir / "images" / f"{stem}{SUFFIX}"
        if not path.is_file():
            raise ConfigError(f"image '{name}' was not made here", where=str(path), hint=f"photonbuild image {name}")
        return path
    if place.is_dir():
        found = sorted(place.glob(f"*{SUFFIX}"))
        if len(found) != 1:
            raise ConfigError(f"{len(found)} manifests are in this folder", where=name, hint="name one of its images")
        return found[0]
    if place.name.endswith(SUFFIX) and place.is_file():
        return place
    path = place.with_name(f"{place.name}{SUFFIX}") if place.name else place
    if not path.is_file():
        known = ", ".join(sorted(session.config.images))
        message = f"no image '{name}'{nearest(name, session.config.images)}, and no manifest {path}"
        raise ConfigError(message, hint=f"an image file, or one of: {known}")
    return path


def read_manifest(path: Path) -> Manifest:
    """Raises ImageError for one that is not of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(content["size"], int)
        for key in MANIFEST_KEYS.values():
            packages_of(content, key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ImageError(f"the manifest is damaged: {error!r}", where=str(path)) from None
    return dict(content)


def rpms(session: Session, digests: Collection[str]) -> dict[str, Path]:
    """The packages with these digests that the store has."""
    found: dict[str, Path] = {}
    for record in session.store.root.glob(f"packages/*/*/{RECORD}") if digests else ():
        for package in (read_sealed(record) or {}).get("packages", ()):
            if package["sha256"] in digests and (path := record.parent / "rpms" / package["file"]).is_file():
                session.store.use(record.parent)
                found[package["sha256"]] = path
    return found


def files_of(session: Session, packages: Collection[Path]) -> Files:
    """The files of these packages, as rpm lists them, in the sandbox."""
    if not packages:
        return {}
    inside = {f"/rpms/{number}.rpm": path for number, path in enumerate(sorted(packages))}
    binds = [Bind(path, place) for place, path in inside.items()]
    box = Sandbox(layers=[session.image_seed.root], scratch=session.store.scratch, binds=binds, readonly=True)
    argv = ["rpm", "--query", "--package", "--nosignature", f"--queryformat={QUERY}", *inside]
    rows = (line.split("\t") for line in box.run(argv, error=ImageError).stdout.splitlines())
    return {path: (int(size), mode, digest) for path, size, mode, digest in rows}

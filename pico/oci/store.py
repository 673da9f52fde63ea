"""Images ready to run: each one read-only EROFS file in the store, all of the same nominal size, and what runs in it.

images/ID/{disk,image.json}   references/DIGEST.json (a name, or a path with its state, → ID)   blobs/ (pulled layers)
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.files import locked, write_json
from pico.errors import PicoError
from pico.oci.config import ImageConfig
from pico.oci.reference import Reference

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Image:
    """`id`: 64 hexadecimal digits, from the digest of the configuration and so of all layers. `size` in bytes."""

    id: str
    folder: Path
    config: ImageConfig
    blobs: tuple[str, ...]
    size: int
    created: float

    @property
    def disk(self) -> Path:
        return self.folder / "disk"


def load(folder: Path) -> Image:
    """The image of a folder of the store. Raises PicoError."""
    try:
        known: dict[str, Any] = json.loads((folder / "image.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PicoError(f"there is no image {folder.name[:12]}", hint="pico images") from None
    config: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in known["config"].items()
    }
    return Image(
        id=folder.name,
        folder=folder,
        config=ImageConfig(**config),
        blobs=tuple(known["blobs"]),
        size=known["size"],
        created=known["created"],
    )


def everything(root: Path) -> list[Image]:
    """All images, newest first."""
    folders = (path.parent for path in (root / "images").glob("*/image.json"))
    return sorted((load(folder) for folder in folders), key=lambda image: -image.created)


def known(root: Path, reference: Reference) -> Image | None:
    """The image that a reference meant last time, if it still means that."""
    try:
        entry = json.loads(_pointer(root, reference.text).read_text(encoding="utf-8"))
        if entry["state"] == reference.state():
            return load(root / "images" / entry["image"])
    except (FileNotFoundError, PicoError):
        pass
    if reference.kind == "registry" and len(reference.text) >= 6 and set(reference.text) <= set("0123456789abcdef"):
        found = [path for path in (root / "images").glob(f"{reference.text}*") if path.is_dir()]
        return load(found[0]) if len(found) == 1 else None
    return None


def point(root: Path, name: str, image: str, state: list[Any], *, source: str = "") -> None:
    """Let a name, or a path in its present state, mean an image. `source`: the path of what calls itself so."""
    path = _pointer(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"name": name, "image": image, "state": state, "source": source})


def pointer(root: Path, name: str) -> dict[str, Any] | None:
    """What a name means, if anything."""
    try:
        found: dict[str, Any] = json.loads(_pointer(root, name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found if (root / "images" / found["image"] / "image.json").exists() else None


def _pointer(root: Path, text: str) -> Path:
    return root / "references" / f"{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]}.json"


def pointers(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    return [(path, json.loads(path.read_text("utf-8"))) for path in sorted((root / "references").glob("*.json"))]


def publish(root: Path, staged: Path, identity: str, facts: dict[str, Any]) -> Image:
    """Give a finished image its place. `facts` are the fields of `Image` that are not in its folder's name."""
    config = dataclasses.asdict(facts["config"])
    write_json(staged / "image.json", {**facts, "config": config, "created": time.time()})
    final = root / "images" / identity
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(staged, final)
    except OSError:
        if not (final / "image.json").exists():
            raise
    return load(final)


def remove(root: Path, image: Image) -> list[str]:
    """Remove an image and what points to it; the names that are gone. Machines that run keep its file open."""
    gone = []
    with locked(root / "locks" / "images"):
        for path, entry in pointers(root):
            if entry["image"] == image.id:
                path.unlink(missing_ok=True)
                gone.append(entry["name"])
        shutil.rmtree(image.folder, ignore_errors=True)
    return gone


def remove_blobs(root: Path) -> int:
    """Remove pulled layers of images that are gone, unless something is pulled just now; the number of bytes."""
    freed = 0
    with _blobs_lock(root) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        wanted = {digest.partition(":")[2] for image in everything(root) for digest in image.blobs}
        for path in (root / "blobs").glob("sha256/*"):
            if path.name not in wanted:
                freed += path.stat().st_size
                path.unlink()
    return freed


@contextlib.contextmanager
def pulling(root: Path) -> Iterator[None]:
    """No layer is removed meanwhile. Any number may pull at once."""
    with _blobs_lock(root) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def _blobs_lock(root: Path) -> Iterator[int]:
    path = root / "locks" / "blobs"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)

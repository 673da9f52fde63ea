"""A finished image of the store as files under stage/images."""

from __future__ import annotations

import os
from pathlib import Path

from photonbuild.files import copy_file, locked, read_json, sealed, write_json
from photonbuild.images.publish import ImageResult

RECORD = "result.json"


def publish_image(stage: Path, cached: Path) -> ImageResult:
    """Put a copy of the store's image into the folder images/ of `stage`, each file by rename.

    A copy, since images are started, resized and signed where they lie. One that nobody has touched is left.
    """
    record = read_json(cached / RECORD)
    outdir = stage / "images"
    outdir.mkdir(parents=True, exist_ok=True)
    with locked(stage / ".images.lock"):
        for name in (record["path"], record["checksum"], record["manifest"], *record["extras"]):
            source, target = cached / name, outdir / name
            if _is_copy(source, target):
                continue
            temporary = target.with_name(f".{target.name}.new")
            temporary.unlink(missing_ok=True)
            try:
                copy_file(source, temporary)
                # The signature of what was there, if there is one: see `photonbuild repo sign`.
                (outdir / f"{name}.asc").unlink(missing_ok=True)
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
    return read_result(cached, outdir)


def _is_copy(source: Path, target: Path) -> bool:
    """Does the file look like a copy that was made before? A hard link to the source is none."""
    try:
        one, other = source.stat(), target.stat()
    except FileNotFoundError:
        return False
    same = (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    return same and not os.path.samestat(one, other)


def write_result(folder: Path, result: ImageResult) -> None:
    """Put down in `folder`, which holds the files of an image, what `read_result` reads."""
    record = {
        "path": result.path.name,
        "checksum": result.checksum.name,
        "manifest": result.manifest.name,
        "sha256": result.sha256,
        "size": result.size,
        "seconds": dict(result.seconds),
        "extras": [path.name for path in result.extras],
    }
    write_json(folder / RECORD, sealed(record))


def read_result(cached: Path, outdir: Path | None = None) -> ImageResult:
    """What was made in `cached`, with the paths under which it lies there or in `outdir`."""
    record, folder = read_json(cached / RECORD), outdir or cached
    return ImageResult(
        path=folder / record["path"],
        checksum=folder / record["checksum"],
        manifest=folder / record["manifest"],
        sha256=record["sha256"],
        size=record["size"],
        seconds=record["seconds"],
        extras=[folder / name for name in record["extras"]],
    )

"""A finished image of the store as files under stage/images."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from photonbuild.files import read_json, write_json
from photonbuild.images.publish import ImageResult


def publish_image(stage: Path, cached: Path) -> ImageResult:
    """Put the store's copy of an image into the folder images/ of `stage`, each file by rename."""
    record = read_json(cached / "result.json")
    outdir = stage / "images"
    outdir.mkdir(parents=True, exist_ok=True)
    for name in (record["path"], record["checksum"], record["manifest"], *record["extras"]):
        source, target = cached / name, outdir / name
        with contextlib.suppress(OSError):
            if target.samefile(source):
                continue
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    return read_result(cached, outdir)


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
    write_json(folder / "result.json", record)


def read_result(cached: Path, outdir: Path | None = None) -> ImageResult:
    """What was made in `cached`, with the paths under which it lies there or in `outdir`."""
    record, folder = read_json(cached / "result.json"), outdir or cached
    return ImageResult(
        path=folder / record["path"],
        checksum=folder / record["checksum"],
        manifest=folder / record["manifest"],
        sha256=record["sha256"],
        size=record["size"],
        seconds=record["seconds"],
        extras=[folder / name for name in record["extras"]],
    )

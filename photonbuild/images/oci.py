"""Base container image: the root as one layer in an OCI image layout (image-spec 1.1), packed as a tar.

``docker load``, ``skopeo copy oci-archive:…`` and ``podman load`` take it; the index names it by its reference.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..config import Image, OciImage
from ..rootfs import RootfsFile
from .disk import published, timed
from .request import ImageRequest, ImageResult

MEDIA = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build_oci(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    image, distribution = request.image, request.distribution
    assert isinstance(image, OciImage)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    layout = request.workdir / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    layer, diff_id = write_layer(layout, request.rootfs.tar)
    created = datetime.fromtimestamp(distribution.source_date_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {
        "org.opencontainers.image.title": f"{distribution.name} {distribution.version}",
        "org.opencontainers.image.version": distribution.version,
        "org.opencontainers.image.created": created,
    }
    config = {
        "created": created,
        "architecture": ARCHITECTURES[distribution.arch],
        "os": "linux",
        "config": {"Env": list(image.environment), "Cmd": list(image.command), "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "comment": f"{len(request.rootfs.packages)} packages"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}.manifest.v1+json",
        "config": write_json_blob(layout, config, f"{MEDIA}.config.v1+json"),
        "layers": [layer],
        "annotations": labels,
    }
    reference = {"org.opencontainers.image.ref.name": distribution.version}
    entry = {**write_json_blob(layout, manifest, f"{MEDIA}.manifest.v1+json"), "annotations": reference}
    index = {"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json", "manifests": [entry]}
    (layout / "index.json").write_bytes(encoded(index))
    (layout / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))
    target = request.workdir / "image.oci.tar"
    pack(layout, target, distribution.source_date_epoch)
    timed(seconds, "oci", started)
    return published(request, target, seconds)


def root_files(image: Image, identity: str, title: str) -> Sequence[RootfsFile]:
    return ()


def encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write_blob(layout: Path, source: Path, media_type: str) -> dict[str, Any]:
    """Move a file to where its digest says; its descriptor."""
    with source.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    size = source.stat().st_size
    source.rename(layout / "blobs/sha256" / digest)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def write_json_blob(layout: Path, value: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    temporary = layout / "blob"
    temporary.write_bytes(encoded(value))
    return write_blob(layout, temporary, media_type)


def write_layer(layout: Path, tar: Path) -> tuple[dict[str, Any], str]:
    """The root's tar as a gzip layer without name and time; its descriptor and its diff ID."""
    with tar.open("rb") as content:
        diff_id = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        content.seek(0)
        with (layout / "layer").open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
            shutil.copyfileobj(content, packed, 1 << 20)
    return write_blob(layout, layout / "layer", f"{MEDIA}.layer.v1.tar+gzip"), diff_id


def pack(folder: Path, target: Path, epoch: int) -> None:
    """A tar of a folder's files, sorted, with constant owners, modes and times."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size, info.mtime, info.mode = path.stat().st_size, epoch, 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)

"""Base container image: the root as one layer in an OCI image layout (image-spec 1.1), packed as a tar.

``docker load``, ``skopeo copy oci-archive:…`` and ``podman load`` take it; the index names it by its reference.
"""

from __future__ import annotations

import gzip
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from photonbuild.config.models import Image, OciImage
from photonbuild.files import sha256_of
from photonbuild.images.disk import published, timed
from photonbuild.images.request import ImageRequest, ImageResult, pack
from photonbuild.images.rootfs import RootfsFile

MEDIA = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build_oci(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    image, distribution = request.image, request.distribution
    assert isinstance(image, OciImage)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    layout = request.workdir / "layout"
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
        "history": [{"created": created, "comment": f"{len(request.rootfs.packages)} packages"}],
    }
    # docker load takes the name as it is, and then finds only what has a registry's name in front, or "localhost".
    name = f"localhost/{distribution.id}:{distribution.version}"
    write_layout(layout, request.rootfs.tar, config, name=name, annotations=labels)
    target = request.workdir / "image.oci.tar"
    members = {path.relative_to(layout).as_posix(): path for path in sorted(layout.rglob("*")) if path.is_file()}
    pack(target, members, distribution.source_date_epoch)
    timed(seconds, "oci", started)
    return published(request, target, seconds)


def write_layout(
    layout: Path, tar: Path, config: Mapping[str, Any], *, name: str, annotations: Mapping[str, str]
) -> None:
    """An image of one layer, the root in `tar`, as a new folder `layout`. `config` lacks its ``rootfs``."""
    (layout / "blobs/sha256").mkdir(parents=True)
    layer, diff_id = write_layer(layout, tar)
    whole = {**config, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}.manifest.v1+json",
        "config": write_json_blob(layout, whole, f"{MEDIA}.config.v1+json"),
        "layers": [layer],
        "annotations": annotations,
    }
    reference = {"org.opencontainers.image.ref.name": name}
    entry = {**write_json_blob(layout, manifest, f"{MEDIA}.manifest.v1+json"), "annotations": reference}
    index = {"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json", "manifests": [entry]}
    (layout / "index.json").write_bytes(encoded(index))
    (layout / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))


def root_files(image: Image, identity: str, title: str) -> Sequence[RootfsFile]:
    return ()


def encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write_blob(layout: Path, source: Path, media_type: str) -> dict[str, Any]:
    """Move a file to where its digest says; its descriptor."""
    digest = sha256_of(source)
    size = source.stat().st_size
    source.rename(layout / "blobs/sha256" / digest)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def write_json_blob(layout: Path, value: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    temporary = layout / "blob"
    temporary.write_bytes(encoded(value))
    return write_blob(layout, temporary, media_type)


def write_layer(layout: Path, tar: Path) -> tuple[dict[str, Any], str]:
    """The root's tar as a gzip layer without name and time; its descriptor and its diff ID."""
    with (
        tar.open("rb") as content,
        (layout / "layer").open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(content, packed, 1 << 20)
    return write_blob(layout, layout / "layer", f"{MEDIA}.layer.v1.tar+gzip"), f"sha256:{sha256_of(tar)}"

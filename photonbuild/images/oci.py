"""An OCI image layout (image-spec 1.1) of one layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonbuild.files import sha256_of

MEDIA = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_layout(
    layout: Path, tar: Path, packed: Path, config: Mapping[str, Any], *, name: str, annotations: Mapping[str, str]
) -> None:
    """An image of one layer, the root in `tar`, as a new folder `layout`. `config` lacks its ``rootfs``.

    `packed` is the tar compressed by gzip, and moves into the layout: who calls chooses the program, and with it the
    layer's digest.
    """
    (layout / "blobs/sha256").mkdir(parents=True)
    whole = {**config, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_of(tar)}"]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}.manifest.v1+json",
        "config": write_json_blob(layout, whole, f"{MEDIA}.config.v1+json"),
        "layers": [write_blob(layout, packed, f"{MEDIA}.layer.v1.tar+gzip")],
        "annotations": annotations,
    }
    reference = {"org.opencontainers.image.ref.name": name}
    entry = {**write_json_blob(layout, manifest, f"{MEDIA}.manifest.v1+json"), "annotations": reference}
    index = {"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json", "manifests": [entry]}
    (layout / "index.json").write_bytes(encoded(index))
    (layout / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))


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

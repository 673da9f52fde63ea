"""Base container image: the root as one layer in an OCI image layout, packed as a tar.

``docker load``, ``skopeo copy oci-archive:…`` and ``podman load`` take it; the index names it by its reference.
"""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import Literal

from photonbuild.config.models import Image
from photonbuild.images.archive import pack
from photonbuild.images.disk import timed
from photonbuild.images.format import Format
from photonbuild.images.installset import Role
from photonbuild.images.oci import ARCHITECTURES, write_layout
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools


class OciImage(Image):
    """``format: oci``: a base image for containers, one layer."""

    format: Literal["oci"]
    environment: tuple[str, ...] = ("PATH=/usr/bin:/usr/sbin",)
    command: tuple[str, ...] = ("/bin/bash",)


def build_oci(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    image, distribution = request.image, request.distribution
    assert isinstance(image, OciImage)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    layout = request.folder / "layout"
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
        "history": [{"created": created, "comment": f"{len(request.sets[Role.ROOT].packages)} packages"}],
    }
    # docker load takes the name as it is, and then finds only what has a registry's name in front, or "localhost".
    name = f"localhost/{distribution.id}:{distribution.version}"
    # Of the image seed: what the zlib of this machine makes of it is another machine's other digest.
    packed = request.folder / "layer.tar"
    shutil.copyfile(request.rootfs.tar, packed)
    tools(request, ["gzip", "-n", "-6", "/work/layer.tar"])
    packed = packed.with_suffix(".tar.gz")
    write_layout(layout, request.rootfs.tar, packed, config, name=name, annotations=labels)
    target = request.folder / "image.oci.tar"
    members = {path.relative_to(layout).as_posix(): path for path in sorted(layout.rglob("*")) if path.is_file()}
    pack(target, members, distribution.source_date_epoch)
    timed(seconds, "oci", started)
    return publish(request, target, seconds=seconds)


FORMAT = Format(name="oci", model=OciImage, suffix=".oci.tar", build=build_oci)

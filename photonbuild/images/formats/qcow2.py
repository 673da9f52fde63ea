"""The disk as a compressed qcow2 file, QEMU's own format."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from photonbuild.config.models import DiskImage
from photonbuild.images.disk import further_disks, make_raw, root_files, timed
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools


class Qcow2Image(DiskImage):
    """``format: qcow2``."""

    format: Literal["qcow2"]


def build_qcow2(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    started = time.monotonic()
    image, disks = _convert(request, disk), further_disks(request, _convert)
    timed(seconds, "qcow2", started)
    return publish(request, image, seconds=seconds, disks=disks)


def _convert(request: ImageRequest, disk: Path) -> Path:
    argv = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd"]
    tools(request, [*argv, f"/work/{disk.name}", "/work/disk.qcow2"], seed=request.machine_seed)
    return request.folder / "disk.qcow2"


FORMAT = Format(
    name="qcow2",
    model=Qcow2Image,
    suffix=".qcow2",
    build=build_qcow2,
    root_files=root_files,
    machine_seed=True,
    attachment=Attachment(format="qcow2"),
)

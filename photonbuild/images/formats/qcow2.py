"""The disk as a compressed qcow2 file, QEMU's own format."""

from __future__ import annotations

import time
from typing import Literal

from photonbuild.config.models import DiskImage
from photonbuild.images.disk import make_raw, root_files, timed
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools


class Qcow2Image(DiskImage):
    """``format: qcow2``."""

    format: Literal["qcow2"]


def build_qcow2(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    seconds: dict[str, float] = {}
    make_raw(request, seconds)
    started = time.monotonic()
    argv = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd"]
    tools(request, [*argv, "/work/disk.raw", "/work/disk.qcow2"], seed=request.machine_seed)
    timed(seconds, "qcow2", started)
    return publish(request, request.folder / "disk.qcow2", seconds=seconds)


FORMAT = Format(
    name="qcow2",
    model=Qcow2Image,
    suffix=".qcow2",
    build=build_qcow2,
    root_files=root_files,
    machine_seed=True,
    attachment=Attachment(format="qcow2"),
)

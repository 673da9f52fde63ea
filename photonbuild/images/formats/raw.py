"""The disk as it is, a sparse file."""

from __future__ import annotations

from typing import Literal

from photonbuild.config.models import DiskImage
from photonbuild.images.disk import further_disks, make_raw, root_files
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest


class RawImage(DiskImage):
    """``format: raw``."""

    format: Literal["raw"]


def build_raw(request: ImageRequest) -> ImageResult:
    """Make and publish the disk. Raises ImageError."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    return publish(request, disk, seconds=seconds, disks=further_disks(request))


FORMAT = Format(
    name="raw",
    model=RawImage,
    suffix=".raw",
    build=build_raw,
    root_files=root_files,
    attachment=Attachment(format="raw"),
)

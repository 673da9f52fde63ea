"""Google Compute Engine: ``disk.raw`` in a gzipped tar of GNU's old format, as its documentation asks for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from photonbuild.config.models import DiskImage
from photonbuild.config.partitions import GIB
from photonbuild.images.disk import further_disks, make_raw, root_files, timed
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools
from photonbuild.images.sparse import write_sparse_tar


class GceImage(DiskImage):
    """``format: gce``."""

    format: Literal["gce"]

    @model_validator(mode="after")
    def _whole_gibibytes(self) -> GceImage:
        if any(size % GIB for size in self.disk.sizes):
            raise ValueError("disks of Compute Engine are whole GiB: 'disk.size'")
        return self


def build_gce(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    started = time.monotonic()
    image, disks = _packed(request, disk), further_disks(request, _packed)
    timed(seconds, "tar", started)
    return publish(request, image, seconds=seconds, disks=disks)


def _packed(request: ImageRequest, disk: Path) -> Path:
    """An image of Compute Engine is one disk: each gets an archive, in which it has the name that is asked for."""
    write_sparse_tar(request.folder / "image.tar", disk.name, disk, request.workspace.epoch)
    tools(request, ["gzip", "-n", "-6", "/work/image.tar"])
    return request.folder / "image.tar.gz"


FORMAT = Format(
    name="gce",
    model=GceImage,
    suffix=".tar.gz",
    build=build_gce,
    root_files=root_files,
    attachment=Attachment(format="raw", member=".raw"),
)

"""Amazon EC2: the disk, the same as a VMDK, and the description that ``aws ec2 import-snapshot`` takes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Literal

from photonbuild.config.models import DiskImage
from photonbuild.images import vmdk
from photonbuild.images.disk import further_disks, make_raw, root_files, timed
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest


class AmiImage(DiskImage):
    """``format: ami``."""

    format: Literal["ami"]


def build_ami(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    started = time.monotonic()
    streamed = [vmdk.stream_optimized(request)]
    more = further_disks(request, lambda mine, disk: vmdk.stream_optimized(mine))
    streamed += more.values()
    timed(seconds, "vmdk", started)
    extras = []
    for each in streamed:
        description = each.with_suffix(".import.json")
        text = json.dumps(disk_container(request, each), indent=2, sort_keys=True)
        description.write_text(text + "\n", encoding="utf-8")
        extras += [each, description]
    return publish(request, disk, seconds=seconds, extras=extras, disks=further_disks(request))


def disk_container(request: ImageRequest, streamed: Path) -> dict[str, object]:
    """Disk container of ImportSnapshot (Amazon EC2 API reference); bucket and key are the user's to fill in."""
    name = f"{request.distribution.prefix}{request.image.variant}{''.join(streamed.suffixes)}"
    return {
        "Description": f"{request.distribution.name} {request.distribution.version}",
        "Format": "VMDK",
        "UserBucket": {"S3Bucket": "BUCKET", "S3Key": name},
    }


FORMAT = Format(
    name="ami",
    model=AmiImage,
    suffix=".raw",
    extras=(".vmdk", ".import.json"),
    further=(".raw", ".vmdk", ".import.json"),
    build=build_ami,
    root_files=root_files,
    machine_seed=True,
    attachment=Attachment(format="raw"),
)

"""Microsoft Azure: a fixed VHD, whose size without the footer is a whole number of MiB, and metadata beside it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from photonbuild.config.models import DiskImage
from photonbuild.config.partitions import GIB
from photonbuild.disk.gpt import MIB, named_uuid
from photonbuild.images.disk import further_disks, make_raw, root_files
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest

MOST_VHD = 2040 * GIB  # what the footer can describe
VHD_EPOCH = 946684800  # 2000-01-01T00:00:00Z, as Unix time
VHD_FIXED = 2
# By its name a reader knows whether the size counts, or the geometry, which not every size has. This is Hyper-V's,
# whose size counts in every reader; QEMU before 10 takes the geometry of a name that it does not know.
CREATOR = b"win "


class AzureImage(DiskImage):
    """``format: azure``."""

    format: Literal["azure"]

    @model_validator(mode="after")
    def _largest_disk(self) -> AzureImage:
        if max(self.disk.sizes) > MOST_VHD:
            raise ValueError(f"a VHD holds at most {MOST_VHD // GIB} GiB: 'disk.size'")
        return self


def build_azure(request: ImageRequest) -> ImageResult:
    """Make and publish the image. Raises ImageError."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    image, disks = _with_footer(request, disk), further_disks(request, _with_footer)
    description = request.folder / "image.azure.json"
    description.write_text(json.dumps(generations(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return publish(request, image, seconds=seconds, extras=[description], disks=disks)


def _with_footer(request: ImageRequest, disk: Path) -> Path:
    size = disk.stat().st_size
    assert size % MIB == 0
    with disk.open("ab") as handle:
        handle.write(vhd_footer(size, identity=request.identity, epoch=request.workspace.epoch))
    return disk.rename(request.folder / "disk.vhd")


def generations() -> list[dict[str, str]]:
    """What an image definition must say for either generation of Azure's virtual machines."""
    common = {"osType": "Linux", "osState": "Generalized", "architecture": "x64"}
    return [{**common, "hyperVGeneration": "V1"}, {**common, "hyperVGeneration": "V2"}]


def vhd_footer(size: int, *, identity: str, epoch: int) -> bytes:
    """Footer of a fixed disk of `size` bytes (Virtual Hard Disk Image Format Specification 1.0). Pure."""
    cylinders, heads, sectors = vhd_geometry(size // 512)
    fields = struct.pack(
        ">8sIIQI4sI4sQQHBBII16sB427x",
        b"conectix",
        2,  # reserved, always set
        0x00010000,
        0xFFFFFFFFFFFFFFFF,  # a fixed disk has no further header
        max(0, epoch - VHD_EPOCH),
        CREATOR,
        0x00010000,
        b"Wi2k",
        size,
        size,
        cylinders,
        heads,
        sectors,
        VHD_FIXED,
        0,
        bytes.fromhex(named_uuid(identity, "vhd").replace("-", "")),
        0,
    )
    checksum = ~sum(fields) & 0xFFFFFFFF
    return fields[:64] + struct.pack(">I", checksum) + fields[68:]


def vhd_geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track, by the algorithm in the specification's appendix."""
    total = min(sectors, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        return total // 255 // 16, 16, 255
    per_track = 17
    cylinders_times_heads = total // per_track
    heads = max(4, (cylinders_times_heads + 1023) // 1024)
    if cylinders_times_heads >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        cylinders_times_heads = total // per_track
    if cylinders_times_heads >= heads * 1024:
        per_track, heads = 63, 16
        cylinders_times_heads = total // per_track
    return cylinders_times_heads // heads, heads, per_track


FORMAT = Format(
    name="azure",
    model=AzureImage,
    suffix=".vhd",
    extras=(".azure.json",),
    build=build_azure,
    root_files=root_files,
    attachment=Attachment(format="vpc", bus="sata"),
)

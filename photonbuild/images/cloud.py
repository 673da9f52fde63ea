"""The disk as clouds take it: Amazon EC2, Google Compute Engine, Microsoft Azure. Nothing is ever uploaded."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

from photonbuild.disk.gpt import MIB, named_uuid
from photonbuild.images import vmdk
from photonbuild.images.disk import make_raw, published, timed
from photonbuild.images.request import ImageRequest, ImageResult, tools

VHD_FOOTER_SIZE = 512
VHD_EPOCH = 946684800  # 2000-01-01T00:00:00Z, as Unix time
VHD_FIXED = 2


def build_gce(request: ImageRequest) -> ImageResult:
    """``disk.raw`` in a gzipped tar of GNU's old format, as the Compute Engine documentation asks for it."""
    seconds: dict[str, float] = {}
    make_raw(request, seconds)
    started = time.monotonic()
    epoch = request.distribution.source_date_epoch
    tools(
        request,
        ["tar", "--create", "--format=oldgnu", "--sparse", "--owner=0", "--group=0", "--numeric-owner", "--mode=0644",
         f"--mtime=@{epoch}", "--use-compress-program=gzip -n -6", "--file=/work/image.tar.gz", "--directory=/work",
         "disk.raw"],
    )  # fmt: skip
    timed(seconds, "tar", started)
    return published(request, request.workdir / "image.tar.gz", seconds)


def build_azure(request: ImageRequest) -> ImageResult:
    """A fixed VHD, whose size without the footer is a whole number of MiB; metadata for both generations beside it."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    size = disk.stat().st_size
    assert size % MIB == 0
    with disk.open("ab") as handle:
        handle.write(vhd_footer(size, identity=request.identity, epoch=request.distribution.source_date_epoch))
    image = disk.rename(request.workdir / "disk.vhd")
    description = request.workdir / "image.azure.json"
    description.write_text(json.dumps(azure_versions(request), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return published(request, image, seconds, extras=[description])


def build_ami(request: ImageRequest) -> ImageResult:
    """The raw disk, the same as a streamOptimized VMDK, and the description that ``aws ec2 import-snapshot`` takes."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    started = time.monotonic()
    streamed = vmdk.stream_optimized(request)
    timed(seconds, "vmdk", started)
    description = request.workdir / "image.import.json"
    text = json.dumps(ami_import(request, streamed), indent=2, sort_keys=True)
    description.write_text(text + "\n", encoding="utf-8")
    return published(request, disk, seconds, extras=[streamed, description])


def ami_import(request: ImageRequest, streamed: Path) -> dict[str, object]:
    """Disk container of ImportSnapshot (Amazon EC2 API reference); bucket and key are the user's to fill in."""
    name = f"{request.distribution.prefix}{request.image.variant}{''.join(streamed.suffixes)}"
    return {
        "Description": f"{request.distribution.name} {request.distribution.version}",
        "Format": "VMDK",
        "UserBucket": {"S3Bucket": "BUCKET", "S3Key": name},
    }


def azure_versions(request: ImageRequest) -> list[dict[str, str]]:
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
        b"phb ",
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

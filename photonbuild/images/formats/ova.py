"""OVA: an OVF descriptor (DMTF DSP0243), a streamOptimized VMDK and a SHA-256 manifest in one tar."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jinja2
from pydantic import model_validator

from photonbuild.config.models import DiskImage
from photonbuild.files import sha256_of
from photonbuild.images import vmdk
from photonbuild.images.archive import pack
from photonbuild.images.disk import make_raw, root_files, timed
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, disk_request
from photonbuild.images.sign import sign_image
from photonbuild.images.sparse import data_ranges

TEMPLATE = "ovf/machine.ovf.j2"


class OvaImage(DiskImage):
    """``format: ova``."""

    format: Literal["ova"]

    @model_validator(mode="after")
    def _machine(self) -> OvaImage:
        if self.machine is None:
            raise ValueError("an appliance needs 'machine': its processors and memory")
        return self


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """A disk as the package has it, the size that it has in a machine, and bytes of it that are not zero."""

    file: Path
    capacity: int
    populated: int


def build_ova(request: ImageRequest) -> ImageResult:
    """Make and publish the appliance. Raises ImageError."""
    seconds: dict[str, float] = {}
    first = make_raw(request, seconds)
    image = request.image
    assert isinstance(image, OvaImage)
    started = time.monotonic()
    base = request.distribution.prefix
    disks = []
    for number, name in enumerate(("", *(each.name for each in image.disk.disks)), 1):
        mine = disk_request(request, name)
        disk = mine.folder / first.name
        populated = sum(length for _, length in data_ranges(disk))
        streamed = vmdk.stream_optimized(mine).rename(request.folder / f"{base}-disk{number}.vmdk")
        disks.append(Streamed(file=streamed, capacity=disk.stat().st_size, populated=populated))
    started = timed(seconds, "vmdk", started)
    descriptor = request.folder / f"{base}.ovf"
    descriptor.write_text(ovf(request, disks), encoding="utf-8")
    listing, files = request.folder / f"{base}.mf", [each.file for each in disks]
    listing.write_text("".join(f"SHA256({path.name})= {sha256_of(path)}\n" for path in (descriptor, *files)))
    package = request.folder / "image.ova"
    # The order is DSP0243's: the descriptor first, then the manifest.
    members = {path.name: path for path in (descriptor, listing, *files)}
    pack(package, members, request.workspace.epoch)
    timed(seconds, "ova", started)
    return publish(request, package, seconds=seconds)


def ovf(request: ImageRequest, disks: Sequence[Streamed]) -> str:
    """The descriptor, from ``build/ovf/machine.ovf.j2``; sizes in bytes."""
    image, distribution = request.image, request.distribution
    assert isinstance(image, OvaImage)
    path = request.roots.find(f"build/{TEMPLATE}")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True, keep_trailing_newline=True)
    return environment.from_string(path.read_text(encoding="utf-8")).render(
        distribution=distribution,
        machine=image.machine,
        disks=[
            {
                "file": each.file.name,
                "size": each.file.stat().st_size,
                "capacity": each.capacity,
                "populated": each.populated,
            }
            for each in disks
        ],
    )


FORMAT = Format(
    name="ova",
    model=OvaImage,
    suffix=".ova",
    further=(),
    build=build_ova,
    root_files=root_files,
    machine_seed=True,
    data=("ovf",),
    attachment=Attachment(format="vmdk", bus="pvscsi", card="vmxnet3", member=".vmdk"),
    sign=sign_image,
)

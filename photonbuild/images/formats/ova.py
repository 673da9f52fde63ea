"""OVA: an OVF descriptor (DMTF DSP0243), a streamOptimized VMDK and a SHA-256 manifest in one tar."""

from __future__ import annotations

import time
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
from photonbuild.images.request import ImageRequest
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


def build_ova(request: ImageRequest) -> ImageResult:
    """Make and publish the appliance. Raises ImageError."""
    seconds: dict[str, float] = {}
    disk = make_raw(request, seconds)
    capacity, populated = disk.stat().st_size, sum(length for _, length in data_ranges(disk))
    started = time.monotonic()
    streamed = vmdk.stream_optimized(request)
    started = timed(seconds, "vmdk", started)
    base = request.distribution.prefix
    streamed = streamed.rename(request.folder / f"{base}-disk1.vmdk")
    descriptor = request.folder / f"{base}.ovf"
    descriptor.write_text(ovf(request, streamed, capacity, populated), encoding="utf-8")
    listing = request.folder / f"{base}.mf"
    listing.write_text("".join(f"SHA256({path.name})= {sha256_of(path)}\n" for path in (descriptor, streamed)))
    image = request.folder / "image.ova"
    # The order is DSP0243's: the descriptor first, then the manifest.
    members = {path.name: path for path in (descriptor, listing, streamed)}
    pack(image, members, request.workspace.epoch)
    timed(seconds, "ova", started)
    return publish(request, image, seconds=seconds)


def ovf(request: ImageRequest, streamed: Path, capacity: int, populated: int) -> str:
    """The descriptor, from ``build/ovf/machine.ovf.j2``; sizes in bytes."""
    image, distribution = request.image, request.distribution
    assert isinstance(image, OvaImage)
    path = request.roots.find(f"build/{TEMPLATE}")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True, keep_trailing_newline=True)
    return environment.from_string(path.read_text(encoding="utf-8")).render(
        distribution=distribution,
        machine=image.machine,
        disk={
            "file": streamed.name,
            "size": streamed.stat().st_size,
            "capacity": capacity,
            "populated": populated,
        },
    )


FORMAT = Format(
    name="ova",
    model=OvaImage,
    suffix=".ova",
    build=build_ova,
    root_files=root_files,
    machine_seed=True,
    data=("ovf",),
    attachment=Attachment(format="vmdk", bus="pvscsi", card="vmxnet3", member=".vmdk"),
    sign=sign_image,
)

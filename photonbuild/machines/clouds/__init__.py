"""The ways into a machine that clouds give its owner, played for one machine: a table of platforms.

Each is a module with the name of cloud-init's data source, the SMBIOS values by which it knows the platform, and a
context manager that serves what the owner asked for, on media or by a server of ours. Nothing is written to the image.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.images.format import Bus
from photonbuild.machines.clouds import azure, ec2, gce, nocloud, ovf
from photonbuild.machines.clouds.access import Access, Cloud, Workshop, order
from photonbuild.machines.drive import Medium
from photonbuild.machines.qemu import BACKING, Hardware
from photonbuild.sandbox.sandbox import Bind, Sandbox

__all__ = ["CLOUDS", "Access", "fitted", "grown", "platform_bus", "way_in"]

CLOUDS: Mapping[str, Cloud] = {
    "nocloud": nocloud.CLOUD,
    "ec2": ec2.CLOUD,
    "gce": gce.CLOUD,
    "azure": azure.CLOUD,
    "ovf": ovf.CLOUD,
}


def platform_bus(platform: str | None) -> Bus | None:
    """How the platform plugs disks in; None where that is up to the image, or the platform is not known."""
    return CLOUDS[platform].bus if platform is not None and platform in CLOUDS else None


@contextlib.contextmanager
def way_in(platform: str | None, *, user: str, seed: Path, scratch: Path) -> Iterator[Access | None]:
    """What platform `platform` gives a machine, for as long as the block lasts; None where there is no cloud.

    `user` is the image's default user. `seed`: the unpacked machine seed. Raises VerifyError for a platform that is
    not known, and when the media cannot be made.
    """
    if platform is None:
        yield None
        return
    if platform not in CLOUDS:
        raise VerifyError(f"unknown platform '{platform}'", hint=f"known: {', '.join(CLOUDS)}")
    cloud = CLOUDS[platform]
    with (
        Workshop(seed=seed, scratch=scratch) as shop,
        order(cloud.user or user) as asked,
        cloud.serve(asked, shop) as service,
    ):
        yield Access(platform=platform, datasource=cloud.datasource, order=asked, service=service)


def fitted(hardware: Hardware, access: Access) -> Hardware:
    """The machine with what the cloud gives it. Pure."""
    service = access.service
    return replace(
        hardware,
        drives=[*hardware.drives, *service.drives],
        smbios=[*hardware.smbios, *service.smbios],
        network=[*hardware.network, *service.network],
        options=[*hardware.options, *service.options],
        login=access.order.login,
    )


@contextlib.contextmanager
def grown(medium: Medium, more: int, *, seed: Path, scratch: Path) -> Iterator[Medium]:
    """The medium as a disk that is `more` bytes larger, as clouds give it: an overlay, gone with the block."""
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as place:
        folder = Path(place)
        (folder / "scratch").mkdir()
        binds = [Bind(folder, "/work", readonly=False), Bind(medium.file.resolve(), BACKING)]
        tools = Sandbox(layers=[seed], scratch=folder / "scratch", binds=binds)
        about = tools.run(["qemu-img", "info", "--output=json", "-f", medium.format, BACKING], error=VerifyError)
        size = int(json.loads(about.stdout)["virtual-size"]) + more
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", medium.format, "-b", BACKING, "/work/disk", str(size)]
        tools.run(argv, error=VerifyError)
        yield replace(medium, file=folder / "disk", format="qcow2", backing=medium.file)

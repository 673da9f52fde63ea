"""Cloud platforms as a machine sees them, each served for one machine on this one: a table.

Each module has cloud-init's name of the data source, the SMBIOS values by which it knows the platform, and a context
manager that serves the instance's metadata, on a CD or by a web server. Nothing is written to the image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.images.format import Bus
from photonbuild.machines.clouds import azure, ec2, gce, nocloud, openstack, ovf
from photonbuild.machines.clouds.instance import Cloud, MediaBuilder, MetadataService, new_instance
from photonbuild.machines.hardware import Hardware

CLOUDS: Mapping[str, Cloud] = {
    "nocloud": nocloud.CLOUD,
    "configdrive": openstack.CONFIG_DRIVE,
    "openstack": openstack.METADATA_SERVICE,
    "ec2": ec2.CLOUD,
    "gce": gce.CLOUD,
    "azure": azure.CLOUD,
    "ovf": ovf.CLOUD,
}


def platform_bus(platform: str | None) -> Bus | None:
    """How the platform plugs disks in; None where that is up to the image, or the platform is not known."""
    return CLOUDS[platform].bus if platform is not None and platform in CLOUDS else None


@contextlib.contextmanager
def metadata_service(
    platform: str | None, image: Path, *, user: str, seed: Path, scratch: Path
) -> Iterator[MetadataService | None]:
    """A new instance of `platform`, made of `image`, served as long as the block lasts; None where there is no cloud.

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
        MediaBuilder(seed=seed, scratch=scratch) as media,
        new_instance(image, cloud.user or user) as instance,
        cloud.serve(instance, media) as provisioning,
    ):
        yield MetadataService(
            platform=platform, datasource=cloud.datasource, instance=instance, provisioning=provisioning
        )


def provisioned(hardware: Hardware, service: MetadataService) -> Hardware:
    """The hardware with what the cloud adds to it. Pure."""
    added = service.provisioning
    return replace(
        hardware,
        drives=[*hardware.drives, *added.drives],
        smbios=[*hardware.smbios, *added.smbios],
        network=[*hardware.network, *added.network],
        options=[*hardware.options, *added.options],
        ssh_key=service.instance.private_key,
    )

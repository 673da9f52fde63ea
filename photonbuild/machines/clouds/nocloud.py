"""NoCloud: a CD with the label cidata. https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from photonbuild.machines.clouds.instance import MAC, Cloud, InstanceSpec, MediaBuilder, Provisioning

LABEL = "cidata"
# Of TEST-NET-1 (RFC 5737): a second address shows that the network configuration was read.
EXTRA_ADDRESS = "192.0.2.10"


def seed(instance: InstanceSpec) -> dict[str, str]:
    """The files of the seed; the network in version 2. Pure."""
    metadata = {
        "instance-id": str(instance.uuid),
        "local-hostname": instance.hostname,
        "public-keys": [instance.public_key],
    }
    card = {"match": {"macaddress": MAC}, "dhcp4": True, "addresses": [f"{EXTRA_ADDRESS}/24"]}
    return {
        "meta-data": json.dumps(metadata) + "\n",
        "user-data": instance.user_data,
        "network-config": json.dumps({"version": 2, "ethernets": {"card": card}}) + "\n",
    }


@contextlib.contextmanager
def serve(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    yield Provisioning(drives=[media.cd(LABEL, seed(instance))], addresses=[EXTRA_ADDRESS])


CLOUD = Cloud(datasource="NoCloud", serve=serve)

"""OVF: the environment file on a CD, the transport "iso" (DMTF DSP0243, Open Virtualization Format, environment)."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from photonbuild.machines.clouds.instance import MAC, Cloud, InstanceSpec, MediaBuilder, Provisioning

LABEL = "OVF ENV"
EXTRA_ADDRESS = "192.0.2.11"


def properties(instance: InstanceSpec) -> dict[str, str]:
    """The properties of the image's descriptor, filled in. Pure."""
    card = {"match": {"macaddress": MAC}, "dhcp4": True, "addresses": [f"{EXTRA_ADDRESS}/24"]}
    network = {"network": {"version": 2, "ethernets": {"card": card}}}
    return {
        "hostname": instance.hostname,
        "instance-id": str(instance.uuid),
        "public-keys": instance.public_key,
        "user-data": base64.b64encode(instance.user_data.encode()).decode(),
        "network-config": base64.b64encode(json.dumps(network).encode()).decode(),
    }


def environment(instance: InstanceSpec) -> str:
    """``ovf-env.xml``. Pure."""
    lines = "".join(
        f"    <Property oe:key={quoteattr(key)} oe:value={quoteattr(value)}/>\n"
        for key, value in properties(instance).items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"\n'
        '             xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="machine">\n'
        f"  <PropertySection>\n{lines}  </PropertySection>\n</Environment>\n"
    )


@contextlib.contextmanager
def serve(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    yield Provisioning(drives=[media.cd(LABEL, {"ovf-env.xml": environment(instance)})], addresses=[EXTRA_ADDRESS])


CLOUD = Cloud(datasource="OVF", serve=serve)

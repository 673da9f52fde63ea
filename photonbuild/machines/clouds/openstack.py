"""OpenStack: the metadata service, or the same files on a config drive.

https://docs.openstack.org/nova/latest/user/metadata.html
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from photonbuild.machines.clouds.instance import MAC, Cloud, InstanceSpec, MediaBuilder, Provisioning
from photonbuild.machines.clouds.server import (
    HOST,
    IMDS,
    NAMESERVER,
    Request,
    Responder,
    Response,
    guest_forward,
    serve_http,
    user_network,
)

LABEL = "config-2"
VERSION = "latest"
EXTRA_ADDRESS = "192.0.2.12"
# Of a network of the overlay kind, in a physical one of 1500.
MTU = 1450
LINK = "tap0"


def network_data(*, service: bool) -> dict[str, object]:
    """``network_data.json``: the card by its address; what it gets by DHCP and, on a config drive, a second address.

    The service is asked over the network that it describes: there all is by DHCP. Pure.
    """
    by_dhcp = {"id": "network0", "type": "ipv4_dhcp", "link": LINK, "network_id": "0"}
    fixed = {
        "id": "network1",
        "type": "ipv4",
        "link": LINK,
        "network_id": "1",
        "ip_address": EXTRA_ADDRESS,
        "netmask": "255.255.255.0",
        "routes": [],
    }
    card = {"id": LINK, "vif_id": "vif0", "type": "ovs", "mtu": MTU, "ethernet_mac_address": MAC}
    return {"links": [card], "networks": [by_dhcp, *([] if service else [fixed])], "services": []}


def files(instance: InstanceSpec, *, service: bool = False) -> dict[str, str]:
    """What is at which path, on either. Pure."""
    metadata = {
        "uuid": str(instance.uuid),
        "hostname": f"{instance.hostname}.novalocal",
        "name": instance.hostname,
        "launch_index": 0,
        "availability_zone": "nova",
        "public_keys": {"owner": instance.public_key},
        "keys": [{"name": "owner", "type": "ssh", "data": instance.public_key}],
    }
    return {
        f"openstack/{VERSION}/meta_data.json": json.dumps(metadata),
        f"openstack/{VERSION}/user_data": instance.user_data,
        f"openstack/{VERSION}/network_data.json": json.dumps(network_data(service=service)),
        f"openstack/{VERSION}/vendor_data.json": "{}",
    }


def like_ec2(instance: InstanceSpec) -> dict[str, str]:
    """The service answers to EC2's paths as well, and cloud-init warns where it does not. Pure."""
    names = {"instance-id": "i-00000001", "hostname": instance.hostname, "local-hostname": instance.hostname}
    return {f"latest/meta-data/{name}": text for name, text in names.items()}


def responder(instance: InstanceSpec) -> Responder:
    """The service; a folder is answered with what is in it."""
    known = files(instance, service=True) | like_ec2(instance)

    def respond(request: Request) -> Response:
        path = request.path.strip("/")
        if request.method != "GET":
            return Response(status=405)
        if path in known:
            return Response(text=known[path])
        below = sorted({name[len(path) + 1 :].partition("/")[0] for name in known if name.startswith(f"{path}/")})
        return Response(text="\n".join(below)) if below else Response(status=404)

    return respond


def smbios(instance: InstanceSpec) -> list[str]:
    """What Nova writes: cloud-init looks for the service where it finds the product's name. Pure."""
    return [
        f"type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,uuid={instance.uuid}",
        "type=3,manufacturer=OpenStack Foundation",
    ]


@contextlib.contextmanager
def serve_config_drive(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    drive = media.cd(LABEL, files(instance))
    yield Provisioning(drives=[drive], smbios=smbios(instance), mtu=MTU, addresses=[EXTRA_ADDRESS])


@contextlib.contextmanager
def serve_metadata(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    requests: list[str] = []
    with serve_http(responder(instance), requests) as port:
        yield Provisioning(
            smbios=smbios(instance),
            network=user_network(guest_forward(IMDS, port)),
            host=HOST,
            nameserver=NAMESERVER,
            mtu=MTU,
            requests=requests,
        )


CONFIG_DRIVE = Cloud(datasource="ConfigDrive", serve=serve_config_drive)
METADATA_SERVICE = Cloud(datasource="OpenStack", serve=serve_metadata)

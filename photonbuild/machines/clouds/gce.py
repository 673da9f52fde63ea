"""Google Compute Engine: the metadata server. https://cloud.google.com/compute/docs/metadata/overview"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from photonbuild.machines.clouds import dhcp
from photonbuild.machines.clouds.instance import Cloud, InstanceSpec, MediaBuilder, Provisioning
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

FLAVOR = {"Metadata-Flavor": "Google"}
ROOT = "/computeMetadata/v1"
# Of a network by default, announced by DHCP: https://cloud.google.com/vpc/docs/mtu
MTU = 1460
ZONE = "projects/1/zones/test-central1-a"


def tree(instance: InstanceSpec) -> dict[str, Any]:
    """Values by path below the root; attributes are asked for as a whole. Pure."""
    return {
        "instance/id": str(instance.uuid.int % 10**19),
        "instance/zone": ZONE,
        "instance/hostname": f"{instance.hostname}.c.test.internal",
        "instance/attributes": {"ssh-keys": f"{instance.user}:{instance.public_key}", "user-data": instance.user_data},
        "project/attributes": {},
    }


def responder(instance: InstanceSpec) -> Responder:
    """The server: nothing without the header that no browser sends by mistake."""
    values = tree(instance)

    def respond(request: Request) -> Response:
        if request.headers.get("metadata-flavor") != "Google":
            return Response(status=403)
        if request.method != "GET":
            # Guest attributes are off unless the owner has them switched on.
            return Response(status=403, headers=FLAVOR)
        value = values.get(request.path.removeprefix(ROOT).strip("/"))
        if value is None or not request.path.startswith(ROOT):
            return Response(status=404, headers=FLAVOR)
        if isinstance(value, str):
            return Response(text=value, headers={**FLAVOR, "Content-Type": "application/text"})
        if request.query.lower() == "recursive=true":
            return Response(text=json.dumps(value), headers={**FLAVOR, "Content-Type": "application/json"})
        return Response(text="".join(f"{name}\n" for name in sorted(value)), headers=FLAVOR)

    return respond


@contextlib.contextmanager
def serve(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    requests: list[str] = []
    with (
        serve_http(responder(instance), requests) as port,
        dhcp.inject({dhcp.MTU: MTU.to_bytes(2, "big")}) as options,
    ):
        name = "Google Compute Engine"
        yield Provisioning(
            smbios=[
                "type=0,vendor=Google,version=Google",
                f"type=1,manufacturer=Google,product={name},serial=GoogleCloud-{instance.uuid.hex.upper()}",
                f"type=2,manufacturer=Google,product={name}",
            ],
            options=options,
            network=user_network(guest_forward(IMDS, port)),
            host=HOST,
            nameserver=NAMESERVER,
            mtu=MTU,
            requests=requests,
        )


CLOUD = Cloud(datasource="GCE", serve=serve, bus="scsi")

"""Amazon EC2: the instance metadata service, version 2 only.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from photonbuild.machines.clouds.instance import MAC, Cloud, InstanceSpec, MediaBuilder, Provisioning
from photonbuild.machines.clouds.server import (
    GUEST,
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

TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"
LONGEST = 21600
VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
ZONE = "test-1a"


def instance_id(instance: InstanceSpec) -> str:
    return f"i-{instance.uuid.hex[:17]}"


def tree(instance: InstanceSpec) -> dict[str, Any]:
    """What is below each version: folders are mappings, files are strings. Pure."""
    card = {
        "device-number": "0",
        "interface-id": f"eni-{instance.uuid.hex[:17]}",
        "local-ipv4s": GUEST,
        "mac": MAC,
        "subnet-ipv4-cidr-block": "168.0.0.0/7",
    }
    metadata = {
        "ami-id": f"ami-{instance.uuid.hex[:17]}",
        "ami-launch-index": "0",
        "block-device-mapping": {"ami": "/dev/xvda", "root": "/dev/xvda"},
        "hostname": instance.hostname,
        "instance-id": instance_id(instance),
        "instance-type": "t3.small",
        "local-hostname": instance.hostname,
        "local-ipv4": GUEST,
        "mac": MAC,
        "network": {"interfaces": {"macs": {MAC: card}}},
        "placement": {"availability-zone": ZONE, "region": ZONE[:-1]},
        "public-keys": {"0=owner": {"openssh-key": instance.public_key}},
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    document = {"instanceId": instance_id(instance), "region": ZONE[:-1], "availabilityZone": ZONE}
    return {
        "meta-data": metadata,
        "user-data": instance.user_data,
        "dynamic": {"instance-identity": {"document": json.dumps(document)}},
    }


def lookup(files: Mapping[str, Any], path: str) -> str | None:
    """A file's text, or a folder's list with a slash after each folder; None for what is not there. Pure."""
    found: Any = files
    for part in filter(None, path.split("/")):
        if not isinstance(found, Mapping):
            return None
        # A key is listed as 0=name and asked for as 0.
        match = part if part in found else next((name for name in found if name.startswith(f"{part}=")), None)
        if match is None:
            return None
        found = found[match]
    if isinstance(found, str):
        return found
    return "\n".join(
        name if isinstance(value, str) or "=" in name else f"{name}/" for name, value in sorted(found.items())
    )


def responder(instance: InstanceSpec) -> Responder:
    """The service: a token for a PUT that says how long it is wanted, everything else for that token only."""
    tokens: set[str] = set()
    files = {version: tree(instance) for version in VERSIONS}

    def respond(request: Request) -> Response:
        if request.method == "PUT" and request.path == "/latest/api/token":
            wanted = request.headers.get(TTL, "")
            if not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST:
                return Response(status=400)
            tokens.add(token := secrets.token_urlsafe(24))
            return Response(text=token, headers={TTL: wanted})
        if request.method != "GET":
            return Response(status=405)
        if request.headers.get(TOKEN) not in tokens:
            return Response(status=401)
        text = lookup(files, request.path)
        return Response(status=404) if text is None else Response(text=text)

    return respond


@contextlib.contextmanager
def serve(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    requests: list[str] = []
    with serve_http(responder(instance), requests) as port:
        identity = f"ec2{str(instance.uuid)[3:]}"
        yield Provisioning(
            smbios=[
                "type=0,vendor=Amazon EC2,version=1.0",
                f"type=1,manufacturer=Amazon EC2,product=t3.small,serial={identity},uuid={identity}",
                "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
            ],
            network=user_network(guest_forward(IMDS, port)),
            host=HOST,
            nameserver=NAMESERVER,
            requests=requests,
        )


CLOUD = Cloud(datasource="Ec2", serve=serve, bus="nvme")

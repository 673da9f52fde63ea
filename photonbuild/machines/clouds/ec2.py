"""Amazon EC2: the instance metadata service, version 2 only.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from photonbuild.machines.clouds.access import MAC, Cloud, Order, Service, Workshop
from photonbuild.machines.clouds.server import (
    GUEST,
    HOST,
    IMDS,
    NAMESERVER,
    Answer,
    Answers,
    Query,
    answering,
    at,
    network,
)

TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"
LONGEST = 21600
VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
ZONE = "test-1a"


def instance_id(order: Order) -> str:
    return f"i-{order.identity.hex[:17]}"


def tree(order: Order) -> dict[str, Any]:
    """What is below each version: folders are mappings, files are strings. Pure."""
    card = {
        "device-number": "0",
        "interface-id": f"eni-{order.identity.hex[:17]}",
        "local-ipv4s": GUEST,
        "mac": MAC,
        "subnet-ipv4-cidr-block": "168.0.0.0/7",
    }
    metadata = {
        "ami-id": f"ami-{order.identity.hex[:17]}",
        "ami-launch-index": "0",
        "block-device-mapping": {"ami": "/dev/xvda", "root": "/dev/xvda"},
        "hostname": order.hostname,
        "instance-id": instance_id(order),
        "instance-type": "t3.small",
        "local-hostname": order.hostname,
        "local-ipv4": GUEST,
        "mac": MAC,
        "network": {"interfaces": {"macs": {MAC: card}}},
        "placement": {"availability-zone": ZONE, "region": ZONE[:-1]},
        "public-keys": {"0=owner": {"openssh-key": order.public_key}},
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    document = {"instanceId": instance_id(order), "region": ZONE[:-1], "availabilityZone": ZONE}
    return {
        "meta-data": metadata,
        "user-data": order.user_data,
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


def answers(order: Order) -> Answers:
    """The service: a token for a PUT that says how long it is wanted, everything else for that token only."""
    tokens: set[str] = set()
    files = {version: tree(order) for version in VERSIONS}

    def answer(query: Query) -> Answer:
        if query.method == "PUT" and query.path == "/latest/api/token":
            wanted = query.headers.get(TTL, "")
            if not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST:
                return Answer(status=400)
            tokens.add(token := secrets.token_urlsafe(24))
            return Answer(text=token, headers={TTL: wanted})
        if query.method != "GET":
            return Answer(status=405)
        if query.headers.get(TOKEN) not in tokens:
            return Answer(status=401)
        text = lookup(files, query.path)
        return Answer(status=404) if text is None else Answer(text=text)

    return answer


@contextlib.contextmanager
def serve(order: Order, shop: Workshop) -> Iterator[Service]:
    seen: list[str] = []
    with answering(answers(order), seen) as port:
        identity = f"ec2{str(order.identity)[3:]}"
        yield Service(
            smbios=[
                "type=0,vendor=Amazon EC2,version=1.0",
                f"type=1,manufacturer=Amazon EC2,product=t3.small,serial={identity},uuid={identity}",
                "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
            ],
            network=network(at(IMDS, port)),
            host=HOST,
            nameserver=NAMESERVER,
            seen=seen,
        )


CLOUD = Cloud(datasource="Ec2", serve=serve, bus="nvme")

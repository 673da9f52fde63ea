"""Google Compute Engine: the metadata server. https://cloud.google.com/compute/docs/metadata/overview"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from photonbuild.machines.clouds.access import Cloud, Order, Service, Workshop
from photonbuild.machines.clouds.server import HOST, IMDS, NAMESERVER, Answer, Answers, Query, answering, at, network

FLAVOR = {"Metadata-Flavor": "Google"}
ROOT = "/computeMetadata/v1"
ZONE = "projects/1/zones/test-central1-a"


def tree(order: Order) -> dict[str, Any]:
    """Values by path below the root; attributes are asked for as a whole. Pure."""
    return {
        "instance/id": str(order.identity.int % 10**19),
        "instance/zone": ZONE,
        "instance/hostname": f"{order.hostname}.c.test.internal",
        "instance/attributes": {"ssh-keys": f"{order.user}:{order.public_key}", "user-data": order.user_data},
        "project/attributes": {},
    }


def answers(order: Order) -> Answers:
    """The server: nothing without the header that no browser sends by mistake."""
    values = tree(order)

    def answer(query: Query) -> Answer:
        if query.headers.get("metadata-flavor") != "Google":
            return Answer(status=403)
        if query.method != "GET":
            # Guest attributes are off unless the owner has them switched on.
            return Answer(status=403, headers=FLAVOR)
        value = values.get(query.path.removeprefix(ROOT).strip("/"))
        if value is None or not query.path.startswith(ROOT):
            return Answer(status=404, headers=FLAVOR)
        if isinstance(value, str):
            return Answer(text=value, headers={**FLAVOR, "Content-Type": "application/text"})
        if query.query.lower() == "recursive=true":
            return Answer(text=json.dumps(value), headers={**FLAVOR, "Content-Type": "application/json"})
        return Answer(text="".join(f"{name}\n" for name in sorted(value)), headers=FLAVOR)

    return answer


@contextlib.contextmanager
def serve(order: Order, shop: Workshop) -> Iterator[Service]:
    seen: list[str] = []
    with answering(answers(order), seen) as port:
        name = "Google Compute Engine"
        yield Service(
            smbios=[
                "type=0,vendor=Google,version=Google",
                f"type=1,manufacturer=Google,product={name},serial=GoogleCloud-{order.identity.hex.upper()}",
                f"type=2,manufacturer=Google,product={name}",
            ],
            network=network(at(IMDS, port)),
            host=HOST,
            nameserver=NAMESERVER,
            seen=seen,
        )


CLOUD = Cloud(datasource="GCE", serve=serve, bus="scsi")

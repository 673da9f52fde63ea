"""Microsoft Azure: the provisioning CD, the instance metadata service, and the host's own server ("wireserver").

https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
https://learn.microsoft.com/azure/virtual-machines/linux/no-agent (what a machine tells the wireserver when it is ready)
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from photonbuild.machines.clouds import dhcp
from photonbuild.machines.clouds.access import MAC, Cloud, Order, Service, Workshop
from photonbuild.machines.clouds.server import (
    GUEST,
    HOST,
    IMDS,
    NAMESERVER,
    WIRESERVER,
    Answer,
    Answers,
    Query,
    answering,
    at,
    network,
)

# What every virtual machine of Azure has in its chassis.
ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
USER = "operator"
WIRESERVER_OPTION = 245
# By these a machine knows which of its cards is the first.
ROUTES = dhcp.routes(("0.0.0.0", HOST), (WIRESERVER, HOST), (IMDS, HOST))
READY = "<State>Ready</State>"


def provisioning(order: Order) -> str:
    """``ovf-env.xml`` of the provisioning CD. Pure."""
    return f"""\
<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
  <wa:ProvisioningSection>
    <wa:Version>1.0</wa:Version>
    <wa:LinuxProvisioningConfigurationSet>
      <wa:ConfigurationSetType>LinuxProvisioningConfiguration</wa:ConfigurationSetType>
      <wa:HostName>{escape(order.hostname)}</wa:HostName>
      <wa:UserName>{escape(order.user)}</wa:UserName>
      <wa:DisableSshPasswordAuthentication>true</wa:DisableSshPasswordAuthentication>
      <wa:CustomData>{base64.b64encode(order.user_data.encode()).decode()}</wa:CustomData>
    </wa:LinuxProvisioningConfigurationSet>
  </wa:ProvisioningSection>
  <wa:PlatformSettingsSection>
    <wa:Version>1.0</wa:Version>
    <wa:PlatformSettings>
      <wa:ProvisionGuestAgent>false</wa:ProvisionGuestAgent>
    </wa:PlatformSettings>
  </wa:PlatformSettingsSection>
</Environment>
"""


def instance(order: Order) -> dict[str, Any]:
    """What the instance metadata service says of the machine. Pure."""
    address = {"privateIpAddress": GUEST, "publicIpAddress": ""}
    card = {
        "ipv4": {"ipAddress": [address], "subnet": [{"address": "168.0.0.0", "prefix": "7"}]},
        "ipv6": {"ipAddress": []},
        "macAddress": MAC.replace(":", "").upper(),
    }
    compute = {
        "location": "test",
        "name": order.hostname,
        "osProfile": {
            "adminUsername": order.user,
            "computerName": order.hostname,
            "disablePasswordAuthentication": "true",
        },
        "publicKeys": [{"keyData": order.public_key, "path": f"/home/{order.user}/.ssh/authorized_keys"}],
        "userData": "",
        "vmId": str(order.identity),
    }
    return {"compute": compute, "network": {"interface": [card]}, "extended": {"compute": {"ppsType": "None"}}}


def metadata_answers(order: Order) -> Answers:
    """The instance metadata service: nothing without its header."""

    def answer(query: Query) -> Answer:
        if query.headers.get("metadata") != "true":
            return Answer(status=400)
        if query.method == "GET" and query.path == "/metadata/instance" and "api-version=" in query.query:
            return Answer(text=json.dumps(instance(order)), headers={"Content-Type": "application/json"})
        return Answer(status=404)

    return answer


def wireserver_answers(order: Order) -> Answers:
    """The host's server: its goal state, and the machine's word that it is ready."""
    state = f"""\
<?xml version="1.0" encoding="utf-8"?>
<GoalState>
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Container>
    <ContainerId>{order.identity}</ContainerId>
    <RoleInstanceList><RoleInstance><InstanceId>{order.hostname}</InstanceId></RoleInstance></RoleInstanceList>
  </Container>
</GoalState>
"""

    def answer(query: Query) -> Answer:
        if "x-ms-version" not in query.headers:
            return Answer(status=400)
        if query.method == "GET" and query.query == "comp=goalstate":
            return Answer(text=state, headers={"Content-Type": "text/xml; charset=utf-8"})
        if query.method == "POST" and query.query == "comp=health":
            return Answer() if READY in query.body.decode(errors="replace") else Answer(status=409)
        return Answer(status=404)

    return answer


@contextlib.contextmanager
def serve(order: Order, shop: Workshop) -> Iterator[Service]:
    seen: list[str] = []
    with (
        answering(metadata_answers(order), seen) as metadata,
        answering(wireserver_answers(order), seen) as wireserver,
        dhcp.answering({dhcp.ROUTES: ROUTES, WIRESERVER_OPTION: socket.inet_aton(WIRESERVER)}) as options,
    ):
        maker = "manufacturer=Microsoft Corporation"
        yield Service(
            drives=[shop.cd("rd_rdfe_stable", {"ovf-env.xml": provisioning(order)})],
            smbios=[
                f"type=1,{maker},product=Virtual Machine,serial={order.identity},uuid={order.identity}",
                f"type=2,{maker},product=Virtual Machine",
                f"type=3,{maker},asset={ASSET_TAG}",
            ],
            options=options,
            network=network(at(IMDS, metadata), at(WIRESERVER, wireserver)),
            host=HOST,
            nameserver=NAMESERVER,
            seen=seen,
        )


CLOUD = Cloud(datasource="Azure", serve=serve, user=USER)

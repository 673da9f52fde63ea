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
from photonbuild.machines.clouds.instance import MAC, Cloud, InstanceSpec, MediaBuilder, Provisioning
from photonbuild.machines.clouds.server import (
    GUEST,
    HOST,
    IMDS,
    NAMESERVER,
    WIRESERVER,
    Request,
    Responder,
    Response,
    guest_forward,
    serve_http,
    user_network,
)

# What every virtual machine of Azure has in its chassis.
ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
USER = "operator"
WIRESERVER_OPTION = 245
# By these a machine knows which of its cards is the first.
ROUTES = dhcp.routes(("0.0.0.0", HOST), (WIRESERVER, HOST), (IMDS, HOST))
READY = "<State>Ready</State>"


def provisioning(instance: InstanceSpec) -> str:
    """``ovf-env.xml`` of the provisioning CD. Pure."""
    return f"""\
<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
  <wa:ProvisioningSection>
    <wa:Version>1.0</wa:Version>
    <wa:LinuxProvisioningConfigurationSet>
      <wa:ConfigurationSetType>LinuxProvisioningConfiguration</wa:ConfigurationSetType>
      <wa:HostName>{escape(instance.hostname)}</wa:HostName>
      <wa:UserName>{escape(instance.user)}</wa:UserName>
      <wa:DisableSshPasswordAuthentication>true</wa:DisableSshPasswordAuthentication>
      <wa:CustomData>{base64.b64encode(instance.user_data.encode()).decode()}</wa:CustomData>
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


def instance_metadata(instance: InstanceSpec) -> dict[str, Any]:
    """What the instance metadata service says of the machine. Pure."""
    address = {"privateIpAddress": GUEST, "publicIpAddress": ""}
    card = {
        "ipv4": {"ipAddress": [address], "subnet": [{"address": "168.0.0.0", "prefix": "7"}]},
        "ipv6": {"ipAddress": []},
        "macAddress": MAC.replace(":", "").upper(),
    }
    compute = {
        "location": "test",
        "name": instance.hostname,
        "osProfile": {
            "adminUsername": instance.user,
            "computerName": instance.hostname,
            "disablePasswordAuthentication": "true",
        },
        "publicKeys": [{"keyData": instance.public_key, "path": f"/home/{instance.user}/.ssh/authorized_keys"}],
        "userData": "",
        "vmId": str(instance.uuid),
    }
    return {"compute": compute, "network": {"interface": [card]}, "extended": {"compute": {"ppsType": "None"}}}


def metadata_responder(instance: InstanceSpec) -> Responder:
    """The instance metadata service: nothing without its header."""

    def respond(request: Request) -> Response:
        if request.headers.get("metadata") != "true":
            return Response(status=400)
        if request.method == "GET" and request.path == "/metadata/instance" and "api-version=" in request.query:
            return Response(text=json.dumps(instance_metadata(instance)), headers={"Content-Type": "application/json"})
        return Response(status=404)

    return respond


def wireserver_responder(instance: InstanceSpec) -> Responder:
    """The host's server: its goal state, and the machine's word that it is ready."""
    state = f"""\
<?xml version="1.0" encoding="utf-8"?>
<GoalState>
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Container>
    <ContainerId>{instance.uuid}</ContainerId>
    <RoleInstanceList><RoleInstance><InstanceId>{instance.hostname}</InstanceId></RoleInstance></RoleInstanceList>
  </Container>
</GoalState>
"""

    def respond(request: Request) -> Response:
        if "x-ms-version" not in request.headers:
            return Response(status=400)
        if request.method == "GET" and request.query == "comp=goalstate":
            return Response(text=state, headers={"Content-Type": "text/xml; charset=utf-8"})
        if request.method == "POST" and request.query == "comp=health":
            return Response() if READY in request.body.decode(errors="replace") else Response(status=409)
        return Response(status=404)

    return respond


@contextlib.contextmanager
def serve(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    requests: list[str] = []
    with (
        serve_http(metadata_responder(instance), requests) as metadata,
        serve_http(wireserver_responder(instance), requests) as wireserver,
        dhcp.inject({dhcp.ROUTES: ROUTES, WIRESERVER_OPTION: socket.inet_aton(WIRESERVER)}) as options,
    ):
        maker = "manufacturer=Microsoft Corporation"
        yield Provisioning(
            drives=[media.cd("rd_rdfe_stable", {"ovf-env.xml": provisioning(instance)})],
            smbios=[
                f"type=1,{maker},product=Virtual Machine,serial={instance.uuid},uuid={instance.uuid}",
                f"type=2,{maker},product=Virtual Machine",
                f"type=3,{maker},asset={ASSET_TAG}",
            ],
            options=options,
            network=user_network(guest_forward(IMDS, metadata), guest_forward(WIRESERVER, wireserver)),
            host=HOST,
            nameserver=NAMESERVER,
            requests=requests,
        )


CLOUD = Cloud(datasource="Azure", serve=serve, user=USER)

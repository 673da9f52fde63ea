"""Clouds without a machine: CDs, metadata servers, DHCP answers."""

from __future__ import annotations

import base64
import json
import struct
import urllib.error
import urllib.request
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.errors import VerifyError
from photonbuild.images.archive import pack
from photonbuild.images.formats import ova
from photonbuild.machines.clouds import azure, dhcp, ec2, gce, metadata_service, nocloud, openstack, ovf, provisioned
from photonbuild.machines.clouds.instance import MAC, InstanceSpec, MediaBuilder, MetadataService, Provisioning
from photonbuild.machines.clouds.server import Request, Response, guest_forward, serve_http
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.hardware import Hardware, qemu_argv
from tests.support.image_requests import image_request

INSTANCE = InstanceSpec(
    image=Path("a.ova"),
    hostname="guest-1",
    user="phos",
    private_key=Path("/tmp/key"),
    public_key="ssh-ed25519 AAAA one-time",
    uuid=uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    marker="mark-1",
)


def ask(method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method=method, path=path, query=query, headers=named, body=body)


def test_user_data_opens_root_for_the_checks_only() -> None:
    assert INSTANCE.user_data.startswith("#cloud-config\n")
    assert "disable_root: false" in INSTANCE.user_data and "password" not in INSTANCE.user_data


def test_the_seed_of_nocloud() -> None:
    files = nocloud.seed(INSTANCE)
    assert json.loads(files["meta-data"])["local-hostname"] == "guest-1"
    network = json.loads(files["network-config"])
    assert network["version"] == 2 and network["ethernets"]["card"]["match"] == {"macaddress": MAC}


def test_ec2_wants_a_session() -> None:
    answer = ec2.responder(INSTANCE)
    listing = ask("GET", "/latest/meta-data/")
    assert answer(listing).status == 401
    assert answer(ask("PUT", "/latest/api/token")).status == 400
    wanted = replace(listing, method="PUT", path="/latest/api/token")
    assert answer(replace(wanted, headers={ec2.TTL: "21601"})).status == 400
    session = answer(replace(wanted, headers={ec2.TTL: "60"}))
    assert session.status == 200
    assert answer(replace(listing, headers={ec2.TOKEN: session.text + "x"})).status == 401
    known = replace(listing, headers={ec2.TOKEN: session.text})
    names = answer(known).text.splitlines()
    assert "instance-id" in names and "network/" in names and "public-keys/" in names
    key = answer(replace(known, path="/2021-03-23/meta-data/public-keys/0/openssh-key"))
    assert key.text == INSTANCE.public_key
    assert answer(replace(known, path="/2021-03-23/meta-data/public-keys/")).text == "0=owner"
    assert answer(replace(known, path="/2021-03-23/user-data")).text == INSTANCE.user_data
    assert answer(replace(known, path="/1999-01-01/user-data")).status == 404
    document = json.loads(answer(replace(known, path="/latest/dynamic/instance-identity/document")).text)
    assert document["instanceId"] == ec2.instance_id(INSTANCE)


def test_gce_wants_its_header() -> None:
    answer = gce.responder(INSTANCE)
    path = f"{gce.ROOT}/instance/attributes/"
    assert answer(ask("GET", path)).status == 403
    assert answer(ask("GET", path, metadata_flavor="google")).status == 403
    known = answer(ask("GET", path, "recursive=True", metadata_flavor="Google"))
    assert json.loads(known.text)["ssh-keys"] == f"phos:{INSTANCE.public_key}"
    assert known.headers["Metadata-Flavor"] == "Google"
    assert answer(ask("GET", path, metadata_flavor="Google")).text.splitlines() == ["ssh-keys", "user-data"]
    assert answer(ask("GET", "/other", metadata_flavor="Google")).status == 404


def test_azure_knows_of_the_machine_and_hears_from_it() -> None:
    metadata = azure.metadata_responder(INSTANCE)
    assert metadata(ask("GET", "/metadata/instance", "api-version=2021-08-01")).status == 400
    known = json.loads(metadata(ask("GET", "/metadata/instance", "api-version=2021-08-01", metadata="true")).text)
    assert known["compute"]["osProfile"]["computerName"] == "guest-1"
    wire = azure.wireserver_responder(INSTANCE)
    state = wire(ask("GET", "/machine/", "comp=goalstate", x_ms_version="2012-11-30"))
    assert ElementTree.fromstring(state.text.encode()).findtext("./Container/ContainerId") == str(INSTANCE.uuid)
    for body, status in ((azure.READY, 200), ("<State>NotReady</State>", 409)):
        said = ask("POST", "/machine", "comp=health", body.encode(), x_ms_version="2012-11-30")
        assert wire(said).status == status
    assert wire(ask("GET", "/machine/", "comp=goalstate")).status == 400


def test_the_provisioning_medium_of_azure() -> None:
    spaces = {"wa": "http://schemas.microsoft.com/windowsazure"}
    root = ElementTree.fromstring(azure.provisioning(replace(INSTANCE, hostname="a&b")).encode())
    settings = root.find("./wa:ProvisioningSection/wa:LinuxProvisioningConfigurationSet", spaces)
    assert settings is not None
    assert settings.findtext("wa:HostName", namespaces=spaces) == "a&b"
    assert settings.find("wa:UserPassword", spaces) is None
    data = settings.findtext("wa:CustomData", namespaces=spaces)
    assert data is not None and base64.b64decode(data).decode() == INSTANCE.user_data


DESCRIPTOR = """\
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <VirtualSystem ovf:id="a"><ProductSection{about}><Info>a</Info>
    <Property ovf:key="hostname" ovf:type="string" ovf:userConfigurable="true" ovf:value="a"/>
    <Property ovf:key="fixed" ovf:type="string" ovf:value="always"/>
  </ProductSection></VirtualSystem>
</Envelope>
"""


@pytest.mark.parametrize(
    ("about", "key"),
    [("", "{}"), (' ovf:class="phos"', "phos.{}"), (' ovf:class="phos" ovf:instance="1"', "phos.{}.1")],
)
def test_the_environment_follows_from_the_descriptor(about: str, key: str) -> None:
    values = ovf.environment_values(DESCRIPTOR.format(about=about), {"hostname": 'guest"<1'})
    assert values == {key.format("hostname"): 'guest"<1', key.format("fixed"): "always"}
    name = "{http://schemas.dmtf.org/ovf/environment/1}"
    root = ElementTree.fromstring(ovf.environment(values).encode())
    entries = root.findall(f"{name}PropertySection/{name}Property")
    assert {entry.attrib[f"{name}key"]: entry.attrib[f"{name}value"] for entry in entries} == values


@pytest.mark.parametrize("missing", ["instance-id", "fixed"])
def test_what_an_appliance_does_not_ask_for_cannot_be_filled_in(missing: str) -> None:
    with pytest.raises(VerifyError, match=f"does not ask for {missing}"):
        ovf.environment_values(DESCRIPTOR.format(about=""), {missing: "1"})


def test_the_appliance_asks_for_what_cloud_init_knows(tmp_path: Path) -> None:
    """Its keys are bare, and each is one of cloudinit/sources/DataSourceOVF.py."""
    (tmp_path / "disk.vmdk").write_bytes(b"")
    text = ova.ovf(
        image_request(tmp_path, "ova"), [ova.Streamed(file=tmp_path / "disk.vmdk", capacity=8 << 30, populated=1)]
    )
    filled_in = ovf.properties(INSTANCE)
    assert ovf.environment_values(text, filled_in) == filled_in
    as_shipped = ovf.environment_values(text, {})
    assert as_shipped["instance-id"] == "iid-ovf" and as_shipped["hostname"] == "phos"
    network = json.loads(base64.b64decode(filled_in["network-config"]))["network"]
    assert network["version"] == 2


def test_a_descriptor_is_the_first_file_of_an_appliance(tmp_path: Path) -> None:
    (tmp_path / "a.ovf").write_text("<Envelope/>")
    pack(tmp_path / "a.ova", {"a.ovf": tmp_path / "a.ovf"}, 0)
    assert ovf.descriptor(tmp_path / "a.ova") == "<Envelope/>"
    pack(tmp_path / "b.ova", {"b.vmdk": tmp_path / "a.ovf"}, 0)
    for name, problem in (("b.ova", "no appliance"), ("a.ovf", "cannot be read"), ("none", "cannot be read")):
        with pytest.raises(VerifyError, match=problem):
            ovf.descriptor(tmp_path / name)


def test_the_service_and_the_drive_of_openstack_have_the_same_files() -> None:
    drive, answer = openstack.files(INSTANCE), openstack.responder(INSTANCE)
    for name, text in drive.items():
        served = answer(ask("GET", f"/{name}")).text
        assert served == text or name.endswith("/network_data.json")
    assert answer(ask("GET", "/openstack")).text == "latest"
    assert "user_data" in answer(ask("GET", "/openstack/latest/")).text.splitlines()
    assert answer(ask("GET", "/openstack/2012-08-10/meta_data.json")).status == 404
    network = json.loads(drive["openstack/latest/network_data.json"])
    assert [entry["type"] for entry in network["networks"]] == ["ipv4_dhcp", "ipv4"]
    assert network["links"][0]["ethernet_mac_address"] == MAC


def offer(kind: bytes = b"\x35\x01\x02", port: int = 67) -> bytes:
    """A DHCP answer in an Ethernet frame, with 60 bytes of padding."""
    bootp = b"\x02\x01\x06\x00".ljust(dhcp.BOOTP, b"\0") + dhcp.MAGIC + kind + b"\xff" + bytes(60)
    udp = struct.pack(">HHHH", port, 68, 8 + len(bootp), 0xBEEF) + bootp
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 1, 2)
    return bytes(12) + b"\x08\x00" + header + udp


def test_routes_of_rfc_3442() -> None:
    value = dhcp.routes(("0.0.0.0", "168.0.0.2"), ("168.63.129.16", "168.0.0.2"))
    assert value.hex() == "00a8000002" + "20a83f8110a8000002"


def test_options_are_added_in_place() -> None:
    frame = offer()
    changed = dhcp.with_options(frame, {245: b"\x01\x02\x03\x04"})
    assert len(changed) == len(frame)
    start = frame.index(dhcp.MAGIC) + 4
    assert changed[start : start + 10] == b"\x35\x01\x02" + b"\xf5\x04\x01\x02\x03\x04" + b"\xff"
    assert changed[14 + 20 + 6 : 14 + 20 + 8] == b"\0\0", "a checksum of what was there before"


@pytest.mark.parametrize("frame", [offer(port=53), offer()[:50], b"", offer(kind=b"\x35\x01\x02" * 20)[:-58]])
def test_other_frames_pass_as_they_are(frame: bytes) -> None:
    assert dhcp.with_options(frame, {121: bytes(20)}) == frame


def test_a_server_notes_what_it_was_asked() -> None:
    requests: list[str] = []
    with (
        serve_http(lambda request: Response(text=request.method, headers={"X-Here": "yes"}), requests) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/a?b=c", timeout=10) as reply,
    ):
        assert (reply.read(), reply.headers["X-Here"]) == (b"GET", "yes")
    assert requests == ["GET /a?b=c 200"]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)


def test_the_machine_of_a_cloud() -> None:
    forward = guest_forward("169.254.169.254", 4711)
    provisioning = Provisioning(smbios=["type=1,product=x"], network=["net=168.0.0.0/7", forward])
    service = MetadataService(platform="ec2", datasource="Ec2", instance=INSTANCE, provisioning=provisioning)
    drive = BootDrive(file=Path("a.raw"), format="raw", bus="nvme")
    hardware = provisioned(Hardware(boot_drive=drive, smbios=["type=0"]), service)
    assert hardware.ssh_key == INSTANCE.private_key
    argv = qemu_argv(hardware)
    assert argv[argv.index("-netdev") + 1].endswith(
        "guestfwd=tcp:169.254.169.254:80-cmd:/usr/bin/busybox nc 127.0.0.1 4711"
    )
    assert [argv[index + 1] for index, word in enumerate(argv) if word == "-smbios"] == ["type=0", "type=1,product=x"]
    assert "private_key" not in service.facts() and service.facts()["hostname"] == "guest-1"


def test_an_unknown_platform(tmp_path: Path) -> None:
    with (
        pytest.raises(VerifyError, match="unknown platform 'moon'") as caught,
        metadata_service("moon", tmp_path / "a.raw", user="phos", seed=tmp_path, scratch=tmp_path),
    ):
        pass
    assert "nocloud" in str(caught.value.hint)


def test_no_cloud_is_no_metadata_service(tmp_path: Path) -> None:
    with metadata_service(None, tmp_path / "a.raw", user="phos", seed=tmp_path, scratch=tmp_path) as service:
        assert service is None


def test_a_medium_that_cannot_be_made(tmp_path: Path) -> None:
    """An empty folder is no seed: there is no xorriso in it."""
    (tmp_path / "seed").mkdir()
    with (
        pytest.raises(VerifyError, match="the medium 'cidata' cannot be made"),
        MediaBuilder(seed=tmp_path / "seed", scratch=tmp_path) as media,
    ):
        media.cd("cidata", {"meta-data": ""})

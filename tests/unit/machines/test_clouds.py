"""Clouds without a machine: media, metadata servers, DHCP answers, what a manifest says of an image."""

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
from photonbuild.machines.clouds import azure, dhcp, ec2, fitted, gce, nocloud, ovf, way_in
from photonbuild.machines.clouds.access import MAC, Access, Order, Service, Workshop
from photonbuild.machines.clouds.server import Answer, Query, answering, at
from photonbuild.machines.drive import Description, Medium, describe
from photonbuild.machines.qemu import Hardware, qemu_argv

ORDER = Order(
    hostname="guest-1",
    user="phos",
    login=Path("/tmp/key"),
    public_key="ssh-ed25519 AAAA one-time",
    identity=uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    mark="mark-1",
)


def ask(method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> Query:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Query(method=method, path=path, query=query, headers=named, body=body)


def test_user_data_opens_root_for_the_checks_only() -> None:
    assert ORDER.user_data.startswith("#cloud-config\n")
    assert "disable_root: false" in ORDER.user_data and "password" not in ORDER.user_data


def test_the_seed_of_nocloud() -> None:
    files = nocloud.seed(ORDER)
    assert json.loads(files["meta-data"])["local-hostname"] == "guest-1"
    network = json.loads(files["network-config"])
    assert network["version"] == 2 and network["ethernets"]["card"]["match"] == {"macaddress": MAC}


def test_ec2_wants_a_session() -> None:
    answer = ec2.answers(ORDER)
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
    assert key.text == ORDER.public_key
    assert answer(replace(known, path="/2021-03-23/meta-data/public-keys/")).text == "0=owner"
    assert answer(replace(known, path="/2021-03-23/user-data")).text == ORDER.user_data
    assert answer(replace(known, path="/1999-01-01/user-data")).status == 404
    document = json.loads(answer(replace(known, path="/latest/dynamic/instance-identity/document")).text)
    assert document["instanceId"] == ec2.instance_id(ORDER)


def test_gce_wants_its_header() -> None:
    answer = gce.answers(ORDER)
    path = f"{gce.ROOT}/instance/attributes/"
    assert answer(ask("GET", path)).status == 403
    assert answer(ask("GET", path, metadata_flavor="google")).status == 403
    known = answer(ask("GET", path, "recursive=True", metadata_flavor="Google"))
    assert json.loads(known.text)["ssh-keys"] == f"phos:{ORDER.public_key}"
    assert known.headers["Metadata-Flavor"] == "Google"
    assert answer(ask("GET", path, metadata_flavor="Google")).text.splitlines() == ["ssh-keys", "user-data"]
    assert answer(ask("GET", "/other", metadata_flavor="Google")).status == 404


def test_azure_knows_of_the_machine_and_hears_from_it() -> None:
    metadata = azure.metadata_answers(ORDER)
    assert metadata(ask("GET", "/metadata/instance", "api-version=2021-08-01")).status == 400
    known = json.loads(metadata(ask("GET", "/metadata/instance", "api-version=2021-08-01", metadata="true")).text)
    assert known["compute"]["osProfile"]["computerName"] == "guest-1"
    wire = azure.wireserver_answers(ORDER)
    state = wire(ask("GET", "/machine/", "comp=goalstate", x_ms_version="2012-11-30"))
    assert ElementTree.fromstring(state.text.encode()).findtext("./Container/ContainerId") == str(ORDER.identity)
    for body, status in ((azure.READY, 200), ("<State>NotReady</State>", 409)):
        said = ask("POST", "/machine", "comp=health", body.encode(), x_ms_version="2012-11-30")
        assert wire(said).status == status
    assert wire(ask("GET", "/machine/", "comp=goalstate")).status == 400


def test_the_provisioning_medium_of_azure() -> None:
    spaces = {"wa": "http://schemas.microsoft.com/windowsazure"}
    root = ElementTree.fromstring(azure.provisioning(replace(ORDER, hostname="a&b")).encode())
    settings = root.find("./wa:ProvisioningSection/wa:LinuxProvisioningConfigurationSet", spaces)
    assert settings is not None
    assert settings.findtext("wa:HostName", namespaces=spaces) == "a&b"
    assert settings.find("wa:UserPassword", spaces) is None
    data = settings.findtext("wa:CustomData", namespaces=spaces)
    assert data is not None and base64.b64decode(data).decode() == ORDER.user_data


def test_the_environment_of_an_appliance() -> None:
    name = "{http://schemas.dmtf.org/ovf/environment/1}"
    root = ElementTree.fromstring(ovf.environment(ORDER).encode())
    found = {
        entry.attrib[f"{name}key"]: entry.attrib[f"{name}value"]
        for entry in root.findall(f"{name}PropertySection/{name}Property")
    }
    assert found == ovf.properties(ORDER)
    network = json.loads(base64.b64decode(found["network-config"]))["network"]
    assert network["version"] == 2


def test_the_properties_are_those_of_the_descriptor() -> None:
    template = (Path(__file__).parents[3] / "build/ovf/machine.ovf.j2").read_text(encoding="utf-8")
    for key in set(ovf.properties(ORDER)) - {"instance-id"}:
        assert f'ovf:key="{key}"' in template


def offer(kind: bytes = b"\x35\x01\x02", port: int = 67) -> bytes:
    """A DHCP answer in an Ethernet frame, with 60 bytes of padding."""
    bootp = b"\x02\x01\x06\x00".ljust(dhcp.BOOTP, b"\0") + dhcp.MAGIC + kind + b"\xff" + bytes(60)
    udp = struct.pack(">HHHH", port, 68, 8 + len(bootp), 0xBEEF) + bootp
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 1, 2)
    return bytes(12) + b"\x08\x00" + header + udp


def test_routes_of_rfc_3442() -> None:
    value = dhcp.routes(("0.0.0.0", "168.0.0.2"), ("168.63.129.16", "168.0.0.2"))
    assert value.hex() == "00a8000002" + "20a83f8110a8000002"


def test_an_answer_is_extended_in_place() -> None:
    frame = offer()
    changed = dhcp.extended(frame, {245: b"\x01\x02\x03\x04"})
    assert len(changed) == len(frame)
    start = frame.index(dhcp.MAGIC) + 4
    assert changed[start : start + 10] == b"\x35\x01\x02" + b"\xf5\x04\x01\x02\x03\x04" + b"\xff"
    assert changed[14 + 20 + 6 : 14 + 20 + 8] == b"\0\0", "a checksum of what was there before"


@pytest.mark.parametrize("frame", [offer(port=53), offer()[:50], b"", offer(kind=b"\x35\x01\x02" * 20)[:-58]])
def test_other_frames_pass_as_they_are(frame: bytes) -> None:
    assert dhcp.extended(frame, {121: bytes(20)}) == frame


def test_a_server_notes_what_it_was_asked() -> None:
    seen: list[str] = []
    with (
        answering(lambda query: Answer(text=query.method, headers={"X-Here": "yes"}), seen) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/a?b=c", timeout=10) as reply,
    ):
        assert (reply.read(), reply.headers["X-Here"]) == (b"GET", "yes")
    assert seen == ["GET /a?b=c 200"]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)


def test_the_machine_of_a_cloud() -> None:
    service = Service(smbios=["type=1,product=x"], network=["net=168.0.0.0/7", at("169.254.169.254", 4711)])
    access = Access(platform="ec2", datasource="Ec2", order=ORDER, service=service)
    hardware = fitted(Hardware(medium=Medium(file=Path("a.raw"), format="raw", bus="nvme"), smbios=["type=0"]), access)
    assert hardware.login == ORDER.login
    argv = qemu_argv(hardware)
    assert argv[argv.index("-netdev") + 1].endswith(
        "guestfwd=tcp:169.254.169.254:80-cmd:/usr/bin/busybox nc 127.0.0.1 4711"
    )
    assert [argv[index + 1] for index, word in enumerate(argv) if word == "-smbios"] == ["type=0", "type=1,product=x"]
    assert "login" not in access.facts() and access.facts()["hostname"] == "guest-1"


def manifest(folder: Path, text: str) -> Path:
    image = folder / "a.qcow2"
    image.write_bytes(b"")
    image.with_name("a.qcow2.manifest.json").write_text(text)
    return image


def test_the_manifest_says_which_cloud(tmp_path: Path) -> None:
    image = manifest(tmp_path, json.dumps({"platform": "nocloud", "configured": ["/etc/hosts"]}))
    assert describe(image) == Description(platform="nocloud", configured=("/etc/hosts",))
    assert describe(image, platform="none") == Description(platform=None, configured=("/etc/hosts",))
    assert describe(image, platform="ec2").platform == "ec2"


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="no manifest beside") as caught:
        describe(tmp_path / "a.raw")
    assert caught.value.exit_code == 9 and "--platform" in str(caught.value.hint)
    assert describe(tmp_path / "a.raw", platform="none") == Description(platform=None)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"platform": null}', '{"platform": "ec2", "configured": 3}'])
def test_a_damaged_manifest(tmp_path: Path, text: str) -> None:
    with pytest.raises(VerifyError, match="manifest is damaged"):
        describe(manifest(tmp_path, text))


def test_an_unknown_platform(tmp_path: Path) -> None:
    with (
        pytest.raises(VerifyError, match="unknown platform 'moon'") as caught,
        way_in("moon", user="phos", seed=tmp_path, scratch=tmp_path),
    ):
        pass
    assert "nocloud" in str(caught.value.hint)


def test_no_cloud_is_no_way_in(tmp_path: Path) -> None:
    with way_in(None, user="phos", seed=tmp_path, scratch=tmp_path) as access:
        assert access is None


def test_a_medium_that_cannot_be_made(tmp_path: Path) -> None:
    """An empty folder is no seed: there is no xorriso in it."""
    (tmp_path / "seed").mkdir()
    with (
        pytest.raises(VerifyError, match="the medium 'cidata' cannot be made"),
        Workshop(seed=tmp_path / "seed", scratch=tmp_path) as shop,
    ):
        shop.cd("cidata", {"meta-data": ""})

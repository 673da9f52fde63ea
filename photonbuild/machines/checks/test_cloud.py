"""The instance is as its metadata says: cloud-init has done its work, without a warning, and nothing beyond it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from photonbuild.machines.ssh import one_time_key
from photonbuild.run import Completed, run

As = Callable[..., Completed]


@pytest.fixture(scope="module")
def cloud(facts: dict[str, Any]) -> dict[str, Any]:
    """The instance and its platform, as `MetadataService.facts` of ``photonbuild/machines/clouds`` has them."""
    found: dict[str, Any] = facts["cloud"]
    return found


@pytest.fixture(scope="module")
def status(host: Host) -> dict[str, Any]:
    """What cloud-init says of itself when it has finished."""
    text = host.run("cloud-init status --wait --format json").stdout
    found: dict[str, Any] = json.loads(text[text.index("{") :])
    return found


@pytest.fixture(scope="module")
def as_user(facts: dict[str, Any], cloud: dict[str, Any]) -> As:
    """Run a command as the default user, who has the key of the metadata, over a connection of its own."""

    def call(command: str, *, check: bool = True) -> Completed:
        argv = ["ssh", "-F", facts["ssh_config"], "-o", "ControlPath=none", "-l", cloud["user"], "machine", command]
        return run(argv, check=check, timeout=60)

    return call


def test_it_is_done_without_a_warning(status: dict[str, Any]) -> None:
    said = (status["status"], status["extended_status"], status["errors"], status["recoverable_errors"])
    assert said == ("done", "done", [], {}), json.dumps(status, indent=1)


def test_only_the_wanted_source_of_data(host: Host, status: dict[str, Any], cloud: dict[str, Any]) -> None:
    # The one that runs before the network is up has a name of its own.
    assert status["datasource"].removesuffix("local") == cloud["datasource"].lower()
    listed = host.check_output("sed -n 's/^ *datasource_list: *//p' /run/cloud-init/cloud.cfg").strip("[] ")
    assert {name.strip() for name in listed.split(",")} - {"None"} == {cloud["datasource"]}


def test_units_have_ended_well(host: Host) -> None:
    for unit in ("cloud-init-main", "cloud-init-local", "cloud-init-network", "cloud-config", "cloud-final"):
        assert host.check_output(f"systemctl show -P Result {unit}.service") == "success", unit


def test_host_name(host: Host, cloud: dict[str, Any]) -> None:
    assert host.check_output("hostnamectl hostname").partition(".")[0] == cloud["hostname"]
    assert host.check_output("cat /etc/hostname").partition(".")[0] == cloud["hostname"]


def test_the_default_user(host: Host, as_user: As, cloud: dict[str, Any]) -> None:
    assert as_user("id -un").stdout.strip() == cloud["user"]
    assert {"docker", "sudo"} <= set(as_user("id -Gn").stdout.split())
    assert as_user("sudo -n id -u").stdout.strip() == "0"
    assert as_user("docker version --format '{{.Server.Version}}'").stdout.strip()
    assert host.check_output(f"cat /home/{cloud['user']}/.ssh/authorized_keys").splitlines() == [cloud["public_key"]]
    assert host.check_output(f"stat -c %a:%U /home/{cloud['user']}/.ssh/authorized_keys") == f"600:{cloud['user']}"


def test_no_password_opens_anything(host: Host, cloud: dict[str, Any]) -> None:
    shadow = dict(line.split(":")[:2] for line in host.check_output("cat /etc/shadow").splitlines())
    assert shadow[cloud["user"]].startswith("!")
    assert all(password.startswith(("!", "*")) for password in shadow.values())


def test_network_configuration(host: Host, cloud: dict[str, Any]) -> None:
    addresses = host.check_output("ip -o -4 addr show scope global")
    for address in cloud["addresses"]:
        assert f" {address}/" in addresses
    route = host.check_output("ip -4 -o route show default").split()
    card = route[route.index("dev") + 1]
    assert host.check_output(f"cat /sys/class/net/{card}/mtu") == str(cloud["mtu"])


def test_the_disk_has_grown(host: Host) -> None:
    """It was given to the machine larger than its image: the last partition and its file system end where it ends."""
    source = host.check_output("findmnt -no SOURCE /")
    disk = host.check_output(f"lsblk -dno PKNAME {source}").strip()
    whole, root = (int(host.check_output(f"lsblk -bdno SIZE {device}")) for device in (f"/dev/{disk}", source))
    start = int(host.check_output(f"lsblk -bdno START {source}")) * 512
    assert whole - (start + root) < 4 << 20
    used = int(host.check_output("findmnt -bno SIZE /"))
    assert used > root * 0.9


def test_host_keys_were_made_here(host: Host) -> None:
    booted = time.time() - float(host.check_output("cat /proc/uptime").split()[0])
    skew = float(host.check_output("date +%s")) - time.time()
    names = host.check_output("ls /etc/ssh/ssh_host_*_key").split()
    assert names
    for name in names:
        made = int(host.check_output(f"stat -c %Y {name}"))
        assert made >= booted + skew - 5, name
        assert host.check_output(f"stat -c %a {name}") == "600"


def test_what_the_owner_said_is_read_by_root_only(host: Host, cloud: dict[str, Any]) -> None:
    places = "/boot /etc /home /opt /root /run /srv /tmp /usr/local /var"
    holders = host.run(f"grep -rlsI --devices=skip {cloud['marker']} {places}").stdout.split()
    assert holders, "the user data is nowhere"
    for name in holders:
        readable = host.run(f"setpriv --reuid=65534 --regid=65534 --clear-groups cat {name}").rc == 0
        assert not readable, name


def test_the_serial_console_asks_for_a_login(host: Host) -> None:
    assert host.check_output("systemctl is-active serial-getty@ttyS0.service") == "active"


def test_the_servers_answer_to_their_own_protocol_only(host: Host, cloud: dict[str, Any]) -> None:
    """Without the cloud's header, or a session, there is nothing to be had."""

    def code(request: str) -> int:
        return int(host.check_output(f"curl -s -o /dev/null -w %{{http_code}} --max-time 20 {request}"))

    requests = cloud["requests"]
    if cloud["platform"] == "ec2":
        assert code("http://169.254.169.254/latest/meta-data/") == 401
        assert any(line.startswith("PUT /latest/api/token") for line in requests)
        assert all(line.startswith("PUT /latest/api/token") or not line.endswith("401") for line in requests)
    elif cloud["platform"] == "gce":
        name = "http://metadata.google.internal/computeMetadata/v1/instance/id"
        assert code(name) == 403
        assert code(f"-H 'Metadata-Flavor: Google' {name}") == 200
    elif cloud["platform"] == "azure":
        assert code("'http://169.254.169.254/metadata/instance?api-version=2021-08-01'") == 400
        assert "POST /machine?comp=health 200" in requests, "the machine never said that it is ready"
    elif cloud["platform"] == "openstack":
        assert "GET /openstack/latest/meta_data.json 200" in requests
    else:
        assert requests == []


@pytest.mark.parametrize("user", ["root", "of the cloud"])
def test_a_stranger_is_not_let_in(facts: dict[str, Any], cloud: dict[str, Any], tmp_path: Path, user: str) -> None:
    """With a key of his own; and nothing but a key is asked for."""
    known = Path(facts["ssh_config"]).read_text(encoding="utf-8")
    config = tmp_path / "config"
    config.write_text(re.sub(r"IdentityFile .*", f"IdentityFile {one_time_key(tmp_path)}", known), encoding="utf-8")
    name = cloud["user"] if user == "of the cloud" else user
    argv = ["ssh", "-F", config, "-o", "ControlPath=none", "-o", "BatchMode=yes", "-l", name, "machine", "true"]
    done = run(argv, check=False, timeout=60)
    assert done.returncode == 255
    assert done.stderr.strip().endswith("Permission denied (publickey).")

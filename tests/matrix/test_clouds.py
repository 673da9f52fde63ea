"""Provisioning by a cloud, where it needs a test of its own."""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.clouds import metadata_service, nocloud, ovf, provisioned
from photonbuild.machines.clouds.server import Request, Response, serve_http
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST, Hardware
from photonbuild.machines.manifest import read_manifest
from photonbuild.machines.qemu import Machine
from photonbuild.machines.report import require
from photonbuild.machines.verify import BOOT_TIMEOUT, verify
from photonbuild.run import Completed, run
from photonbuild.store import Store
from tests.matrix.conftest import session_of
from tests.support.native import by_govmomi
from tests.support.published import image_of, wait_for_boot

pytestmark = pytest.mark.matrix

# What DataSourceVMware asks the guest tools for; a stand-in answers from a folder.
RPCTOOL = """#!/bin/sh
case "$1" in
"info-get guestinfo."*) cat "/run/guestinfo/${1#info-get guestinfo.}" 2>/dev/null && exit 0 ;;
"info-set guestinfo."*) exit 0 ;;
esac
echo "No value found" >&2
exit 1
"""
# Reads the data source as cloud-init does, and prints what it found.
READ_GUESTINFO = """
import json
from cloudinit import distros, helpers
from cloudinit.sources import DataSourceVMware as vmware
paths = helpers.Paths({"cloud_dir": "/run/test-cloud", "run_dir": "/run/test-cloud"})
distro = distros.fetch("photon")("photon", {}, paths)
source = vmware.DataSourceVMware({}, distro, paths)
assert source.get_data(), "nothing found"
print(json.dumps({
    "host name": source.metadata["local-hostname"],
    "instance": source.get_instance_id(),
    "keys": source.get_public_ssh_keys(),
    "user data": source.get_userdata_raw(),
    "network": source.network_config,
    "transport": source.data_access_method,
}))
"""
# The same of the other source, which has the environment of an appliance by the same tool.
READ_ENVIRONMENT = """
import json
from cloudinit import distros, helpers
from cloudinit.sources import DataSourceOVF as ovf
paths = helpers.Paths({"cloud_dir": "/run/test-cloud", "run_dir": "/run/test-cloud"})
source = ovf.DataSourceOVF({}, distros.fetch("photon")("photon", {}, paths), paths)
assert source.get_data(), "nothing found"
print(json.dumps({
    "host name": source.metadata["local-hostname"],
    "instance": source.get_instance_id(),
    "keys": source.get_public_ssh_keys(),
    "user data": source.get_userdata_raw().decode(),
    "network": source.network_config,
    "transport": source.seed,
}))
"""


@contextlib.contextmanager
def started(image: Path, hardware: Hardware, store: Store, seed: Path) -> Iterator[Machine]:
    with boot_drive(image) as drive:
        fit = replace(hardware, boot_drive=drive, accel=best_accel(seed, store.scratch))
        with Machine(fit, seed=seed, scratch=store.scratch) as machine:
            yield machine


def as_user(machine: Machine, user: str, command: str, *, options: Sequence[str] = ()) -> Completed:
    argv = ["ssh", "-F", str(machine.config), "-o", "ControlPath=none", *options, "-l", user, "machine", command]
    return run(argv, check=False, timeout=180)


def test_a_disk_image_without_a_seed(configuration: Config, store: Store, machine_seed: Path) -> None:
    """It is a machine like any other, which the hypervisor's credential opens; cloud-init is not started."""
    with started(image_of(configuration, "qcow2"), Hardware(), store, machine_seed) as machine:
        wait_for_boot(machine)
        status = json.loads(machine.ssh("cloud-init status --wait --format json", check=False).stdout)
        assert (status["status"], status["boot_status_code"]) == ("disabled", "disabled-by-generator"), status
        assert machine.ssh("pgrep -f cloud-init", check=False).stdout == ""
        machine.ssh("docker info")
        assert machine.ssh("hostname").stdout.strip() == configuration.distribution.id
        machine.shut_down()


@pytest.mark.parametrize(("name", "platform"), [("qcow2", "configdrive"), ("qcow2", "openstack"), ("ova", "nocloud")])
def test_platforms_that_an_image_is_for_beside_its_own(
    name: str, platform: str, configuration: Config, store: Store, machine_seed: Path
) -> None:
    """All that is checked of a machine in a cloud, but for its container runtimes."""
    image = image_of(configuration, name)
    report = verify(
        image,
        distribution=configuration.distribution,
        runtimes=[],
        seed=machine_seed,
        scratch=store.scratch,
        firmwares=["bios"],
        manifest=replace(read_manifest(image, platform=platform), packages=None),
    )
    require(report)
    assert [check for check in report.boots[0].checks if check.name.startswith("cloud: ")]


def test_nocloud_over_http_leaves_root_closed(
    configuration: Config,
    store: Store,
    machine_seed: Path,
) -> None:
    """The serial number says where the seed is; the owner asks for nothing, so only the default user gets in."""
    user, requests, image = configuration.distribution.id, list[str](), image_of(configuration, "qcow2")
    with metadata_service("nocloud", image, user=user, seed=machine_seed, scratch=store.scratch) as service:
        assert service is not None
        files = nocloud.seed(service.instance) | {"user-data": "#cloud-config\n{}\n", "vendor-data": ""}

        def respond(request: Request) -> Response:
            text = files.get(request.path.removeprefix("/seed/"))
            return Response(status=404) if text is None else Response(text=text)

        with serve_http(respond, requests) as port:
            serial = f"ds=nocloud;s=http://{HOST_SEEN_BY_GUEST}:{port}/seed/"
            hardware = Hardware(smbios=[f"type=1,serial={serial}"], ssh_key=service.instance.private_key)
            with started(image, hardware, store, machine_seed) as machine:
                while as_user(machine, user, "true").returncode:
                    machine.check_alive()
                    assert machine.elapsed() < BOOT_TIMEOUT, machine.console.read_text(errors="replace")[-4000:]
                    time.sleep(1)
                status = json.loads(as_user(machine, user, "cloud-init status --wait --format json").stdout)
                assert (status["extended_status"], status["datasource"]) == ("done", "nocloudnet")
                assert as_user(machine, user, "hostnamectl hostname").stdout.strip() == service.instance.hostname
                refused = as_user(machine, "root", "true")
                assert refused.returncode and f'login as the user "{user}"' in refused.stdout + refused.stderr
                assert as_user(machine, user, "sudo -n systemctl poweroff").returncode in (0, 255)
    assert any(line.startswith("GET /seed/user-data 200") for line in requests)


def test_the_source_of_data_of_vmware_with_a_stand_in_for_its_tool(
    configuration: Config,
    store: Store,
    machine_seed: Path,
) -> None:
    """Not booted from guestinfo: QEMU without KVM has no such channel. cloud-init of the image reads a stand-in.

    What an owner fills in comes in the environment that VMware's own library makes of the image's descriptor.
    """
    image, user = image_of(configuration, "ova"), configuration.distribution.id
    values = {
        "metadata": json.dumps({
            "instance-id": "vm-1",
            "local-hostname": "guest-2",
            "public-keys-data": "ssh-ed25519 AAAA one-time",
            "network": {"version": 2, "ethernets": {"card": {"match": {"name": "en*"}, "dhcp4": True}}},
        }),
        "userdata": "#cloud-config\n{}\n",
    }  # fmt: skip
    with metadata_service("ovf", image, user=user, seed=machine_seed, scratch=store.scratch) as service:
        assert service is not None
        vmware = ["type=1,manufacturer=VMware\\, Inc.,product=VMware Virtual Platform"]
        hardware = replace(provisioned(Hardware(), service), smbios=[word.replace("\\,", ",,") for word in vmware])
        with started(image, hardware, store, machine_seed) as machine:
            machine.wait_for_ssh(BOOT_TIMEOUT)
            machine.ssh("mkdir -p /run/guestinfo /run/stand-in /run/test-cloud")
            for name, text in values.items():
                machine.ssh(f"cat > /run/guestinfo/{name}", input=text.encode())
            machine.ssh("cat > /run/stand-in/vmware-rpctool && chmod 755 /run/stand-in/*", input=RPCTOOL.encode())
            machine.ssh("mount -o remount,exec /run", check=False)

            def read(program: str) -> dict[str, Any]:
                command = f"PATH=/run/stand-in:$PATH python3 -c {shlex.quote(program)}"
                return dict(json.loads(machine.ssh(command).stdout.splitlines()[-1]))

            found = read(READ_GUESTINFO)
            filled_in = ovf.properties(service.instance)
            environment = by_govmomi(session_of(configuration, store), image, filled_in)["Environment"]
            machine.ssh("cat > /run/guestinfo/ovfEnv", input=environment.encode())
            appliance = read(READ_ENVIRONMENT)
    assert found["host name"] == "guest-2" and found["instance"] == "vm-1"
    assert found["keys"] == ["ssh-ed25519 AAAA one-time"]
    assert found["user data"] == values["userdata"].strip()
    assert found["transport"] == "guestinfo" and found["network"]["version"] == 2
    assert appliance["transport"] == "com.vmware.guestInfo"
    assert (appliance["host name"], appliance["instance"]) == (filled_in["hostname"], filled_in["instance-id"])
    assert appliance["keys"] == [filled_in["public-keys"]]
    assert appliance["user data"] == service.instance.user_data
    assert appliance["network"] == json.loads(base64.b64decode(filled_in["network-config"]))["network"]

"""`photonbuild image raw --kickstart`: the disk that a kickstart would install, made without a machine and booted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from photonbuild.installer.passwords import sha512_crypt
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.store import Store

pytestmark = pytest.mark.matrix

PATIENCE = 900.0
CRYPTED = sha512_crypt("correct horse", "saltsaltsaltsalt")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f tester"
KICKSTART = f"""
disks:
  default: {{filename: root.img, size: 6144}}
  data: {{filename: data.img, size: 1024}}
  pool: {{filename: pool.img, size: 512}}
live: false
hostname: !param host
linux_flavor: linux-esx
password: {{crypted: true, text: "{CRYPTED}", age: -1}}
public_key: "{KEY}"
packages: [file]
partitions:
  - {{mountpoint: /, size: 2500, filesystem: ext4}}
  - {{mountpoint: /var, size: 0, filesystem: ext4, lvm: {{vg_name: sys-vg, lv_name: var}}}}
  - {{mountpoint: /srv/data, size: 400, filesystem: xfs, fs_options: nodev}}
  - {{size: 256, filesystem: swap, lvm: {{vg_name: sys-vg, lv_name: swap}}}}
  - {{disk_id: data, mountpoint: /srv/files, size: 0, filesystem: ext4}}
  - {{disk_id: pool, all_disk: true, mountpoint: /srv/pool, filesystem: ext4, lvm: {{vg_name: pool, lv_name: one}}}}
network:
  version: 2
  ethernets: {{lan: {{match: {{name: eth0}}, dhcp4: yes, nameservers: {{search: [example.org]}}}}}}
services: {{docker: enabled, sshd: enabled}}
additional_files: [{{site.conf: /etc/site.conf}}, {{tool: /usr/local/bin/}}]
search_path: [/nowhere]
postinstall: ["#!/bin/sh", "tool >/etc/made"]
"""


def make(store: Store, checkout: Path, kickstart: Path) -> Path:
    argv = ["tools/run", "python", "-m", "photonbuild", "image", "raw", "--kickstart", kickstart, "--root", checkout]
    argv += ["--store", store.root, "--param", "host=ks-1"]
    root = Path(__file__).parents[2]
    done = subprocess.run([*map(str, argv)], cwd=root, check=False, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    for said in ("eth0 is every Ethernet card", "there is one kernel"):
        assert said in done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def image(store: Store, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kickstart")
    (folder / "web-server.yaml").write_text(KICKSTART)
    (folder / "site.conf").write_text("site\n")
    (folder / "tool").write_text("#!/bin/sh\necho by the script\n")
    (folder / "tool").chmod(0o755)
    return make(store, checkout, folder / "web-server.yaml")


@pytest.fixture(scope="module")
def host(image: Path, store: Store, machine_seed: Path) -> Iterator[Host]:
    with boot_drive(image) as plugged:
        hardware = Hardware(boot_drive=plugged, accel=best_accel(machine_seed, store.scratch))
        with Machine(hardware, seed=machine_seed, scratch=store.scratch) as started:
            started.wait_for_ssh(PATIENCE)
            yield testinfra.get_host("ssh://machine", ssh_config=str(started.config))
            started.shut_down()


def test_its_name_is_that_of_the_kickstart(image: Path) -> None:
    assert "-webserver" in image.name


def test_nothing_failed(host: Host) -> None:
    assert host.run("systemctl is-system-running --wait").stdout.strip() == "running"


def test_who_gets_in(host: Host) -> None:
    assert host.check_output("getent shadow root").split(":")[1] == CRYPTED
    assert host.check_output("getent shadow root").split(":")[4] == "99999"
    assert KEY in host.file("/root/.ssh/authorized_keys").content_string


def test_what_is_in_it(host: Host) -> None:
    assert host.check_output("hostname") == "ks-1"
    assert host.package("file").is_installed
    assert host.file("/etc/site.conf").content_string == "site\n"
    assert host.file("/etc/made").content_string == "by the script\n"
    assert host.service("docker").is_running
    assert "example.org" in host.check_output("resolvectl domain")


def test_disk(host: Host) -> None:
    for path, kind in (("/", "ext4"), ("/srv/data", "xfs")):
        assert host.mount_point(path).filesystem == kind
    places = {"/var": "/dev/mapper/sys--vg-var", "/srv/files": "/dev/vdb1", "/srv/pool": "/dev/mapper/pool-one"}
    for path, device in places.items():
        assert (host.mount_point(path).device, host.mount_point(path).filesystem) == (device, "ext4")
    assert host.check_output("pvs --noheadings -o pv_name,vg_name").split() == [
        "/dev/vda5",
        "sys-vg",
        "/dev/vdc",
        "pool",
    ]
    assert "nodev" in host.mount_point("/srv/data").options
    assert host.check_output("swapon --noheadings --show=SIZE --bytes") == str((256 << 20) - 4096)
    assert host.check_output(
        "lsblk --bytes --nodeps -no SIZE $(lsblk -no PKNAME $(findmnt -no SOURCE /) | xargs printf /dev/%s)"
    ) == str(6 << 30)

"""An image with /var and another partition on Btrfs, as a machine on a disk that is larger than the image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.store import Store
from tests.matrix.conftest import Variant

pytestmark = pytest.mark.matrix

PATIENCE = 900.0
GIB = 1 << 30
DISK = {
    "size": "4 GiB",
    "var": True,
    "root_size": "1600 MiB",
    "var_filesystem": "btrfs",
    "var_subvolumes": ["lib/docker", "log/old"],
    "partitions": [
        {
            "name": "data",
            "path": "/srv/data",
            "size": "400 MiB",
            "filesystem": "btrfs",
            "subvolumes": ["home", "home/inner"],
        }
    ],
}


@pytest.fixture(scope="module")
def host(
    variant: Variant, store: Store, machine_seed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    page = {"path": "/srv/data/home/page", "text": "hello\n"}
    disk = tmp_path_factory.mktemp("grown") / "disk.raw"
    shutil.copy(variant("raw", disk=DISK, files=[page]), disk)
    os.truncate(disk, 6 * GIB)
    drive = BootDrive(file=disk, format="raw", writable=True)
    hardware = Hardware(boot_drive=drive, accel=best_accel(machine_seed, store.scratch))
    with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
        machine.wait_for_ssh(PATIENCE)
        yield testinfra.get_host("ssh://machine", ssh_config=str(machine.config))
        machine.shut_down()


def test_nothing_failed(host: Host) -> None:
    assert host.run("systemctl is-system-running --wait").stdout.strip() == "running", host.run(
        "systemctl --failed; journalctl -b -p err --no-pager"
    ).stdout
    assert host.check_output("cat /proc/sys/kernel/tainted") == "0"
    assert host.run("dmesg --level=emerg,alert,crit,err,warn | grep -iE 'btrfs|raid6|xor:'").stdout == ""


def test_it_is_mounted_and_has_grown(host: Host) -> None:
    assert host.mount_point("/var").filesystem == host.mount_point("/srv/data").filesystem == "btrfs"
    assert host.mount_point("/").filesystem == "ext4"
    assert int(host.check_output("findmnt -bno SIZE /var")) > 3 * GIB
    assert host.check_output("btrfs subvolume list /var | sed 's/.* path //'").split() == ["lib/docker", "log/old"]
    assert host.check_output("btrfs subvolume list /srv/data | sed 's/.* path //'").split() == ["home", "home/inner"]
    assert host.file("/srv/data/home/page").content_string == "hello\n"
    assert host.file("/var/tmp").mode == 0o1777


def test_docker_works_on_it(host: Host) -> None:
    assert host.service("docker").is_running


def test_it_is_sound(host: Host) -> None:
    for path in ("/var", "/srv/data"):
        assert "no errors found" in host.check_output(f"btrfs scrub start -B {path}")

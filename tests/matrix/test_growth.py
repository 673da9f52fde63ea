"""A disk that was made larger: at its first boot the last partition and its file system fill it; then all is quiet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.guest import put_box
from photonbuild.machines.hardware import Firmware, Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.ssh import one_time_key
from photonbuild.machines.verify import BUSYBOX
from photonbuild.run import run
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store
from tests.matrix.conftest import Variant
from tests.support.published import wait_for_boot

pytestmark = pytest.mark.matrix

GIB = 1 << 30
SIZE = 12 * GIB
LAYOUTS: dict[str, dict[str, object]] = {
    "var": {"var": True, "root_size": "1 GiB"},
    "xfs": {"filesystem": "xfs"},
    "xfs-var": {"filesystem": "xfs", "var": True, "root_size": "1 GiB"},
}
# The plain layout grows in each image of a cloud: photonbuild/machines/checks/test_cloud.py.
CASES = [("var", "bios"), ("xfs", "bios"), ("xfs-var", "uefi")]


@pytest.fixture
def enlarged(request: pytest.FixtureRequest, store: Store, machine_seed: Path, variant: Variant) -> Iterator[Path]:
    """A copy of the layout's qcow2 image, grown to `SIZE`."""
    image = variant("qcow2", disk=LAYOUTS[request.param])
    with store.staging() as folder:
        shutil.copyfile(image, folder / "disk.qcow2")
        sandbox = Sandbox(layers=[machine_seed], scratch=store.scratch, binds=[Bind(folder, "/work", readonly=False)])
        sandbox.run(["qemu-img", "resize", "-q", "/work/disk.qcow2", str(SIZE)])
        yield folder / "disk.qcow2"


@pytest.mark.parametrize(("enlarged", "firmware"), CASES, indirect=["enlarged"], ids=["-".join(case) for case in CASES])
def test_the_disk_is_filled(
    enlarged: Path, firmware: Firmware, store: Store, machine_seed: Path, request: pytest.FixtureRequest
) -> None:
    layout = str(request.node.callspec.params["enlarged"])
    disk = BootDrive(file=enlarged, format="qcow2", writable=True)
    # The key that comes in at the first boot stays on the disk.
    key = one_time_key(enlarged.parent)
    hardware = Hardware(
        boot_drive=disk,
        firmware=firmware,
        accel=best_accel(machine_seed, store.scratch),
        ssh_key=key,
        authorized_key=key.with_suffix(".pub").read_text(),
    )
    first = boot(hardware, store, machine_seed, layout)
    with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
        wait_for_boot(machine)
        assert table(machine) == first, "the second boot changed the table"
        said = machine.ssh("journalctl -b -o cat -u systemd-repart -u 'systemd-growfs*'").stdout
        assert "Adding new partition" not in said and "Growing" not in said and "rror" not in said, said
        assert machine.ssh("cat /var/lib/kept").stdout == "kept\n"
        machine.shut_down()


def boot(hardware: Hardware, store: Store, machine_seed: Path, layout: str) -> dict[str, object]:
    """The first boot; returns the partition table it leaves."""
    place = "/var" if "var" in layout else "/"
    with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
        wait_for_boot(machine)
        found = table(machine)
        sectors, parts = SIZE // 512, found["partitions"]
        assert isinstance(parts, list)
        # The backup table is at the very end (repart), and the last partition reaches up to it, within a MiB or two.
        assert found["lastlba"] == sectors - 34
        end = parts[-1]["start"] + parts[-1]["size"]
        assert sectors - 2 * 2048 - 34 <= end <= sectors - 34
        done = machine.ssh(f"findmnt -bno FSTYPE,SIZE,SOURCE {place}").stdout.split()
        assert done[0] == ("xfs" if "xfs" in layout else "ext4")
        assert int(done[1]) > 0.93 * parts[-1]["size"] * 512, "the file system does not fill its partition"
        if place == "/var":
            root = int(machine.ssh("findmnt -bno SIZE /").stdout)
            assert 0.85 * GIB < root <= GIB
            assert {"nodev", "nosuid"} <= set(machine.ssh("findmnt -no OPTIONS /var").stdout.strip().split(","))
        box = put_box(machine.config, machine_seed / BUSYBOX)
        machine.ssh(f"tar -C {box} -c . | docker import - local/box && rm -r {box}")
        assert machine.ssh("docker run --rm local/box echo it runs").stdout == "it runs\n"
        machine.ssh("echo kept > /var/lib/kept && sync")
        machine.shut_down()
    return found


def table(machine: Machine) -> dict[str, object]:
    result: dict[str, object] = json.loads(machine.ssh("sfdisk --json /dev/vda").stdout)["partitiontable"]
    return result


def test_a_file_system_that_is_checked(variant: Variant, store: Store, machine_seed: Path) -> None:
    """The tools that look after xfs are in an image that has it."""
    image = variant("raw", disk={"filesystem": "xfs"})
    with store.staging() as folder:
        run(["cp", "--sparse=always", image, folder / "disk.raw"])
        disk = BootDrive(file=folder / "disk.raw", format="raw", writable=True)
        accel = best_accel(machine_seed, store.scratch)
        with Machine(Hardware(boot_drive=disk, accel=accel), seed=machine_seed, scratch=store.scratch) as machine:
            wait_for_boot(machine)
            assert "ftype=1" in machine.ssh("xfs_info /").stdout
            assert "data" in machine.ssh("xfs_growfs -n /").stdout
            assert machine.ssh("command -v xfs_repair xfs_growfs fsck.xfs").stdout.count("\n") == 3
            # Links, sticky bits and times came through the prototype file and what was added to it.
            assert machine.ssh("stat -c %a /tmp /var/tmp").stdout.split() == ["1777", "1777"]
            assert int(machine.ssh("find /usr -xdev -type f -links +1 | wc -l").stdout) > 50
            changed = machine.ssh("rpm -Va --noconfig", check=False, timeout=600).stdout
            assert changed == "", changed
            machine.shut_down()

"""An image of several disks and two volume groups as a machine: everything is mounted, written to, grown, changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.files import sha256_of
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.overlay import larger_overlay
from photonbuild.machines.qemu import Machine
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.image import make_image
from photonbuild.store import Store
from tests.matrix.conftest import Variant, session_of
from tests.support.updates import Host

pytestmark = pytest.mark.matrix

PATIENCE = 1200.0
GIB = 1 << 30
DISK = {
    "size": "5 GiB",
    "root_size": "1600 MiB",
    "partitions": [{"name": "pv", "volume_group": "system"}],
    "disks": [
        {
            "name": "data",
            "size": "2 GiB",
            "partitions": [
                {"name": "files", "path": "/srv/files", "size": "512 MiB", "filesystem": "xfs"},
                {"name": "pvb", "volume_group": "store"},
            ],
        },
        {"name": "more", "size": "600 MiB", "volume_group": "store"},
        {"name": "blank", "size": "64 MiB"},
    ],
    "volume_groups": [
        {
            "name": "system",
            "volumes": [
                {"name": "var", "path": "/var"},
                {"name": "swap", "filesystem": "swap", "size": "128 MiB"},
            ],
        },
        {
            "name": "store",
            "volumes": [
                {"name": "one", "path": "/srv/one", "size": "300 MiB"},
                # Larger than what is left of either physical volume.
                {"name": "wide", "path": "/srv/wide", "size": "1500 MiB"},
            ],
        },
    ],
}
FILES = [{"path": f"/srv/{name}/hello", "text": f"{name}\n"} for name in ("files", "one", "wide")]
MOUNTED = {
    "/var": ("/dev/mapper/system-var", "ext4"),
    "/srv/files": ("/dev/vdb1", "xfs"),
    "/srv/one": ("/dev/mapper/store-one", "ext4"),
    "/srv/wide": ("/dev/mapper/store-wide", "ext4"),
}


@pytest.fixture(scope="module")
def image(variant: Variant) -> Path:
    # Udev finds volumes some steps after partitions: 90 s are few where processors are emulated and shared.
    patient = ["console=ttyS0,115200", "no_timer_check", "systemd.default_device_timeout_sec=600"]
    return variant("raw", disk=DISK, files=FILES, kernel_args=patient)


@pytest.fixture(scope="module")
def host(image: Path, store: Store, machine_seed: Path) -> Iterator[Host]:
    """Its first disk is 1 GiB larger than the image's."""
    seed, scratch = machine_seed, store.scratch
    with boot_drive(image) as plugged, larger_overlay(plugged, GIB, seed=seed, scratch=scratch) as larger:
        hardware = Hardware(boot_drive=larger, accel=best_accel(seed, scratch), restarts=True)
        with Machine(hardware, seed=seed, scratch=scratch) as machine:
            machine.wait_for_ssh(PATIENCE)
            found = Host(machine)
            found.up(PATIENCE)
            yield found


def quiet(host: Host, command: str) -> str:
    """What the command says on stdout; on stderr it says nothing."""
    done = host.machine.ssh(command, timeout=300)
    assert done.stderr == "", f"{command}: {done.stderr}"
    return done.stdout


def check_mounted(host: Host) -> None:
    assert host.ssh("systemctl is-system-running", check=False).strip() == "running", host.ssh(
        "systemctl --failed; journalctl -b -p warning --no-pager", check=False
    )
    for path, (device, kind) in MOUNTED.items():
        assert host.ssh(f"findmnt -no SOURCE,FSTYPE {path}").split() == [device, kind]
    assert host.ssh("swapon --noheadings --show=SIZE --bytes").strip() == str((128 << 20) - 4096)


def test_files_of_an_image_of_several_disks(image: Path) -> None:
    manifest = json.loads(image.with_name(f"{image.name}.manifest.json").read_text(encoding="utf-8"))
    names = [disk["name"] for disk in manifest["disks"]]
    assert names == ["data", "more", "blank"]
    lines = image.with_name(f"{image.name}.sha256").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    stem = image.name.removesuffix(".raw")
    assert list(sums) == [image.name, *(f"{stem}.{name}.raw" for name in names)]
    for name, digest in sums.items():
        assert sha256_of(image.with_name(name)) == digest
    assert [image.with_name(disk["file"]).stat().st_size >> 20 for disk in manifest["disks"]] == [2048, 600, 64]


def test_everything_is_mounted(host: Host) -> None:
    check_mounted(host)
    for file in FILES:
        assert host.ssh(f"cat {file['path']}") == file["text"]
    assert host.ssh("lsblk -nbdo SIZE /dev/vdd").strip() == str(64 << 20)
    assert host.ssh("lsblk -no FSTYPE,PARTTYPE /dev/vdd").strip() == ""


def test_the_tools_of_lvm_find_nothing_to_complain_of(host: Host) -> None:
    devices = quiet(host, "pvs --noheadings -o pv_name,vg_name | sort").split()
    assert devices == ["/dev/vda4", "system", "/dev/vdb2", "store", "/dev/vdc", "store"]
    assert quiet(host, "vgs --noheadings -o vg_name,pv_count,lv_count | sort").split() == [
        "store",
        "2",
        "2",
        "system",
        "1",
        "2",
    ]
    assert quiet(host, "lvs --noheadings -o lv_name,segtype | sort -u").split() == [
        "one", "linear", "swap", "linear", "var", "linear", "wide", "linear",
    ]  # fmt: skip
    quiet(host, "vgck system && vgck store")
    for device in devices[::2]:
        quiet(host, f"pvck {device} && pvck --dump headers {device} && pvck --dump metadata {device}")


def test_what_was_made_larger_is_used(host: Host) -> None:
    size = int(host.ssh("lvs --noheadings --nosuffix --units b -o lv_size system/var"))
    assert 6 * GIB - (1600 << 20) - (128 << 20) > size > 6 * GIB - (1800 << 20) - (128 << 20)
    assert int(host.ssh("findmnt -bno SIZE /var")) > size * 0.9
    assert host.ssh("vgs --noheadings -o vg_free_count system").strip() == "0"


def test_the_tools_of_lvm_go_on_from_here(host: Host) -> None:
    """Each of these writes the metadata anew, which another start reads."""
    host.ssh("echo kept >/srv/wide/kept; echo kept >/var/kept; sync")
    grown = host.ssh("lvextend --quiet --resizefs --extents +10 store/one")
    assert "WARNING" not in grown, grown
    assert int(host.ssh("findmnt -bno SIZE /srv/one")) > 300 << 20
    quiet(host, "lvcreate --quiet --yes --extents 5 --name new store && mkfs.ext4 -q /dev/store/new")
    quiet(
        host,
        "vgcreate --quiet spare /dev/vdd && vgrename --quiet spare other && lvcreate --quiet --yes -l 4 -n x other",
    )
    quiet(host, "vgck store && vgck other")
    host.restart(timeout=PATIENCE)
    check_mounted(host)
    assert host.ssh("cat /srv/wide/kept /var/kept").split() == ["kept", "kept"]
    assert host.ssh("lvs --noheadings -o lv_name store other | sort").split() == ["new", "one", "wide", "x"]


def test_the_same_twice(image: Path, checkout: Path, store: Store, tmp_path: Path) -> None:
    name = next(path.stem for path in (checkout / "build/images").glob("raw-*.yaml") if "pvb" in path.read_text())
    with store.staging() as work:
        again = make_image(session_of(load_config(checkout), store), name, [], fresh=work)[0]
        assert again.checksum.read_text() == image.with_name(f"{image.name}.sha256").read_text()

"""A disk image from a kickstart: the settings that it becomes, what is said of it, what an image cannot have."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from photonbuild.config.models import DiskImage
from photonbuild.errors import PhotonbuildError
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.kickstart import kickstart_image
from photonbuild.roots import BUILD
from photonbuild.store import Store

ROOT = Path(__file__).parents[3]
GIB, MIB = 1 << 30, 1 << 20
CRYPTED = "$6$saltsalt$" + "a" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f tester"


class Asked:
    """A kickstart, and what becomes of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.said: list[str] = []
        self.session: Any = SimpleNamespace(
            config=load_config(ROOT),
            store=Store.open(tmp_path / "store"),
            reporter=SimpleNamespace(info=self.said.append),
        )

    def image(self, text: str, *, base: str = "raw") -> tuple[DiskImage, dict[str, bytes]]:
        """The image's settings, and what lies in the files that they name."""
        path = self.folder / "my-server.yaml"
        path.write_text(text)
        before = self.session.config
        with kickstart_image(self.session, base, path, {}) as name:
            config = self.session.config
            assert name == f"{base}-myserver"
            image = config.image(name)
            own = config.roots.layers[-1].path / BUILD
            assert stat.S_IMODE((own / f"images/{name}.yaml").stat().st_mode) == 0o600
            files = {str(file.relative_to(own)): file.read_bytes() for file in own.rglob("*") if file.is_file()}
            assert config.root == before.root
        assert self.session.config is before
        assert list((self.folder / "store/tmp").iterdir()) == []
        return image, files

    def refused(self, text: str, base: str = "raw") -> str:
        with pytest.raises(PhotonbuildError) as caught:
            self.image(text, base=base)
        assert list((self.folder / "store/tmp").iterdir()) == []
        return f"{caught.value.message} {caught.value.detail or ''} {caught.value.hint or ''}"


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def test_who_gets_in_and_what_is_in_it(asked: Asked) -> None:
    (asked.folder / "motd").write_text("hello\n")
    (asked.folder / "tool").write_text("#!/bin/sh\n")
    (asked.folder / "tool").chmod(0o700)
    (asked.folder / "after.sh").write_text("#!/bin/bash\ntrue\n")
    (asked.folder / "more.json").write_text('{"packages": ["less", "gawk"]}')
    image, files = asked.image(
        f"""
disk: /dev/sda
hostname: web-1
password: {{crypted: true, text: "{CRYPTED}", age: 0}}
public_key: "{KEY}"
packages: [less]
packagelist_file: more.json
services: {{docker: enabled, sshd.service: disabled}}
additional_files: [{{motd: /etc/motd}}, {{tool: /usr/bin/}}]
postinstall: ["echo done >/etc/made"]
postinstallscripts: [after.sh]
"""
    )
    assert (image.hostname, image.variant, image.format) == ("web-1", "-myserver", "raw")
    assert [(user.name, user.password) for user in image.users] == [("root", CRYPTED)]
    assert image.authorized_keys == (KEY,)
    assert image.packages[-2:] == ("less", "gawk")
    assert {"docker.service": "enabled", "sshd.service": "disabled"}.items() <= image.services.items()
    placed = {file.path: (files[f"{file.source}"], file.mode) for file in image.files if file.source}
    assert placed == {"/etc/motd": (b"hello\n", "0644"), "/usr/bin/tool": (b"#!/bin/sh\n", "0755")}
    age, lines, script = (files[name] for name in image.scripts)
    assert rb"\1:0:\3:\4:" in age
    assert (lines, script) == (b"#!/bin/sh\necho done >/etc/made\n", b"#!/bin/bash\ntrue\n")


def test_disk(asked: Asked) -> None:
    image, _ = asked.image(
        """
disks: {default: {filename: root.img, size: 6144}}
partitions:
  - {mountpoint: /, size: 0, filesystem: xfs}
  - {mountpoint: /var, size: 2048, filesystem: xfs}
  - {mountpoint: /srv/data, sizepercent: 10, filesystem: ext4, fs_options: "nodev,noatime"}
  - {size: 512, filesystem: swap}
  - {mountpoint: /boot/efi, size: 64, filesystem: vfat}
  - {mountpoint: /boot, size: 300, filesystem: ext4}
"""
    )
    disk = image.disk
    assert (disk.size, disk.filesystem, disk.swap, disk.esp_size) == (6 * GIB, "xfs", 512 * MIB, 64 * MIB)
    assert (disk.var, disk.root_size) == (True, (6144 - 4 - 64 - 512 - 614 - 2048) * MIB)
    (part,) = disk.partitions
    assert (part.name, part.path, part.size, part.options) == ("srvdata", "/srv/data", 614 * MIB, ("nodev", "noatime"))
    assert any("/boot stays in the root's" in line for line in asked.said)


def test_several_disks_and_volumes(asked: Asked) -> None:
    image, _ = asked.image(
        """
disks:
  default: {filename: a.img, size: 6144}
  Data-1: {filename: b.img, size: 1024}
  pool: {filename: c.img, size: 512}
partitions:
  - {mountpoint: /, size: 2048, filesystem: ext4}
  - {mountpoint: /var, size: 0, filesystem: ext4, lvm: {vg_name: sys-vg, lv_name: var}}
  - {size: 255, filesystem: swap, lvm: {vg_name: sys-vg, lv_name: swap}}
  - {disk_id: Data-1, mountpoint: /srv/files, size: 0, filesystem: xfs, fs_options: nodev}
  - {disk_id: Data-1, mountpoint: /srv/logs, sizepercent: 25, filesystem: ext4, lvm: {vg_name: logs, lv_name: all}}
  - {disk_id: pool, all_disk: true, mountpoint: /srv/pool, size: 0, lvm: {vg_name: pool, lv_name: one}}
"""
    )
    disk = image.disk
    assert (disk.size, disk.root_size, disk.var, disk.last) == (6 * GIB, 2 * GIB, False, "pv1")
    assert [(part.name, part.volume_group, part.size) for part in disk.partitions] == [("pv1", "sys-vg", None)]
    data, pool = disk.disks
    assert (data.name, data.size, pool.name, pool.size, pool.volume_group) == ("data1", GIB, "pool", GIB // 2, "pool")
    assert [(part.name, part.path, part.size) for part in data.partitions] == [
        ("data11", "/srv/files", (1024 - 2 - 256 - 8) * MIB), ("pvdata11", None, (256 + 8) * MIB),
    ]  # fmt: skip
    assert {group.name: [(v.name, v.path, v.size) for v in group.volumes] for group in disk.volume_groups} == {
        "sys-vg": [("var", "/var", None), ("swap", None, 255 * MIB)],
        "logs": [("all", "/srv/logs", 256 * MIB)],
        "pool": [("one", "/srv/pool", None)],
    }
    image, _ = asked.image(
        """
disk: /dev/sda
partitions:
  - {mountpoint: /, size: 600, filesystem: ext4}
  - {mountpoint: /var, size: 500, filesystem: ext4}
  - {mountpoint: /srv, size: 0, filesystem: ext4, lvm: {vg_name: v, lv_name: srv}}
"""
    )
    assert image.disk.last == "var" and image.disk.rest == 501 * MIB
    assert image.disk.partitions[0].size == (2048 - 4 - 32 - 600 - 500) * MIB


def test_what_a_disk_of_no_size_has_to_hold(asked: Asked) -> None:
    image, _ = asked.image("disk: /dev/sda\npartitions:\n  - {mountpoint: /, size: 40000, filesystem: ext4}\n")
    assert image.disk.size == (40000 + 4 + 32) * MIB
    image, _ = asked.image("disk: /dev/sda\n")
    assert image.disk == asked.session.config.image("raw").disk


def test_what_is_not_mounted_as_it_says_is_told(asked: Asked) -> None:
    asked.image(
        "disk: /dev/sda\npartitions:\n  - {mountpoint: /, size: 900, fs_options: noatime}\n"
        "  - {mountpoint: /var, size: 0, fs_options: noexec}\n  - {mountpoint: /srv, size: 64, fs_options: nodev}\n"
    )
    told = [line.partition("my-server.yaml: ")[2] for line in asked.said if "is mounted as" in line]
    assert told == [
        "/ is mounted as in every image, not with noatime", "/var is mounted as in every image, not with noexec",
    ]  # fmt: skip


def test_network(asked: Asked) -> None:
    image, _ = asked.image(
        """
disk: /dev/sda
network:
  version: "2"
  nameservers: {addresses: [192.0.2.53], search: [example.org]}
  ethernets: {first: {match: {name: eth0}, dhcp4: "no", addresses: [192.0.2.9/24], gateway: 192.0.2.1}}
"""
    )
    (file,) = image.network_files
    assert file.name == "10-first.network" and "Address=192.0.2.9/24" in (file.text or "")
    assert "Name=eth0" not in (file.text or "") and any("eth0 is every Ethernet card" in line for line in asked.said)
    assert any("DNS=192.0.2.53" in (file.text or "") for file in image.files)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("preinstall: [x]\n", "preinstall is run in the machine"),
        ("partitions: [{mountpoint: /, size: 0, filesystem: btrfs}]\n", "Btrfs"),
        (
            "partitions: [{mountpoint: /, size: 0}, {mountpoint: /srv, size: 500, filesystem: btrfs, "
            "btrfs: {subvols: [{name: a, mountpoint: /a}]}}]\n",
            "mounts of subvolumes",
        ),
        (
            "partitions: [{mountpoint: /, size: 900}, {filesystem: swap, size: 64}, {filesystem: swap, size: 128}]\n",
            "an image has one swap area on its first disk",
        ),
        ("partitions: [{mountpoint: /, size: 900}, {filesystem: swap, size: 0}]\n", "swap takes what is left"),
        (
            "partitions: [{mountpoint: /, size: 0, filesystem: ext4, lvm: {vg_name: v, lv_name: r}}]\n",
            "no root on a logical volume",
        ),
        (
            "partitions: [{mountpoint: /, size: 9, filesystem: ext4},"
            " {mountpoint: /d, all_disk: true, filesystem: ext4, disk: /dev/sdb}]\n",
            "no disk without a partition table",
        ),
        (
            "partitions: [{mountpoint: /, size: 9, filesystem: ext4}, {size: 9, filesystem: swap, disk: /dev/sdb}]\n",
            "swap is on the first disk or on a volume",
        ),
        (
            "partitions: [{mountpoint: /, size: 500}, {mountpoint: /srv, size: 0, luks: {}}]\n",
            "a key is of its own machine",
        ),
        ("additional_files: [{gone: /x}]\n", "no such file"),
        ("additional_files: [{'https://example.org/x': /x}]\n", "made of files of this machine"),
        ("docker: {images: [{method: pull, name: 'a/b:1'}]}\n", "pulled from a registry"),
        ("ostree: {default_repo: true}\nansible: [{playbook: x}]\n", "2 things cannot be in an image"),
        ("hostname: 'a b'\n", "hostname"),
        ("partitions: [{mountpoint: /srv, size: 0, filesystem: ext4}, {mountpoint: /, size: 500, filesystem: ext4}]\n",
         "takes what is left"),
    ],
)  # fmt: skip
def test_what_an_image_cannot_have(asked: Asked, text: str, reason: str) -> None:
    assert reason in asked.refused(f"disk: /dev/sda\n{text}")


def test_a_script_that_is_no_text(asked: Asked) -> None:
    (asked.folder / "after.sh").write_bytes(b"#!/bin/sh\necho \xff\n")
    assert "cannot be read" in asked.refused("disk: /dev/sda\npostinstallscripts: [after.sh]\n")
    (asked.folder / "folder").mkdir()
    assert "cannot be read" in asked.refused("disk: /dev/sda\npackagelist_file: folder\n")


def test_only_a_disk_image_is_one(asked: Asked) -> None:
    assert "'iso' is no disk image" in asked.refused("disk: /dev/sda\n", base="iso")


def test_btrfs_beside_the_root(asked: Asked) -> None:
    image, _ = asked.image(
        """
disks: {default: {filename: root.img, size: 8192}}
partitions:
  - {mountpoint: /, size: 2048}
  - {mountpoint: /var, size: 0, filesystem: btrfs, btrfs: {subvols: [{name: lib, subvols: [{name: docker}]}]}}
  - {mountpoint: /srv, size: 500, filesystem: btrfs, btrfs: {subvols: [{name: a}]}}
"""
    )
    disk = image.disk
    assert (disk.filesystem, disk.var_filesystem, disk.var_subvolumes) == ("ext4", "btrfs", ("lib", "lib/docker"))
    assert [(part.filesystem, part.subvolumes) for part in disk.partitions] == [("btrfs", ("a",))]

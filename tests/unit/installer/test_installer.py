"""The installer: plans as tables, and their execution with fake tools on PATH in a tree of its own."""

from __future__ import annotations

import ast
import gzip
import hashlib
import http.server
import io
import json
import os
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest

import photonbuild
from photonbuild.errors import PhotonbuildError
from photonbuild.images.formats import iso
from photonbuild.installer import SHIPPED, __main__, answers, execute, fetching, finish, machine, repository
from photonbuild.installer.facts import Card, Disk, Facts, LocalFile, Package, Places
from photonbuild.installer.failures import (
    Declined,
    DiskError,
    FetchError,
    KickstartError,
    MachineError,
    PackageError,
    StepError,
)
from photonbuild.installer.fetching import Fetcher, Source, source
from photonbuild.installer.kickstart import Kickstart, Repository, parse
from photonbuild.installer.passwords import crypted, shadow
from photonbuild.installer.plan import kernel_arguments, make_plan
from photonbuild.installer.steps import BootCode, Command, Copy, Patch, Plan, Write, describe
from photonbuild.installer.storage import partition_device, swap_header
from photonbuild.installer.terminals import Terminals, console_names

PACKAGE = Path(photonbuild.__file__).parent
GIB, MIB = 1 << 30, 1 << 20
HASH = "$6$saltstring$" + "a" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here"
LVM_ROOT = {"mountpoint": "/", "size": 0, "lvm": {"vg_name": "sys-1", "lv_name": "root"}}


def kickstart(**data: Any) -> Kickstart:
    return parse(json.dumps({"disk": "/dev/sda", **data}), "ks.json")


def facts(**changes: Any) -> Facts:
    base = Facts(
        disk=Disk(path="/dev/sda", size=8 * GIB),
        firmware="bios",
        root_size=300 * MIB,
        identity="0123456789abcdef",
        today=20000,
        filesystems=frozenset({"ext4", "xfs", "vfat"}),
        os_release={"ID": "phos", "PRETTY_NAME": "Phos 1.0"},
        units=frozenset({"a.service", "getty@.service"}),
        command_line="BOOT_IMAGE=/boot/vmlinuz root=live:LABEL=X ks=cdrom:/k installer console=ttyS0,115200 quiet",
    )
    return replace(base, **changes)


def commands(plan: Plan) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps if isinstance(step, Command)]


def written(plan: Plan) -> dict[str, str]:
    return {step.path: step.text for step in plan.steps if isinstance(step, Write)}


def table(plan: Plan) -> list[dict[str, str]]:
    """Partitions as sfdisk is told, sizes in MiB."""
    script = next(step.input for step in plan.steps if isinstance(step, Command) and step.argv[0] == "sfdisk")
    rows = [
        dict(word.strip().split("=") for word in line.split(",")) for line in script.splitlines() if "start" in line
    ]
    return [{**row, "size": str(int(row["size"]) * 512 // MIB)} for row in rows]


def sizes(**data: Any) -> list[tuple[str, int]]:
    plan = make_plan(kickstart(**data), facts())
    return [(row["name"].strip('"'), int(row["size"])) for row in table(plan)]


# Plans


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, [("bios", 1), ("esp", 32), ("root", 8157)]),
        ({"bootmode": "bios"}, [("bios", 1), ("root", 8189)]),
        ({"bootmode": "efi"}, [("esp", 32), ("root", 8158)]),
        (
            {
                "partitions": [
                    {"mountpoint": "/", "size": 0},
                    {"mountpoint": "/var", "sizepercent": 50},
                    {"mountpoint": "/boot", "size": 128},
                    {"filesystem": "swap", "size": 512},
                    {"filesystem": "swap", "size": 512},
                    {"mountpoint": "/boot/efi", "filesystem": "vfat", "size": 64},
                ]
            },
            [("bios", 1), ("esp", 64), ("var", 4096), ("boot", 128), ("swap", 512), ("swap", 512), ("root", 2877)],
        ),
        (
            {"partitions": [{"mountpoint": "/", "size": 1000}, {"mountpoint": "/srv/data", "size": 100}]},
            [("bios", 1), ("esp", 32), ("root", 1000), ("srv-data", 100)],
        ),
        (
            {
                "partitions": [
                    {"mountpoint": "/var", "size": 0, "lvm": {"vg_name": "g", "lv_name": "var"}},
                    {"filesystem": "swap", "size": 510, "lvm": {"vg_name": "g", "lv_name": "swap"}},
                    {"mountpoint": "/", "size": 1024},
                ]
            },
            # 8 MiB of the group are for LVM itself; volumes are whole extents of 4 MiB.
            [("bios", 1), ("esp", 32), ("root", 1024), ("lvm-g", 7132)],
        ),
    ],
)
def test_sizes(data: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    assert sizes(**data) == expected


def test_the_table_is_aligned_and_of_discoverable_types() -> None:
    rows = table(make_plan(kickstart(), facts()))
    assert [row["type"][:8] for row in rows] == ["21686148", "C12A7328", "4F68BCE3"]
    starts = [int(row["start"]) for row in rows]
    assert starts == [2048, 4096, 4096 + 32 * 2048]
    assert starts[-1] * 512 + int(rows[-1]["size"]) * MIB == 8 * GIB - MIB


def test_order_of_the_commands() -> None:
    plan = make_plan(kickstart(), facts())
    assert [line.split()[0] for line in commands(plan)] == [
        "wipefs", "sfdisk", "udevadm", "mkfs.vfat", "mkfs.ext4", "mount", "cp",
        "mount", "mount", "mount", "mount", "mount", "sync",
    ]  # fmt: skip
    assert "cp --archive -- /run/initramfs/live/root/. /run/installer/target" in commands(plan)
    assert [step.argv[-1] for step in plan.steps if isinstance(step, Command) and step.undo] == [
        f"/run/installer/target{path}" for path in ("", "/boot/efi", "/proc", "/sys", "/dev", "/run")
    ]


def test_file_systems_that_grub_reads() -> None:
    partitions = [
        {"mountpoint": "/", "size": 0, "mkfs_options": "-O ^has_journal -m 0"},
        {"mountpoint": "/boot", "size": 400, "filesystem": "xfs"},
    ]
    plan = make_plan(kickstart(partitions=partitions), facts())
    ext4 = next(line for line in commands(plan) if line.startswith("mkfs.ext4"))
    assert " -O ^has_journal,^metadata_csum_seed,^orphan_file -m 0 /dev/sda" in ext4
    assert ext4.count("-O") == 1, "mke2fs heeds the last one only"
    assert " -i nrext64=0 " in next(line for line in commands(plan) if line.startswith("mkfs.xfs"))
    images = [step.argv for step in plan.preparation if isinstance(step, Command)]
    assert all("xfs" in argv and "ext2" in argv and "lvm" not in argv for argv in images)


def test_mounts_go_from_the_root_down_and_fat_comes_after_the_copy() -> None:
    partitions = [
        {"mountpoint": "/var/lib", "size": 100},
        {"mountpoint": "/var", "size": 100},
        {"mountpoint": "/", "size": 0},
    ]
    plan = make_plan(kickstart(partitions=partitions), facts())
    lines = [line for line in commands(plan) if line.startswith(("mount -t ext4", "mount -t vfat", "cp"))]
    assert [line.split()[-1].removeprefix("/run/installer/target") for line in lines] == [
        "", "/var", "/var/lib", "", "/boot/efi",
    ]  # fmt: skip


def test_fstab() -> None:
    partitions = [
        {"mountpoint": "/", "size": 0, "filesystem": "xfs"},
        {"mountpoint": "/var", "size": 100, "fs_options": "nodev,nosuid"},
        {"filesystem": "swap", "size": 64},
    ]
    lines = written(make_plan(kickstart(partitions=partitions), facts()))["/etc/fstab"].splitlines()
    assert [line.split("=")[0] for line in lines] == ["UUID", "PARTUUID", "UUID", "UUID"]
    assert [line.split(None, 1)[1] for line in lines] == [
        "/ xfs rw 0 0",
        "/boot/efi vfat umask=0077,noauto,x-systemd.automount 0 0",
        "/var ext4 rw,nodev,nosuid 0 2",
        "none swap defaults 0 0",
    ]


def test_identifiers_are_those_of_one_installation() -> None:
    one, same, other = (describe(make_plan(kickstart(), facts(identity=name * 16))) for name in "aab")
    assert one == same != other


def test_boot_loaders() -> None:
    plan = make_plan(kickstart(), facts())
    menu = written(plan)["/boot/grub/grub.cfg"]
    root = table(plan)[2]["uuid"].lower()
    assert f"root=PARTUUID={root} ro rootwait console=ttyS0,115200 quiet\n" in menu
    assert "initrd" not in menu and "search" not in menu
    code = next(step for step in plan.steps if isinstance(step, BootCode))
    assert (code.disk, code.start, code.size) == ("/dev/sda", MIB, MIB)
    assert [step.path for step in plan.steps if isinstance(step, Copy)] == ["/boot/efi/EFI/BOOT/BOOTX64.EFI"]
    efi = make_plan(kickstart(bootmode="efi"), facts(firmware="efi"))
    assert not any(isinstance(step, BootCode) for step in efi.steps)
    assert not efi.notes or "UEFI" not in efi.notes[0]
    assert "will start by UEFI only" in make_plan(kickstart(bootmode="efi"), facts()).notes[0]


def test_a_boot_partition_has_the_menu_and_the_root_the_kernels() -> None:
    plan = make_plan(
        kickstart(partitions=[{"mountpoint": "/", "size": 0}, {"mountpoint": "/boot", "size": 64}]), facts()
    )
    ids = {line.split()[1]: line.split()[0].removeprefix("UUID=") for line in written(plan)["/etc/fstab"].splitlines()}
    first = next(step.text for step in plan.preparation if isinstance(step, Write))
    assert first.splitlines()[0] == f"search --no-floppy --set=root --fs-uuid {ids['/boot']}"
    assert first.splitlines()[1] == "set prefix=($root)/grub"
    assert f"search --no-floppy --set=root --fs-uuid {ids['/']}\n" in written(plan)["/boot/grub/grub.cfg"]


def test_a_root_on_lvm() -> None:
    plan = make_plan(kickstart(partitions=[LVM_ROOT]), facts(has_lvm_initramfs=True))
    lvm = [line for line in commands(plan) if line.split()[0] in ("pvcreate", "vgcreate", "lvcreate")]
    assert lvm == [
        "pvcreate --force --yes /dev/sda3",
        "vgcreate --yes --physicalextentsize=4m sys-1 /dev/sda3",
        "lvcreate --yes --wipesignatures=y --name=root --extents=100%FREE sys-1",
    ]
    menu = written(plan)["/boot/grub/grub.cfg"]
    identity = written(plan)["/etc/fstab"].partition(" ")[0]
    assert f"root={identity} ro rootwait rd.lvm.lv=sys-1/root " in menu
    assert "initrd /usr/lib/initramfs-lvm.img" in menu
    assert (
        Copy(
            title="copy the initramfs",
            source=Path("/usr/lib/installer/initramfs-lvm.img"),
            path="/usr/lib/initramfs-lvm.img",
        )
        in plan.steps
    )
    assert all("lvm" in step.argv for step in plan.preparation if isinstance(step, Command))
    undo = [" ".join(step.undo) for step in plan.steps if isinstance(step, Command) and step.undo]
    assert undo[0] == "vgchange --activate=n sys-1", "volumes are let go after everything is unmounted"


def test_what_lvm_needs() -> None:
    with pytest.raises(MachineError, match="needs an initramfs, and this medium has no "):
        make_plan(kickstart(partitions=[LVM_ROOT]), facts())
    var = {"mountpoint": "/var", "size": 100, "lvm": {"vg_name": "g", "lv_name": "v"}}
    late = kickstart(partitions=[{"mountpoint": "/", "size": 0}, var])
    with pytest.raises(DiskError, match="there is a volume group 'g' already, on /dev/sdb1"):
        make_plan(late, facts(volume_groups={"g": ("/dev/sdb1",)}))
    with pytest.raises(DiskError, match="'old' is on /dev/sda and on other disks"):
        make_plan(kickstart(), facts(volume_groups={"old": ("/dev/sda2", "/dev/sdb1")}))
    plan = make_plan(late, facts(volume_groups={"g": ("/dev/sda2",), "else": ("/dev/sdab1",)}))
    assert commands(plan)[0] == "vgremove --force --force --yes g"


def test_disks_and_partitions_that_are_too_small() -> None:
    small = facts(disk=Disk(path="/dev/sda", size=256 * MIB))
    with pytest.raises(DiskError, match=r"the disk /dev/sda has 256 MiB, and the system and .* need 437") as caught:
        make_plan(kickstart(), small)
    assert caught.value.exit_code == 10
    with pytest.raises(DiskError, match="has 8192 MiB, and its partitions need 9035"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 9000}]), facts())
    with pytest.raises(DiskError, match="the partition for '/' has 100 MiB, and the system needs 402"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 100}]), facts())
    xfs = {"mountpoint": "/a", "filesystem": "xfs", "sizepercent": 1}
    with pytest.raises(DiskError, match="/a has 81 MiB, and needs 300"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 0}, xfs]), facts())
    with pytest.raises(MachineError, match="the kernel of this system has no xfs"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 0, "filesystem": "xfs"}]),
                  facts(filesystems=frozenset({"ext4", "vfat"})))  # fmt: skip


def test_settings() -> None:
    network = {
        "version": "2",
        "ethernets": {"lan": {"match": {"macaddress": "52:54:00:00:00:01"}, "addresses": ["192.0.2.1/24"],
                              "gateway": "192.0.2.254", "nameservers": {"addresses": ["192.0.2.53"]}}},
        "vlans": {"v7": {"id": 7, "link": "lan", "dhcp4": True}},
    }  # fmt: skip
    plan = make_plan(
        kickstart(
            hostname="h", network=network, shadow_password=HASH, public_key=KEY, services={"a.service": "masked"}
        ),
        facts(
            shadow="root:!*:::::::\ndaemon:!*:::::::\n",
            authorized_keys="ssh-rsa AAAA old\n",
            resolver="/run/systemd/resolve",
            cards=(Card(name="enp0s1", address="52:54:00:00:00:02"),),
        ),
    )
    files = written(plan)
    assert files["/etc/hostname"] == "h\n"
    assert files["/etc/machine-id"] == ""
    assert files["/etc/shadow"] == f"root:{HASH}:20000::::::\ndaemon:!*:::::::\n"
    assert files["/root/.ssh/authorized_keys"] == f"ssh-rsa AAAA old\n{KEY}\n"
    assert "mount --bind /run/systemd/resolve /run/installer/target/run/systemd/resolve" in commands(plan)
    assert "no card of this machine is the 'lan' of the kickstart; there are: enp0s1 (52:54:00:00:00:02)" in plan.notes
    lan = files["/etc/systemd/network/10-lan.network"]
    for line in ("MACAddress=52:54:00:00:00:01", "DHCP=no", "Address=192.0.2.1/24", "Gateway=192.0.2.254",
                 "DNS=192.0.2.53", "VLAN=v7"):  # fmt: skip
        assert f"\n{line}\n" in lan
    assert files["/etc/systemd/network/10-v7.netdev"] == "[NetDev]\nName=v7\nKind=vlan\n\n[VLAN]\nId=7\n"
    assert "\n[Network]\nDHCP=ipv4\n" in files["/etc/systemd/network/10-v7.network"]
    assert "systemctl --root=/run/installer/target mask a.service" in commands(plan)
    assert HASH not in describe(plan)


def test_without_a_name_or_a_way_in() -> None:
    plan = make_plan(kickstart(), facts())
    assert written(plan)["/etc/hostname"] == "phos-012345\n"
    assert "/etc/shadow" not in written(plan)
    assert any("nobody will be able to log in" in note for note in plan.notes)


def test_packages_files_and_script() -> None:
    packages = (Path("/run/a.rpm"),)
    file = LocalFile(source="https://h/motd", path=Path("/run/0"), destination="/etc/motd")
    plan = make_plan(kickstart(postinstall=["echo a", "echo b"]), facts(packages=packages, files=(file,)))
    assert isinstance(plan.preparation[0], Command)
    assert plan.preparation[0].argv == ("rpm", "--root", "/", "--install", "--test", "--ignoresize", "/run/a.rpm")
    assert "rpm --root /run/installer/target --install /run/a.rpm" in commands(plan)
    assert Copy(title="copy https://h/motd", source=Path("/run/0"), path="/etc/motd") in plan.steps
    assert written(plan)["/root/.postinstall"] == "#!/bin/sh\necho a\necho b\n"
    assert any(line.startswith("chroot /run/installer/target env -i ") for line in commands(plan))


@pytest.mark.parametrize("name", ["a", "a.service", "getty@tty9", "getty@tty9.service"])
def test_units_that_are_there(name: str) -> None:
    make_plan(kickstart(services={name: "enabled"}), facts())


def test_a_unit_that_is_not_there() -> None:
    with pytest.raises(KickstartError, match=r"the system has no unit 'aa\.service', did you mean 'a\.service'"):
        make_plan(kickstart(services={"aa": "disabled"}), facts())
    make_plan(kickstart(services={"aa": "masked"}), facts())
    make_plan(kickstart(services={"aa": "enabled"}), facts(packages=(Path("/run/aa.rpm"),)))


def test_what_is_kept_of_the_kernel_command_line() -> None:
    line = "BOOT_IMAGE=x root=live:LABEL=y ro ks=https://h/k installer installer.poweroff live.size=1G rd.debug "
    line += "systemd.unit=installer.target insecure_installation=1 console=tty0 no_timer_check quiet a=$b -- 3"
    assert kernel_arguments(line) == ["console=tty0", "no_timer_check", "quiet"]


@pytest.mark.parametrize(
    ("disk", "device"),
    [("/dev/sda", "/dev/sda3"), ("/dev/nvme0n1", "/dev/nvme0n1p3"), ("/dev/mmcblk0", "/dev/mmcblk0p3")],
)
def test_partition_devices(disk: str, device: str) -> None:
    assert partition_device(disk, 3) == device


def test_swap_header() -> None:
    page = swap_header(64 * MIB, "00112233-4455-6677-8899-aabbccddeeff")
    assert len(page) == 4096 and page.endswith(b"SWAPSPACE2")
    assert struct.unpack_from("<III", page, 1024) == (1, 64 * MIB // 4096 - 1, 0)
    assert page[1036:1040] == b"\x00\x11\x22\x33"


# Passwords


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        # As openssl passwd -6 has them.
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "ü" * 40,
            "$6$0123456789abcdef$Xi2DL0p7G/eMFBT.gUz0E248Oo3rGj88KaGVq2QhaoqKSJvXjE"
            "b5fj4i7.77oHhHcwReCd2HoHbjFSA9TI0Dx1",
        ),
    ],
)
def test_crypted(password: str, expected: str) -> None:
    assert crypted(password, expected.split("$")[2]) == expected


def test_crypted_has_a_salt_of_its_own() -> None:
    assert crypted("a") != crypted("a")


@pytest.mark.parametrize(
    ("password", "age", "expected"),
    [
        (HASH, None, f"root:{HASH}:20000::::::"),
        (HASH, 30, f"root:{HASH}:20000::30::::"),
        (HASH, 0, f"root:{HASH}:0::::::"),
        (HASH, -1, f"root:{HASH}:20000::99999::::"),
        (None, 30, "root:!*:20000::30::::"),
    ],
)
def test_shadow(password: str | None, age: int | None, expected: str) -> None:
    text = "root:!*:::::::\nbin:!*:::::::\n"
    assert shadow(text, password=password, age=age, today=20000) == f"{expected}\nbin:!*:::::::\n"


# Sources and repositories


@pytest.mark.parametrize(
    ("text", "scheme", "path"),
    [
        ("cdrom:/isolinux/ks.cfg", "cdrom", "/isolinux/ks.cfg"),
        ("file:///tmp/ks", "file", "/tmp/ks"),
        ("LABEL=KS:/a/./b", "label", "/a/b"),
        ("https://h/ks", "https", ""),
    ],
)
def test_sources(text: str, scheme: str, path: str) -> None:
    found = source(text)
    assert (found.scheme, found.path) == (scheme, path)


@pytest.mark.parametrize("text", ["ks.cfg", "cdrom:ks", "ftp://h/k", "https:///k", "LABEL=:/k", "file:/a/../../b"])
def test_sources_of_no_known_form(text: str) -> None:
    with pytest.raises(KickstartError):
        source(text)


@pytest.mark.parametrize(
    ("base", "text", "expected"),
    [
        ("https://h/a/ks.yaml", "b/c d", "https://h/a/b/c%20d"),
        ("cdrom:/a/ks.yaml", "b", "cdrom:/a/b"),
        ("LABEL=KS:/ks.yaml", "b", "LABEL=KS:/b"),
        ("file:/a/ks.yaml", "/b", "file:/b"),
        ("cdrom:/ks.yaml", "https://h/x", "https://h/x"),
    ],
)
def test_sources_beside_the_kickstart(base: str, text: str, expected: str) -> None:
    assert source(text, base=source(base)).text == expected


def test_http_is_refused_without_the_word(tmp_path: Path) -> None:
    with Fetcher(places=places(tmp_path)) as fetcher, pytest.raises(FetchError, match="http is refused") as caught:
        fetcher.text(source("http://127.0.0.1:9/ks"))
    assert caught.value.exit_code == 4


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with Fetcher(places=places(tmp_path), pause=0) as fetcher, pytest.raises(FetchError, match="not to be reached"):
        fetcher.text(source("https://127.0.0.1:9/ks"))


class Answers(http.server.BaseHTTPRequestHandler):
    """/ks is a file, /away leads to it, /broken fails twice before it is one; the rest is not there."""

    failures = 2

    def do_GET(self) -> None:
        if self.path == "/broken" and Answers.failures:
            Answers.failures -= 1
            self.send_error(503)
        elif self.path in ("/ks", "/broken"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"disk: /dev/sda\n")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/ks")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_server(server: str, tmp_path: Path) -> None:
    with Fetcher(places=places(tmp_path), insecure=True, pause=0) as fetcher:
        for path in ("/ks", "/away", "/broken"):
            assert fetcher.text(source(server + path)) == "disk: /dev/sda\n"
        with pytest.raises(FetchError, match="the server answers 404") as caught:
            fetcher.text(source(f"{server}/missing"))
        assert caught.value.where == f"{server}/missing"
        file = fetcher.file(
            source(f"{server}/ks"), tmp_path / "a/b", sha256=hashlib.sha256(b"disk: /dev/sda\n").hexdigest()
        )
        assert file.read_bytes() == b"disk: /dev/sda\n"
        with pytest.raises(FetchError, match="and the repository says"):
            fetcher.file(source(f"{server}/ks"), tmp_path / "a/b", sha256="0" * 64)


def test_no_redirect_to_something_weaker(tmp_path: Path) -> None:
    request = urllib.request.Request("https://h/a")
    with pytest.raises(FetchError, match="which is not https"):
        fetching.Redirects(False).redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "http://h/a")


PRIMARY = """<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
{}</metadata>"""
ENTRY = """<package type="rpm"><name>{name}</name><arch>{arch}</arch><version epoch="0" ver="{version}" rel="1"/>
<checksum type="sha256" pkgid="YES">{sha256}</checksum><size package="{size}"/><location href="{name}-{version}.rpm"/>
<format><rpm:provides><rpm:entry name="{name}"/><rpm:entry name="lib{name}.so.1()(64bit)"/></rpm:provides></format>
</package>"""


def make_repository(folder: Path, packages: dict[tuple[str, str], bytes], arch: str = "x86_64") -> Path:
    entries = ""
    (folder / "repodata").mkdir(parents=True)
    for (name, version), content in packages.items():
        digest = hashlib.sha256(content).hexdigest()
        (folder / f"{name}-{version}.rpm").write_bytes(content)
        entries += ENTRY.format(name=name, version=version, arch=arch, sha256=digest, size=len(content))
    primary = gzip.compress(PRIMARY.format(entries).encode(), mtime=0)
    (folder / "repodata/p.xml.gz").write_bytes(primary)
    (folder / "repodata/repomd.xml").write_text(
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">'
        f'<checksum type="sha256">{hashlib.sha256(primary).hexdigest()}</checksum>'
        '<location href="repodata/p.xml.gz"/></data></repomd>'
    )
    return folder


def read(folder: Path) -> list[Package]:
    with Fetcher(places=places(folder)) as fetcher:
        return repository.read_repository(fetcher, Repository(name="r", baseurl=f"file://{folder}/"))


def test_the_newest_package_is_chosen(tmp_path: Path) -> None:
    known = read(make_repository(tmp_path / "r", {("a", "1.9"): b"1", ("a", "1.10"): b"2", ("b", "1"): b"3"}))
    assert [package.nevr for package in repository.choose(["a", "b"], known)] == ["a-1.10-1", "b-1-1"]
    assert [package.nevr for package in repository.choose(["a=1.9", "a=1.9-1"], known)] == ["a-1.9-1"] * 2
    assert repository.providers("libb.so.1()(64bit) is needed by a-1.9", known) == ["b"]
    with pytest.raises(PackageError) as caught:
        repository.choose(["aa", "b=2"], known)
    assert (
        caught.value.detail
        == "no repository has 'aa', did you mean 'a'\nthere is no 'b' of version 2 (there are: b-1-1)"
    )


def test_packages_of_another_architecture_do_not_count(tmp_path: Path) -> None:
    assert read(make_repository(tmp_path / "r", {("a", "1"): b"1"}, arch="aarch64")) == []


def test_metadata_that_is_not_what_it_says(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "r", {("a", "1"): b"1"})
    (folder / "repodata/p.xml.gz").write_bytes(b"x")
    with pytest.raises(FetchError, match="its sha256 is not the one in"):
        read(folder)
    (folder / "repodata/repomd.xml").write_text("<a")
    with pytest.raises(FetchError, match="not valid XML"):
        read(folder)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9", "1.10"), ("1.0~rc1", "1.0"), ("1.0", "1.0^git1"), ("1.0^git1", "1.0.1"), ("1.0a", "1.0.1"), ("1", "1.0"),
     ("1.0~rc1", "1.0~rc2"), ("a", "b"), ("1.05", "1.6")],
)  # fmt: skip
def test_order_of_versions(older: str, newer: str) -> None:
    assert repository.compare_versions(older, newer) == -1
    assert repository.compare_versions(newer, older) == 1
    assert repository.compare_versions(older, older) == 0


def test_what_a_package_requires_comes_along() -> None:
    def package(name: str, version: str = "1", **names: set[str]) -> Package:
        more = {key: frozenset(value) for key, value in names.items()}
        return Package(
            name=name, epoch="0", version=version, release="1", url=name, sha256="", size=1,
            provides=more.get("provides", frozenset()), requires=more.get("requires", frozenset()),
        )  # fmt: skip

    tool = package("tool", requires={"library", "/bin/sh", "rpmlib(X)", "(a if b)", "nowhere"}, provides={"/usr/bin/t"})
    old, new = (package("lib", version, provides={"library"}, requires={"deep"}) for version in "12")
    deep = package("deep", provides={"deep", "tool"}, requires={"tool"})
    asked: list[str] = []

    def unmet(names: Sequence[str]) -> set[str]:
        asked.extend(names)
        return set(names) - {"/bin/sh"}

    everything = [tool, old, new, deep]
    chosen = repository.choose(["/usr/bin/t"], everything)
    assert repository.required(chosen, everything, unmet) == [tool, new, deep]
    assert sorted(asked) == ["/bin/sh", "deep", "library", "nowhere"], "each is asked once"
    assert repository.required([deep, tool], everything, lambda names: set()) == [deep, tool]


def test_programs_for_file_systems_come_by_themselves(fake: Machine) -> None:
    lvm = {"mountpoint": "/var", "size": 400, "filesystem": "xfs", "lvm": {"vg_name": "g", "lv_name": "v"}}
    wanted = kickstart(partitions=[{"mountpoint": "/", "size": 0}, lvm])
    known = frozenset({"ext4", "xfs"})
    both = ["/usr/sbin/lvm", "/usr/sbin/fsck.xfs"]
    assert sorted(machine.missing_packages(wanted, fake.places, known)) == sorted(both)
    assert machine.missing_packages(wanted, fake.places, frozenset({"ext4"})) == both[:1]
    for path in both:
        (fake.places.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (fake.places.root / path[1:]).touch()
    assert machine.missing_packages(wanted, fake.places, known) == []


def test_certificates_to_trust(tmp_path: Path) -> None:
    fetcher = Fetcher(places=places(tmp_path))
    with pytest.raises(FetchError, match="cannot come from a server"):
        fetcher.trust(source("https://example.org/ca.pem"))
    (tmp_path / "ca.pem").write_text("not one\n")
    with pytest.raises(FetchError, match="this is no certificate in PEM form"):
        fetcher.trust(source(f"file:{tmp_path}/ca.pem"))


# The machine


def places(folder: Path) -> Places:
    return Places(
        root=folder / "root", medium=folder / "medium", target=folder / "run/target", work=folder / "run/work",
        media=folder / "run/media", grub=folder / "grub", lvm_initramfs=folder / "none",
        packages=folder / "medium/packages", log=folder / "log/installer.log",
    )  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A machine in a folder: its kernel's files, its disks as sparse files, its live system, its tools."""

    folder: Path
    kernel: machine.Kernel
    places: Places
    calls: Path

    @property
    def disk(self) -> Path:
        return self.folder / "dev/sda"

    def called(self) -> list[str]:
        lines = self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []
        return [line.replace(str(self.folder), "") for line in lines if line]

    def install(self, data: dict[str, Any] | str, *words: str) -> int:
        path = self.folder / "medium/ks.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        return __main__.main(["--kickstart", "cdrom:/ks.json", *words], places=self.places, kernel=self.kernel)


TOOL = """#!/bin/sh
name=${0##*/}
echo "$name $*" >>"$FAKE_CALLS"
case "$name $*" in $FAKE_FAILURE) echo "$name: it broke" >&2; exit 3 ;; esac
case $name in
sfdisk) cat >"$FAKE_ROOT/table"; : >"$FAKE_ROOT/dev/sda1" ;;
cp) exec /bin/cp "$@" ;;
rpm) case "$*" in
  *--query*) echo "filesystem 1.0 1.0-1" ;;
  *--test*) [ -z "$FAKE_RPM" ] || { echo "$FAKE_RPM"; exit 1; } ;;
  esac ;;
grub-mkimage) while [ "$1" != -o ]; do shift; done; head -c 2000 /dev/zero >"$2" ;;
chroot) root=$1; shift; while [ "${1%%/*}" ]; do shift; done; exec /bin/sh -c "cd $root && . .$1" ;;
esac
"""
TOOLS = (
    "wipefs", "sfdisk", "udevadm", "mkfs.ext4", "mkfs.vfat", "mount", "umount", "cp", "sync", "grub-mkimage", "chroot",
    "systemctl", "rpm",
)  # fmt: skip


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name, text in {
        "sys/block/sda/size": f"{4 * GIB // 512}\n",
        "sys/block/sda/ro": "0\n",
        "sys/block/sda/dev": "8:0\n",
        "sys/block/sda/sda1/dev": "8:1\n",
        "sys/block/sda/device/model": "Virtual disk\n",
        "sys/block/sr0/size": "1000\n",
        "proc/filesystems": "nodev\tproc\n\text4\n\tvfat\n",
        "proc/self/mountinfo": "1 0 0:2 / / rw - overlay live rw\n",
        "proc/swaps": "Filename Type\n",
        "proc/cmdline": "root=live:LABEL=X installer console=ttyS0 quiet\n",
        "root/usr/lib/os-release": 'ID=phos\nPRETTY_NAME="Phos 1.0"\n',
        "root/etc/shadow": "root:!*:::::::\n",
        "root/etc/fstab": "live /var tmpfs x-initrd.mount 0 0\n",
        "root/var/log/README": "",
        "grub/i386-pc/boot.img": "b" * 512,
        "root/usr/lib/systemd/system/a.service": "",
        "root/usr/lib/systemd/system/docker.service": "",
        "medium/motd": "hello\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "dev").mkdir()
    with open(tmp_path / "dev/sda", "wb") as handle:
        handle.truncate(4 * GIB)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    for name in ("sh", "cat", "head"):
        (tools / name).symlink_to(f"/bin/{name}")
    # What run() passes on of the environment is fixed, so the settings of the fakes are in the tools' own text.
    made = Machine(tmp_path, machine.Kernel(root=tmp_path), places(tmp_path), tmp_path / "calls")
    configure(made)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield made


def configure(made: Machine, *, failure: str = "-", rpm: str = "") -> None:
    """Make a call that matches the pattern `failure` fail, and rpm --test say `rpm`."""
    settings = f"FAKE_CALLS='{made.calls}'; FAKE_ROOT='{made.folder}'; FAKE_RPM='{rpm}'\n"
    for name in TOOLS:
        text = TOOL.replace("$FAKE_FAILURE", failure).replace("#!/bin/sh\n", f"#!/bin/sh\n{settings}")
        (made.folder / "tools" / name).write_text(text)


GOOD: dict[str, Any] = {"disk": "/dev/sda", "hostname": "h", "public_key": KEY}


def test_an_installation(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    data = {
        **GOOD,
        "additional_files": [{"motd": "/etc/motd"}],
        "postinstall": ["echo x >etc/made"],
        "services": {"docker.service": "disabled"},
    }
    assert fake.install(data) == 0, capfd.readouterr().out
    target = fake.places.target
    assert (target / "etc/hostname").read_text() == "h\n"
    assert (target / "etc/motd").read_text() == "hello\n"
    assert (target / "etc/made").read_text() == "x\n"
    assert (target / "etc/fstab").read_text().startswith("UUID=")
    assert (target / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (target / "root/.ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert not (target / "root/.postinstall").exists()
    assert (target / "boot/efi/EFI/BOOT/BOOTX64.EFI").stat().st_size == 2000
    log = target / "var/log/installer.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "installed onto" in log.read_text()
    with open(fake.disk, "rb") as handle:
        assert handle.read(2) == b"bb"
        handle.seek(MIB + 500)
        assert struct.unpack("<Q", handle.read(8)) == (2049,), "the core image knows where it lies"
    assert 'name="root"' in (fake.folder / "table").read_text()
    ends = [line for line in fake.called() if line.startswith("umount")]
    assert ends == [f"umount /run/target{path}" for path in ("/run", "/dev", "/sys", "/proc", "/boot/efi", "")]
    assert fake.called().index("sync ") < fake.called().index(ends[0])


@pytest.mark.parametrize(
    ("failure", "title"),
    [
        ("sfdisk*", "write the partition table"),
        ("mkfs.ext4*", "make ext4 for /"),
        ("cp*", "copy the system"),
        ("chroot*", "run postinstall"),
        ("systemctl*", "enable a.service"),
    ],
)
def test_a_failing_step(fake: Machine, capfd: pytest.CaptureFixture[str], failure: str, title: str) -> None:
    configure(fake, failure=failure)
    code = fake.install({**GOOD, "postinstall": ["true"], "services": {"a.service": "enabled"}})
    shown = capfd.readouterr().out
    assert code == StepError.exit_code == 8
    assert "it broke" in shown and title in shown and "failed with exit code 3" in shown
    assert f"the log is {fake.places.log}" in shown
    assert "it broke" in fake.places.log.read_text()
    mounted = [line.split()[-1] for line in fake.called() if line.startswith("mount")]
    unmounted = [line.split()[-1] for line in fake.called() if line.startswith("umount")]
    assert unmounted == mounted[::-1]
    copied = fake.places.target / "var/log/installer.log"
    assert copied.exists() == (failure in ("chroot*", "systemctl*"))


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({**GOOD, "hostnam": "x"}, 2, "cdrom:/ks.json:1: unknown key 'hostnam', did you mean 'hostname'"),
        ({**GOOD, "ui": True}, 2, "key 'ui' is not supported"),
        ({**GOOD, "password": {"crypted": False, "text": "x"}}, 2, "a password in plain text is refused"),
        ('{"disk": }', 2, "cdrom:/ks.json:1:10: not valid JSON: expecting value"),
        ({**GOOD, "disk": "/dev/sdx"}, 10, "there is no such disk: /dev/sdx"),
        ({**GOOD, "partitions": [{"mountpoint": "/", "size": 5000}]}, 10, "and its partitions need 5035"),
        ({**GOOD, "partitions": [{"mountpoint": "/", "size": 0, "filesystem": "xfs"}]}, 5, "has no xfs"),
        ({**GOOD, "packages": ["x"]}, 7, "x: not on this medium, and no repository is named"),
        ({**GOOD, "additional_files": [{"missing": "/a"}]}, 4, "cdrom:/missing: no such file"),
        ({**GOOD, "additional_files": [{"http://h/a": "/a"}]}, 4, "http is refused"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(
    fake: Machine, capfd: pytest.CaptureFixture[str], data: dict[str, Any] | str, code: int, message: str
) -> None:
    assert fake.install(data) == code
    assert message in capfd.readouterr().out
    assert [line for line in fake.called() if not line.startswith(("rpm --query", "umount", "mount -o ro"))] == []
    assert fake.disk.stat().st_blocks == 0


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("proc/self/mountinfo", "9 1 8:0 / {medium} ro - iso9660 /dev/sda ro\n", "this system runs from it"),
        ("proc/self/mountinfo", "9 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n", "/dev/sda1 is mounted at /mnt"),
        ("proc/swaps", "Filename Type\n/dev/sda1 partition\n", "/dev/sda1 is in use as swap"),
        ("sys/block/sda/ro", "1\n", "it is read-only"),
    ],
)
def test_a_disk_in_use(fake: Machine, capfd: pytest.CaptureFixture[str], file: str, text: str, message: str) -> None:
    (fake.folder / file).write_text(text.format(medium=fake.places.medium))
    assert fake.install(GOOD) == DiskError.exit_code
    assert message in capfd.readouterr().out
    assert fake.called() == []


def test_a_mounted_volume_on_the_disk_is_use_too(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "sys/block/sda/sda1/holders/dm-0").mkdir(parents=True)
    (fake.folder / "sys/block/dm-0").mkdir()
    (fake.folder / "sys/block/dm-0/dev").write_text("253:0\n")
    (fake.folder / "proc/self/mountinfo").write_text("9 1 253:0 / /srv rw - ext4 /dev/dm-0 rw\n")
    assert fake.install(GOOD) == 10
    assert "/dev/dm-0 is mounted at /srv" in capfd.readouterr().out


def test_a_program_that_is_missing(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "tools/mkfs.vfat").unlink()
    assert fake.install(GOOD) == MachineError.exit_code
    assert "this system lacks mkfs.vfat" in capfd.readouterr().out
    assert fake.called() == []


def test_packages_from_a_repository(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    make_repository(fake.folder / "medium/repo", {("a", "1"): b"one", ("b", "1"): b"two"})
    data = {**GOOD, "packages": ["a", "filesystem"], "repos": {"own": {"baseurl": "cdrom:/repo"}}}
    assert fake.install(data) == 0, capfd.readouterr().out
    tests, installs = [line for line in fake.called() if "--install" in line]
    assert tests == "rpm --root / --install --test --ignoresize /medium/repo/a-1.rpm"
    assert installs == "rpm --root /run/target --install /medium/repo/a-1.rpm"
    configure(fake, rpm="error: Failed dependencies: \nlibb.so.1()(64bit) is needed by a-1-1.x86_64")
    fake.calls.unlink()
    assert fake.install(data) == PackageError.exit_code
    shown = capfd.readouterr().out
    assert "libb.so.1()(64bit) is needed by a-1-1.x86_64" in shown
    assert "hint: name these under 'packages' too: b" in shown
    assert not any(line.startswith("sfdisk") for line in fake.called())


def test_a_package_with_another_digest(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_repository(fake.folder / "medium/repo", {("a", "1"): b"one"})
    (folder / "a-1.rpm").write_bytes(b"evil")
    data = {**GOOD, "packages": ["a"], "repos": {"own": {"baseurl": "cdrom:/repo"}}}
    assert fake.install(data) == FetchError.exit_code
    assert "and the repository says" in capfd.readouterr().out
    assert not any(line.startswith("sfdisk") for line in fake.called())


def test_dry_run(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    assert fake.install({**GOOD, "shadow_password": HASH}, "--dry-run") == 0
    shown = capfd.readouterr().out
    assert "sfdisk --quiet" in shown and "mkfs.ext4" in shown and "/etc/fstab" in shown
    assert HASH not in shown and HASH not in fake.places.log.read_text()
    assert fake.called() == []


def test_only_root_installs(fake: Machine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert fake.install(GOOD) == 5
    assert "only root can" in capfd.readouterr().out


def test_a_link_that_leads_out_of_the_target(tmp_path: Path) -> None:
    made = places(tmp_path)
    made.target.mkdir(parents=True)
    (made.target / "etc").symlink_to("/etc")
    with pytest.raises(StepError, match="leads out of the target"):
        execute.inside(made, "/etc/hostname")


def test_a_file_is_replaced_and_no_link_followed(tmp_path: Path) -> None:
    made, outside = places(tmp_path), tmp_path / "outside"
    (made.target / "etc").mkdir(parents=True)
    outside.write_text("old")
    (made.target / "etc/a").symlink_to(outside)
    log = execute.Log(made.log, lambda text: None)
    execute.perform(Write(title="", path="/etc/a", text="new"), replace(facts(), places=made), log)
    assert (outside.read_text(), (made.target / "etc/a").read_text()) == ("old", "new")


def test_a_core_image_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(bytes(10))
    step = BootCode(title="", disk="/none", boot=tmp_path / "b", core=tmp_path / "core", start=MIB, size=9)
    with pytest.raises(StepError, match="has 10 bytes, and its partition 9"):
        execute.perform(step, facts(), execute.Log(tmp_path / "log", lambda text: None))


def test_patch(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(8))
    step = Patch(title="", device=str(tmp_path / "disk"), offset=2, content=b"ab")
    execute.perform(step, facts(), execute.Log(tmp_path / "log", lambda text: None))
    assert (tmp_path / "disk").read_bytes() == b"\0\0ab\0\0\0\0"


# Questions


def terminal(text: str) -> tuple[Terminals, int]:
    """Terminals that are answered by `text`; what they show comes out of the other end."""
    ask, answer = os.pipe()
    out, show = os.pipe()
    os.write(answer, text.encode())
    os.close(answer)
    return Terminals([(ask, show)]), out


def test_answers_make_a_kickstart() -> None:
    terminals, out = terminal(f"3\n2\n1\nbad_name\nh1\n{KEY}\na\nb\nsecret\nsecret\n")
    disks = [Disk(path="/dev/sda", size=8 * GIB, model="M"), Disk(path="/dev/sdb", size=GIB, in_use="it is mounted")]
    found = answers.ask_all(terminals, disks)
    assert (found.disk, found.hostname, found.public_key) == ("/dev/sda", "h1", KEY)
    assert found.password and found.password == crypted("secret", found.password.split("$")[2])
    shown = os.read(out, 65536).decode()
    for text in (
        "there is no disk '3'",
        "/dev/sdb: it is mounted",
        "a host name",
        "two different passwords",
        "8.0 GiB",
    ):
        assert text in shown


def test_no_disk_no_answer_no_confirmation() -> None:
    with pytest.raises(DiskError, match="there is no disk to install onto"):
        answers.ask_all(terminal("")[0], [Disk(path="/dev/sda", size=1, in_use="x")])
    with pytest.raises(Declined, match="nobody answers"):
        answers.ask_all(terminal("")[0], [Disk(path="/dev/sda", size=1)])
    with pytest.raises(Declined, match="not confirmed"):
        answers.confirm(terminal("y\n")[0], make_plan(kickstart(), facts()))
    answers.confirm(terminal("yes\n")[0], make_plan(kickstart(), facts()))


def test_an_installation_that_asks(fake: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for last, code in (("yes", 0), ("no", 130)):
        asked, _ = terminal(f"1\n\n{KEY}\n\n{last}\n")
        monkeypatch.setattr(Terminals, "standard", lambda asked=asked: asked)
        if fake.calls.exists():
            fake.calls.unlink()
        # The real path of the disk is in the tree of this test; the schema wants one below /dev.
        monkeypatch.setattr(machine.Kernel, "device", lambda self, name: f"/dev/{name}")
        monkeypatch.setattr(machine, "find_disk", lambda name, kernel, where: Disk(path=str(fake.disk), size=4 * GIB))
        assert __main__.main([], places=fake.places, kernel=fake.kernel) == code
        assert any(line.startswith("sfdisk") for line in fake.called()) == (code == 0)


def test_a_secret_is_not_echoed() -> None:
    master, slave = os.openpty()
    shown = b""

    def type_after_the_prompt() -> None:
        nonlocal shown
        while b"secret: " not in shown:
            shown += os.read(master, 100)
        os.write(master, b"pass word\n")

    typist = threading.Thread(target=type_after_the_prompt)
    typist.start()
    assert Terminals([(slave, slave)]).ask("secret: ", secret=True) == "pass word"
    typist.join()
    assert b"pass" not in shown + os.read(master, 100)
    os.close(slave)
    os.close(master)


def test_the_log_must_be_writable(fake: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    fake.places.log.mkdir(parents=True)
    assert fake.install(GOOD) == 5
    assert "the log cannot be written" in capfd.readouterr().out


def test_consoles() -> None:
    assert console_names("tty0 ttyS0\n") == ["/dev/tty1", "/dev/ttyS0"]


def test_kernel_command_line() -> None:
    options = __main__.boot_options("quiet ks=cdrom:/a ks=LABEL=b:/c insecure_installation=1 installer.poweroff")
    assert options == __main__.BootOptions(kickstart="LABEL=b:/c", insecure=True, poweroff=True)
    assert __main__.boot_options("installer") == __main__.BootOptions()


def test_the_medium_is_a_cd_or_not(fake: Machine) -> None:
    info = fake.folder / "proc/self/mountinfo"
    info.write_text(f"9 1 11:0 / {fake.places.medium} ro - iso9660 /dev/sr0 ro\n")
    assert finish.cdrom(fake.kernel, fake.places) == "/dev/sr0"
    info.write_text(f"9 1 8:16 / {fake.places.medium} ro - iso9660 /dev/sdb ro\n")
    assert finish.cdrom(fake.kernel, fake.places) == ""


def test_a_mistake_of_ours_is_no_traceback(tmp_path: Path) -> None:
    log = execute.Log(tmp_path / "log", lambda text: None)
    error = __main__.reportable(ZeroDivisionError("x"), log)
    assert type(error) is PhotonbuildError and "ZeroDivisionError" in error.message
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


# What is shipped


def test_what_is_shipped_runs_with_the_standard_library_and_pyyaml(tmp_path: Path) -> None:
    for name in SHIPPED:
        (tmp_path / "photonbuild").mkdir(exist_ok=True)
        (tmp_path / "photonbuild" / name).symlink_to(PACKAGE / name)
    shipped = [path for name in SHIPPED for path in (PACKAGE / name, *(PACKAGE / name).glob("*.py")) if path.is_file()]
    there = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in shipped}
    there |= {name.removesuffix(".__init__") for name in there}
    for path in shipped:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                known = name in there or name.split(".")[0] in {*sys.stdlib_module_names, "yaml"}
                assert known, f"{path.name} imports {name}"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "photonbuild.installer", "--help"],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--dry-run" in done.stdout


def test_the_live_root_has_no_file_of_its_own_but_its_fstab() -> None:
    """Which the installer replaces: an installed system would keep any other."""
    assert {file.path for file in iso.ROOT_FILES} == {"/etc/fstab"}


def test_the_unit_starts_what_is_there() -> None:
    unit = (PACKAGE.parent / "build/installer/installer.service").read_text()
    assert "-m photonbuild.installer --boot" in unit
    assert "ConditionKernelCommandLine=installer" in unit
    assert isinstance(__main__.parser().parse_args(["--boot"]).boot, bool)
    assert Source(scheme="https", text="https://h").remote

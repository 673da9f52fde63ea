"""Installations of every kind, each onto a blank disk that is booted afterwards, and those that must fail."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from photonbuild.machines.drive import Drive
from photonbuild.machines.qemu import Machine
from tests.support.https import Server
from tests.support.installs import (
    InstallLab,
    docker_runs,
    ended,
    finished,
    repository,
    suite,
    untouched,
)
from tests.support.terminal import Terminal

pytestmark = pytest.mark.matrix
MIB, GIB = 1 << 20, 1 << 30
PASSWORD = "correct horse"


def lines(machine: Machine, command: str) -> list[str]:
    return machine.ssh(command).stdout.splitlines()


def test_uefi_with_a_kickstart_named_in_the_menu(installs: InstallLab) -> None:
    """`e` in the menu, ks=LABEL=, switched off at the end; the disk then starts with either firmware."""
    disk = installs.blank("uefi")
    disc = installs.disc("ANSWERS", {"hosts/one.json": installs.kickstart("nvme", hostname="one")})
    words = "ks=LABEL=ANSWERS:/hosts/one.json installer.poweroff"
    with installs.medium(disk, bus="nvme", discs=[disc], menu=True, words=words, firmware="uefi", restarts=True) as (
        machine,
        terminal,
    ):
        finished(terminal)
        ended(machine)
    with installs.installed(disk, bus="nvme", firmware="uefi") as machine:
        assert suite(machine, installs)
        assert lines(machine, "hostname") == ["one"]
    with installs.installed(disk, bus="nvme", firmware="bios") as machine:
        assert lines(machine, "test -e /sys/firmware/efi || echo bios") == ["bios"]


def test_logical_volumes_twice_onto_the_same_disk(installs: InstallLab) -> None:
    """The sample with /var and swap in a group; then the root too, over the old group of the same name."""
    disk = installs.blank("lvm")
    installs.install(disk, installs.sample("lvm.yaml"), bus="sata")
    with installs.installed(disk, bus="sata") as machine:
        assert lines(machine, "findmnt -no SOURCE,FSTYPE,OPTIONS /var")[0].startswith(
            "/dev/mapper/data-var ext4 rw,nosuid"
        )
        assert lines(machine, "findmnt -no SOURCE /") == ["/dev/sda3"]
        assert len(lines(machine, "swapon --show --noheadings")) == 1
        assert lines(machine, "rpm -V lvm2 device-mapper") == []
        docker_runs(machine, installs)
    root = [
        {"mountpoint": "/", "size": 3000, "lvm": {"vg_name": "data", "lv_name": "root"}},
        {"mountpoint": "/var", "size": 0, "filesystem": "xfs", "lvm": {"vg_name": "data", "lv_name": "var"}},
        {"filesystem": "swap", "size": 256, "lvm": {"vg_name": "data", "lv_name": "swap-1"}},
    ]
    # Not pvscsi: Debian's firmware for virtual machines reads no such disk.
    installs.install(disk, installs.kickstart(partitions=root))
    with installs.installed(disk, firmware="uefi") as machine:
        source, kind = lines(machine, "findmnt -no SOURCE,FSTYPE /")[0].split()
        assert kind == "ext4" and lines(machine, f"readlink -f /dev/mapper/data-root {source}") == [source, source]
        assert lines(machine, "findmnt -no SOURCE,FSTYPE /var") == ["/dev/mapper/data-var xfs"]
        assert len(lines(machine, "swapon --show --noheadings")) == 1
        assert "rd.lvm.lv=data/root" in machine.ssh("cat /proc/cmdline").stdout
        # udev knows the root as it does the volumes that it has activated itself.
        known = machine.ssh("udevadm info --query=symlink /dev/mapper/data-root").stdout
        assert {"mapper/data-root", "data/root"} <= set(known.split()) and "disk/by-uuid/" in known
        docker_runs(machine, installs)


def test_xfs(installs: InstallLab) -> None:
    """A root and a /boot of XFS, started by BIOS; the disk held other things before."""
    disk = installs.blank("xfs")
    with open(disk, "r+b") as handle:
        handle.seek(1080)
        handle.write(b"\x53\xef")
        handle.seek(8 * GIB - 64 * 1024)
        handle.write(b"\xfc\x4e\x2b\xa9" * 16)
    partitions = [
        {"mountpoint": "/", "size": 0, "filesystem": "xfs"},
        {"mountpoint": "/boot", "size": 400, "filesystem": "xfs"},
    ]
    installs.install(disk, installs.kickstart(partitions=partitions, bootmode="bios"))
    with installs.installed(disk) as machine:
        assert [
            line.split()[1]
            for line in lines(machine, "findmnt -rno SOURCE,FSTYPE / ; findmnt -rno SOURCE,FSTYPE /boot")
        ] == ["xfs", "xfs"]
        assert lines(machine, "xfs_info /boot | grep -c nrext64=0") == ["1"]
        docker_runs(machine, installs)


def test_everything_over_https(installs: InstallLab) -> None:
    """The sample with packages, from a server whose authority is on a CD; the package is not on the medium."""
    disk = installs.blank("https")
    with installs.https_server(repository(installs, "file")) as server:
        text = installs.sample("packages.json", baseurl=f"{server.url}/repo", disk="/dev/vda")
        data = json.loads(text) | {
            "postinstall": ["#!/bin/bash -e", "file -b /usr/bin/bash >/root/made", "getent hosts localhost"],
            "eject_cdrom": False,
        }
        server.files |= {"/one/packages.json": json.dumps(data).encode(), "/one/motd": b"hello\n"}
        disc = installs.disc("CERTIFICATES", {"ca.pem": server.authority})
        words = f"ks={server.url}/one/packages.json installer.ca=cdrom:/ca.pem"
        with installs.medium(disk, discs=[disc], words=words, firmware="uefi") as (machine, terminal):
            finished(terminal)
            ended(machine)
        assert any(path.endswith(".rpm") for path in server.asked)
    with installs.installed(disk, firmware="uefi") as machine:
        assert lines(machine, "hostname; cat /etc/motd") == ["packages", "hello"]
        assert lines(machine, "rpm -q file | cut -d- -f1; rpm -V file; cat /root/made")[0] == "file"
        assert "ELF 64-bit" in machine.ssh("cat /root/made").stdout
        assert lines(machine, "systemctl is-enabled docker.service || true") == ["disabled"]
        assert lines(machine, "test -e /root/.postinstall || echo gone") == ["gone"]
        machine.ssh("systemctl start docker")
        docker_runs(machine, installs)


def test_fixed_addresses(installs: InstallLab) -> None:
    """The sample with one card and a VLAN; the network is the sample's."""
    disk = installs.blank("static")
    network = ["net=192.0.2.0/24", "host=192.0.2.1", "dns=192.0.2.53", "dhcpstart=192.0.2.10"]
    installs.install(disk, installs.sample("static-network.yaml"), bus="pvscsi", network=network)
    with installs.installed(disk, bus="pvscsi", network=network) as machine:
        shown = json.loads(machine.ssh("ip -j address").stdout)
        cards = {card["ifname"]: {entry["local"]: entry for entry in card["addr_info"]} for card in shown}
        lan = next(addresses for name, addresses in cards.items() if name.startswith("en"))
        assert {"192.0.2.10", "2001:db8::10"} <= set(lan) and not lan["192.0.2.10"].get("dynamic")
        assert "198.51.100.10" in cards["storage"]
        assert lines(machine, "cat /etc/motd") == ["installed by a kickstart"]
        assert "default via 192.0.2.1" in machine.ssh("ip route").stdout
        assert "192.0.2.53" in machine.ssh("resolvectl dns").stdout
        docker_runs(machine, installs)


def test_someone_answers_the_questions(installs: InstallLab) -> None:
    """On the serial console: declined, nothing is written; asked again in the shell, and agreed; then a log-in."""
    disk = installs.blank("asked")
    with installs.medium(disk, menu=True) as (machine, terminal):
        answer(terminal, installs, "no")
        terminal.wait_for("not confirmed, nothing was written", timeout=60)
        assert untouched(disk)
        terminal.wait_for("Enter starts a shell", timeout=30)
        terminal.type("\r")
        terminal.wait_for(r"[#$] ", timeout=60)
        terminal.type("PYTHONPATH=/usr/lib/installer python3 -m photonbuild.installer\r")
        answer(terminal, installs, "yes")
        terminal.wait_for("installed onto /dev/vda", timeout=300)
        terminal.type("poweroff\r")
        ended(machine)
    assert PASSWORD not in terminal.text
    with installs.installed(disk) as machine, Terminal(machine) as terminal:
        assert PASSWORD not in machine.ssh("cat /var/log/installer.log").stdout
        assert lines(machine, "hostname") == ["asked"]
        terminal.type("\r")
        terminal.wait_for("asked login: ", timeout=60)
        terminal.type("root\r")
        terminal.wait_for("Password: ", timeout=60)
        terminal.type(f"{PASSWORD}\r")
        terminal.wait_for(r"root@asked|# ", timeout=60)


def answer(terminal: Terminal, lab: InstallLab, last: str) -> None:
    """All questions in turn; `last` is the answer to the confirmation."""
    for question, text in (
        ("number of the disk", "1"),
        ("host name", "asked"),
        ("public ssh key", lab.public_key),
        ("password of root", PASSWORD),
        ("the same again", PASSWORD),
        ("write yes to go on", last),
    ):
        terminal.wait_for(question, timeout=120)
        terminal.type(f"{text}\r")


def refused(machine: Machine, source: str, *words: str) -> tuple[int, str]:
    """Exit code and output of the installer, started by hand."""
    argv = f"PYTHONPATH=/usr/lib/installer python3 -m photonbuild.installer -k {source} {' '.join(words)} 2>&1"
    done = machine.ssh(f"{argv}; echo exit $?", timeout=200)
    text, _, code = done.stdout.rpartition("exit ")
    return int(code), text


def test_failures_write_nothing(installs: InstallLab) -> None:
    """Each says what is wrong and where, in its own exit code; the blank disk stays blank."""
    disk, small, used = installs.blank("refused"), installs.blank("small", 200 * MIB), installs.blank("used", GIB)
    files = repository(installs, "file")
    bad = {path: data[:-1] + b"x" if path.endswith(".rpm") else data for path, data in files.items()}
    with installs.https_server(files) as server:
        disc = installs.disc("ANSWERS", kickstarts(installs, server, bad))
        drives = [Drive(file=path, format="raw", bus="virtio", writable=True) for path in (small, used)]
        with installs.medium(disk, discs=[disc], drives=drives, words="ks=cdrom:/broken.json") as (machine, terminal):
            terminal.wait_for(r"error: cdrom:/broken.json:2:\d+: not valid JSON", timeout=200)
            terminal.wait_for("Enter starts a shell", timeout=30)
            # The log can be read on the console, and over ssh.
            terminal.type("\r")
            terminal.wait_for(r"[#$] ", timeout=60)
            terminal.type("tail -n 3 /var/log/installer.log\r")
            terminal.wait_for("not valid JSON", timeout=30)
            machine.wait_for_ssh(machine.elapsed() + 60)
            machine.ssh("mkfs.ext4 -q /dev/vdc && mount /dev/vdc /mnt")
            for name, code, message in REFUSALS:
                found, text = refused(machine, name if ":" in name else f"cdrom:/{name}")
                assert (found, message in text) == (code, True), f"{name}: exit code {found}\n{text}"
                assert "/var/log/installer.log" in text
            found, text = refused(machine, f"{server.url}/repo/none")
            assert found == 4 and "CERTIFICATE_VERIFY_FAILED" in text and "installer.ca=" in text
            found, text = refused(machine, f"{server.url}/repo/none", "--ca", "cdrom:/ca.pem")
            assert found == 4 and "404" in text
            found, text = refused(machine, "cdrom:/absent-card.json", "--dry-run")
            assert found == 0 and "no card of this machine is the 'lan' of the kickstart" in text
            machine.ssh("umount /mnt")
            machine.shut_down()
    assert untouched(disk) and untouched(small)


# What is wrong with each, the exit code, a part of the message.
REFUSALS = (
    ("small.json", 10, "the disk /dev/vdb has 200 MiB"),
    ("medium.json", 10, "this is no disk"),
    ("used.json", 10, "/dev/vdc is mounted at /mnt"),
    ("nowhere.json", 10, "there is no such disk: /dev/disk/by-id/nowhere"),
    ("package.json", 7, "no repository has 'filee', did you mean 'file'"),
    ("damaged.json", 4, "has not the digest that the metadata say"),
    ("script.json", 2, "unknown key 'postinstal', did you mean 'postinstall'"),
    ("unit.json", 2, "the system has no unit 'dockr.service', did you mean 'docker.service'"),
    ("group.json", 10, "and the system needs"),
    ("http://10.0.2.2:9/ks.json", 4, "http is refused"),
    ("https://10.0.2.2:9/ks.json", 4, "not to be reached"),
    ("LABEL=NONE:/ks.json", 4, "cannot be mounted"),
)


def kickstarts(lab: InstallLab, server: Server, bad: dict[str, bytes]) -> dict[str, str | Path]:
    """Files of a disc: each is wrong in one way."""
    folder = lab.folder / "damaged"
    for path, data in bad.items():
        target = folder / path.removeprefix("/repo/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def repo(url: str) -> dict[str, dict[str, str]]:
        return {"own": {"baseurl": url}}

    link = {"version": "2", "ethernets": {"lan": {"match": {"macaddress": "52:54:00:00:00:99"}, "dhcp4": True}}}
    volume = {"mountpoint": "/", "size": 64, "lvm": {"vg_name": "g", "lv_name": "root"}}
    return {
        "broken.json": '{"disk": "/dev/vda",\n "hostname" "x"}\n',
        "small.json": lab.kickstart(disk="/dev/vdb"),
        "medium.json": lab.kickstart(disk="/dev/sr0"),
        "used.json": lab.kickstart(disk="/dev/vdc"),
        "nowhere.json": lab.kickstart(disk="/dev/disk/by-id/nowhere"),
        "package.json": lab.kickstart(packages=["filee"], repos=repo("cdrom:/damaged")),
        "damaged.json": lab.kickstart(packages=["file"], repos=repo("cdrom:/damaged")),
        "script.json": lab.kickstart(postinstal=["true"]),
        "unit.json": lab.kickstart(services={"dockr": "enabled"}),
        "group.json": lab.kickstart(partitions=[volume]),
        "absent-card.json": lab.kickstart(network=link),
        "ca.pem": server.authority,
        "damaged": folder,
    }


def published(lab: InstallLab) -> dict[str, str | Path]:
    """A kickstart to the published document with as many of its keys as one machine can have, and its files."""
    text = """\
        live: true
        ui: true
        linux_flavor: linux-esx
        photon_docker_image: other:5.0
        partition_type: msdos
        bootmode: dualboot
        disks:
          default: {device: $ROOT_DISK}
          data: {device: !param data=/dev/vdb}
        partitions:
          - {mountpoint: /, size: 0, filesystem: ext4, ab: true}
          - {mountpoint: /boot, size: 128}
          - {mountpoint: /root, sizepercent: 5}
          - {sizepercent: 5, filesystem: swap}
          - {mountpoint: /srv/data, disk_id: data, all_disk: Yes, lvm: {vg_name: big, lv_name: data}}
        hostname: !param name
        password: {crypted: false, text: $SECRET, age: 30}
        public_key: {key: "PUBLIC KEY", reason: the tests}
        environment: {SITE: /dev/vda}
        search_path: [/mnt/media/files, /mnt/media]
        preinstall: ["#!/bin/sh", "export ROOT_DISK=$SITE"]
        preinstallscripts: [secret.sh]
        prepkgsinstall: [mkdir -p "$POI_ROOT/etc/made", "date >$POI_ROOT/etc/made/before"]
        packagelist_file: packages.json
        additional_packages: [linux]
        additional_files: [{motd: /etc/motd}]
        postinstall: [rpm -q file >/etc/made/packages]
        postinstallscripts: [after.sh]
        user_grub_cfg_file: user.cfg
        security: {selinux: disabled, fips: false}
        services: {docker: enabled}
        repos:
          own: {baseurl: "cdrom:/repo", gpgcheck: 0, enabled: 1}
        network:
          version: "2"
          nameservers: {addresses: [10.0.2.3], search: [example.org]}
          ethernets:
            id0: {match: {name: eth0}, dhcp4: "yes"}
        eject_cdrom: No
    """
    return {
        "kickstart.yaml": textwrap.dedent(text).replace("PUBLIC KEY", lab.public_key),
        "packages.json": json.dumps({"packages": ["file", "linux-rt"]}),
        "files/secret.sh": f"#!/bin/sh\nexport SECRET='{PASSWORD}'\necho set to $SECRET\n",
        "files/motd": "from the search path\n",
        "files/after.sh": "#!/bin/bash -e\ntest -s /etc/made/before\necho after >/etc/made/after\n",
        "files/user.cfg": "level=5\nuser_cmdline=loglevel=$level\n",
    }


def test_a_kickstart_to_the_published_document(installs: InstallLab) -> None:
    """Two disks, values from scripts and from the kernel's command line, lists, scripts, a shadow of the root."""
    disk, data = installs.blank("published"), installs.blank("published-data", GIB)
    files = repository(installs, "file")
    folder = installs.folder / "published-repo"
    for path, content in files.items():
        target = folder / path.removeprefix("/repo/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    disc = installs.disc("ANSWERS", {**published(installs), "repo": folder})
    drives = [Drive(file=data, format="raw", bus="virtio", writable=True)]
    words = "ks=cdrom:/kickstart.yaml ks.param=name=published installer.poweroff"
    with installs.medium(disk, discs=[disc], drives=drives, words=words) as (machine, terminal):
        finished(terminal)
        ended(machine)
        assert PASSWORD not in terminal.text
        assert "eth0 of the kickstart is " in terminal.text
    with installs.installed(disk, drives=drives) as machine:
        assert lines(machine, "hostname; cat /etc/motd /etc/made/after") == [
            "published", "from the search path", "after",
        ]  # fmt: skip
        assert lines(machine, "cat /etc/made/packages")[0].startswith("file-")
        assert lines(machine, "findmnt -no SOURCE,FSTYPE /srv/data") == ["/dev/mapper/big-data ext4"]
        assert lines(machine, "wipefs -i -O TYPE /dev/vdb") == ["LVM2_member"]
        assert len(lines(machine, "ls /dev/disk/by-partlabel/root /dev/disk/by-partlabel/root-b")) == 2
        assert lines(machine, "lsblk -no MOUNTPOINT /dev/disk/by-partlabel/root-b") == [""]
        assert lines(machine, "findmnt -no FSTYPE /root; swapon --show=TYPE --noheadings") == ["ext4", "partition"]
        assert "loglevel=5" in machine.ssh("cat /proc/cmdline").stdout
        assert "10.0.2.3" in machine.ssh("resolvectl dns").stdout
        assert machine.ssh("getent shadow root").stdout.split(":")[4] == "30"
        log = machine.ssh("cat /var/log/installer.log").stdout
        assert PASSWORD not in log and "set to ***" in log
        assert "key 'linux_flavor': there is one kernel" in log
        assert lines(machine, "ls -A /root") == [".ssh", "lost+found"]
        docker_runs(machine, installs)

"""Kickstarts written to the published document, one for each of its features: each is accepted, with its plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.installer.errors import MachineError
from photonbuild.installer.explain import explain
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.kickstart.parse import load, parse
from photonbuild.installer.kickstart.samples import SAMPLES, STARTS, STOPS
from photonbuild.installer.machine.facts import Disk, Facts, LocalFile
from photonbuild.installer.machine.kernel import Card
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import describe
from tests.matrix.test_install_published import CASES
from tests.support.installer import GIB, facts

FOLDER = Path(__file__).parents[3] / "data/kickstarts"
PARAMETERS = {
    "parameters.yaml": {"name": "given", "root_size": "1000"},
    "encrypted.yaml": {"passphrase": "plain and $simple"},
}
# What is in the plan, each on a machine that has the disks and files of the kickstart.
PLANS = {
    "parameters.yaml": ["| given", "/dev/sda:", 'size=2048000, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709'],
    "several-disks.yaml": [
        "/dev/sda and /dev/sdb:", "mkfs.xfs", "write the partition table of /dev/sdb", "mount /srv", "on /dev/sdb1",
        "note: several-disks.yaml:4: no partition is on the disk 'spare': nothing is written to it",
    ],
    "btrfs.yaml": [
        "mkfs.btrfs --quiet --force --uuid", "--label main /dev/sda3", "btrfs subvolume create /run/installer/work/",
        "mount /opt/deep", "rw,subvol=/data,compress=zstd,nodev 0 0", "a subvolume has no label",
    ],
    "btrfs-root.yaml": [
        "--label main /dev/sda4", "mount /srv\n", "copy the kernel to /boot", "copy the initramfs",
        "/ btrfs rw 0 0",
    ],
    "older-disks.json": ["/dev/sda and /dev/sdb:", "make ext4 for /srv on /dev/sdb1"],
    "whole-disk.cfg": [
        "blockdev --rereadpt /dev/sdb", "make ext4 for /plain on /dev/sdb\n", "pvcreate --force --yes /dev/sdc\n",
        "lvcreate --yes --wipesignatures=y --name=one --extents=100%FREE big",
    ],
    "shadow-partition.yaml": [
        'name="root-b"', "make ext4 for / on /dev/sda3", "make ext4 for / on /dev/sda4",
        "note: the second partition of / stays empty", "the partition table is always GPT",
    ],
    "lvm.yaml": ["rd.lvm.lv=vg_root/lv_root", " rw,nodev,nosuid ", "mkfs.vfat -i", "-n EFI", "for 'mkfs_options'"],
    "encrypted.yaml": [
        "encrypt /dev/sda4 for /\n", "encrypt /dev/sda5 for swap", "encrypt /dev/sda6 for /data", "rd.luks.uuid=",
        "(not shown)", "luks,x-initrd.attach", "/etc/cryptsetup-keys.d mode 0700", "copy the kernel to /boot",
        "note: encrypted.yaml:4: partition 2: its passphrase is given in plain text",
    ],
    "passwords.yaml": ["set root's password", "let the key in", "the password stands here in plain text"],
    "placeholder-key.yaml": ["'<your key here>' is no key, and lets nobody in", "| phos-012345"],
    "scripts.yaml": [
        "| north-1", "POI_ROOT=/run/installer/target /run/installer/work/prepkgsinstall\n", "run cdrom:/before.sh",
        "chroot /run/installer/target env -i", "run cdrom:/after.sh",
    ],
    "packages.yaml": ["package 'linux-esx': there is one kernel", "key 'packages_aarch64': it is for another"],
    "repositories.yaml": ["repository 'open': no certificate is checked"],
    "network.yaml": [
        "eth0 of the kickstart is enp0s3 (52:54:00:00:00:01) of this machine", "| MACAddress=52:54:00:00:00:01",
        "| DNS=192.0.2.53", "| Domains=example.org", "| VLAN=vlan0", "10-kickstart.conf", "| node", "| DHCP=ipv4",
    ],
    "bond.yaml": [
        "| Kind=bond", "| Mode=active-backup", "| MIIMonitorSec=100ms", "| Bond=bond0", "| PrimarySlave=yes",
        "| Name=bond0", "| VLAN=vlan0", "| Address=192.0.2.9/24",
    ],
    "network-dhcp.json": ["| Name=e*", "| DHCP=yes", "| IPv6AcceptRA=no", "| Hostname=asks"],
    "network-static.json": ["| Address=192.0.2.7/23", "| Gateway=192.0.2.1", "| MACAddress=52:54:00:00:00:01"],
    "network-vlan.json": ["| VLAN=eth0.77", "| Id=77", "| DHCP=yes"],
    "containers.yaml": [
        "kickstart-images.service", "/var/lib/kickstart/images/0.tar", 'docker tag "$name" app:latest',
        'docker rmi "$name"', "| name=registry.example.org/base:5", "no image is loaded for it",
    ],
    "without-effect.yaml": ["key 'live':", "key 'ui':", "key 'no_clean':", "key 'dps':", "key 'manifest_file':"],
    "ansible.yaml": [
        "ansible-playbook -c chroot -i /run/installer/target, -u root /files/0 -vv --extra-vars site=north "
        "--extra-vars @vars.yaml --skip-tags=slow,later",
        "key 'logfile': what it says is in /var/log/installer.log",
    ],
    "kernel-arguments.yaml": [" quiet audit=0 $3"],
}  # fmt: skip
REFUSALS = {
    "image-file.yaml": ["the disk 'default' is the image file 'root.img': an installation needs a 'device'"],
    "ostree.json": ["an OSTree cannot be installed"],
    "another-machine.yaml": ["this medium installs x86_64, not aarch64", "has no SELinux", "have no FIPS mode"],
}


def read(name: str) -> Kickstart:
    return load(FOLDER / name, name=name, params=PARAMETERS.get(name))


def machine(kickstart: Kickstart) -> Facts:
    def files(names: tuple[str, ...]) -> tuple[LocalFile, ...]:
        return tuple(LocalFile(source=f"cdrom:/{name}", path=Path(f"/files/{n}")) for n, name in enumerate(names))

    others = {target.id: Disk(path=target.device, size=8 * GIB) for target in kickstart.used_disks[1:]}
    return facts(
        more_disks=others,
        filesystems=facts().filesystems | {"btrfs"},
        has_initramfs=True,
        cards=(
            Card(name="enp0s4", address="52:54:00:00:00:09", index=3),
            Card(name="enp0s3", address="52:54:00:00:00:01", index=2),
        ),
        units=frozenset({"docker.service"}),
        scripts={
            "prepkgsinstall": files(kickstart.prepkgsinstall.files),
            "postinstall": files(kickstart.postinstall.files),
        },
        images=tuple(files((image.filename,))[0] if image.filename else None for image in kickstart.images),
        playbooks=files(tuple(book.playbook for book in kickstart.playbooks)),
        user_arguments=("audit=0",) if kickstart.user_grub_cfg_file else (),
    )


def test_every_file_is_in_the_table() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*PLANS, *REFUSALS} == {*SAMPLES}


def test_the_page_says_of_each_what_it_does() -> None:
    """The matrix installs what is said to be installed; only a machine tells that there is no Ansible."""
    stops = {name for name, (_, what) in SAMPLES.items() if what.startswith(STOPS)}
    assert stops == {*REFUSALS, "ansible.yaml"}
    starts = {name for name, (_, what) in SAMPLES.items() if what.startswith(STARTS)}
    assert starts == {*CASES, "packages.yaml", "repositories.yaml", "containers.yaml", "encrypted.yaml"}


@pytest.mark.parametrize("name", PLANS)
def test_it_is_accepted_with_its_plan(name: str) -> None:
    found = read(name)
    assert explain(found).startswith(("disks:    everything on /dev/sda", "first: "))
    if found.pending:
        values = {"DISK": "/dev/sda", "NAME": "north-1"}
        found = parse((FOLDER / name).read_text(), name, values=values)
    text = describe(make_plan(found, machine(found)))
    for part in PLANS[name]:
        assert part in text, f"{part} is not in\n{text}"
    assert "plain and $simple" not in text + repr(found)


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_accepted_and_an_installation_stops_for_it(name: str) -> None:
    found = read(name)
    with pytest.raises(MachineError) as caught:
        make_plan(found, facts())
    for part in REFUSALS[name]:
        assert part in (caught.value.detail or caught.value.message)
        assert part in explain(found)


def test_what_needs_no_machine_is_explained() -> None:
    assert explain(read("several-disks.yaml")).splitlines()[:8] == [
        "disks:    everything on /dev/sda ('default') is lost",
        "disks:      a GUID partition table, started by BIOS and UEFI",
        "disks:      swap, 256 MiB",
        "disks:      ext4 for /, what is left",
        "disks:    everything on /dev/sdb ('data') is lost",
        "disks:      a GUID partition table",
        "disks:      ext4 for /home, 25 percent",
        "disks:      xfs for /srv, what is left",
    ]
    packages = explain(read("packages.yaml"))
    assert "packages linux, file, less=1.0, gawk\n" in packages
    assert "packages of the list one.json\n" in packages and "every package file in /mnt/media/rpms" in packages
    signed = read("repositories.yaml").repos[0]
    assert signed.gpgkeys == ("file:///etc/pki/own.asc", "https://repo.example.org/other.asc")
    assert explain(read("scripts.yaml")).splitlines()[:4] == [
        "first:    preinstall, a script of 2 lines, in the live system, before anything is written",
        "first:    find.sh, in the live system, before anything is written",
        "first:    'disk' is then what it has set $DISK to",
        "first:    'hostname' is then what it has set $NAME to",
    ]


def test_what_is_encrypted_is_explained() -> None:
    text = explain(read("encrypted.yaml"))
    assert "ext4 for /, 3000 MiB, encrypted with LUKS, opened by a passphrase that is asked for at each start\n" in text
    assert "xfs for /data, what is left, encrypted with LUKS, opened by a key file in the encrypted /\n" in text
    assert "plain and" not in text

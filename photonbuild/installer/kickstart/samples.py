"""What the samples of the published document do here: a row for each of its features, and the file that has it.

The files are written to that document, in ``tests/data/kickstarts``; tests/unit holds the table against them.
"""

from __future__ import annotations

from collections.abc import Mapping

STARTS = "installed and started"
STOPS = "accepted; an installation stops before anything is written"
# By the name of the file: what it has of the document, and what it does.
SAMPLES: Mapping[str, tuple[str, str]] = {
    "another-machine.yaml": (
        "`arch`, `security` of another machine",
        f"{STOPS}: no SELinux, no FIPS mode, one architecture",
    ),
    "ansible.yaml": ("`ansible`", f"{STOPS}: the medium has no ansible-playbook"),
    "bond.yaml": ("bonds and a VLAN on one", f"{STARTS}; a card that is not there is told"),
    "btrfs.yaml": ("`filesystem: btrfs` with subvolumes", STARTS),
    "btrfs-root.yaml": ("`/` as a Btrfs, `/boot` beside it", STARTS),
    "containers.yaml": (
        "`docker`, `photon_docker_image`",
        f"{STARTS}; images are loaded and pulled at the first start",
    ),
    "encrypted.yaml": ("`luks`, which is ours: `/`, `/data` and swap encrypted", STARTS),
    "image-file.yaml": (
        "`live: false`, a disk that is a file",
        f"{STOPS}; `photonbuild image --kickstart` makes images",
    ),
    "kernel-arguments.yaml": ("`user_grub_cfg_file`", STARTS),
    "lvm.yaml": ("`/` and `/var` on logical volumes", STARTS),
    "network-dhcp.json": ("`network`, the older form: DHCP", STARTS),
    "network-static.json": ("the older form: a fixed address", STARTS),
    "network-vlan.json": ("the older form: a VLAN", STARTS),
    "network.yaml": (
        "`network`, version 2: cards, a VLAN, name servers",
        f"{STARTS}; `eth0` is the first card, by any name",
    ),
    "older-disks.json": ("`disk` of a partition, a second disk", STARTS),
    "ostree.json": ("`ostree`", f"{STOPS}: systems are made of packages"),
    "packages.yaml": (
        "packages, lists of them, a folder of them, flavours",
        f"{STARTS}; there is one kernel, which a line says",
    ),
    "parameters.yaml": ("`!param`", STARTS),
    "passwords.yaml": (
        "a plain password with its age, `public_key` with a reason",
        f"{STARTS}; a plain password is warned of",
    ),
    "placeholder-key.yaml": ("placeholders for key and password", f"{STARTS}; a placeholder lets nobody in"),
    "repositories.yaml": ("`repos` with keys, `insecure_repo`", f"{STARTS}; one that is switched off is not asked"),
    "scripts.yaml": ("scripts before, between and after", STARTS),
    "several-disks.yaml": (
        "`disks`, XFS, swap, sizes in percent",
        f"{STARTS}; a disk without partitions is left alone",
    ),
    "shadow-partition.yaml": ("`ab`, `bootmode: efi`, `partition_type: msdos`", f"{STARTS}; the table is GPT"),
    "whole-disk.cfg": ("`all_disk`, with and without a logical volume", STARTS),
    "without-effect.yaml": ("`live`, `ui`, `dps` and others", f"{STARTS}; a line for each says what happens instead"),
}


def table() -> str:
    """As Markdown."""
    rows = [f"| {feature} | [{name}](../../tests/data/kickstarts/{name}) | {what} |"
            for name, (feature, what) in SAMPLES.items()]  # fmt: skip
    return "\n".join(["| what it has | file | what it does |", "|---|---|---|", *rows])

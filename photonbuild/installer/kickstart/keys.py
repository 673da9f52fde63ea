"""The table of a kickstart's keys: every one that is read and, by name and reason, every published one that is not.

The format is the published one of Photon OS's installer (its ks_config documentation).
"""

from __future__ import annotations

from photonbuild.installer.kickstart.kinds import (
    Choice,
    Either,
    Field,
    Flag,
    Items,
    Names,
    Number,
    Record,
    Refused,
    Text,
)
from photonbuild.installer.kickstart.model import BIOS, DUALBOOT, EFI, EXT4, LOG_LEVELS, SERVICE_STATES, SWAP, VFAT, XFS
from photonbuild.installer.kickstart.refused import ONE_DISK, REFUSED
from photonbuild.installer.kickstart.values import (
    ABSOLUTE_PATH,
    ADDRESS,
    BASEURL,
    DEVICE,
    HASH,
    HOST,
    INTERFACE,
    INTERFACE_ADDRESS,
    INTERFACE_GLOB,
    KEY_LINE,
    MACADDRESS,
    MOUNT_OPTIONS,
    MOUNTPOINT,
    NAME,
    ONE_LINE,
    PACKAGE,
    UNIT,
)

NAMESERVERS = Record(
    fields=(
        Field(name="addresses", kind=Items(of=ADDRESS), doc="Addresses of name servers."),
        Field(name="search", kind=Items(of=HOST), doc="Domains that short names are looked up in."),
    )
)
COMMON_LINK = (
    Field(name="dhcp4", kind=Flag(), doc="Ask for an IPv4 address.", default=False),
    Field(name="dhcp6", kind=Flag(), doc="Ask for an IPv6 address.", default=False),
    Field(name="accept-ra", kind=Flag(), doc="Heed IPv6 router advertisements.", default_doc="as networkd decides"),
    Field(
        name="addresses",
        kind=Items(of=INTERFACE_ADDRESS),
        doc="Fixed addresses with prefix length, IPv4 or IPv6.",
    ),
    Field(name="gateway", kind=ADDRESS, doc="The default gateway."),
    Field(name="nameservers", kind=NAMESERVERS, doc="Name servers and search domains."),
)
ETHERNET = Record(
    fields=(
        Field(
            name="match",
            kind=Record(
                fields=(
                    Field(name="name", kind=INTERFACE_GLOB, doc="Its name; `*` is a wildcard."),
                    Field(
                        name="macaddress",
                        kind=MACADDRESS,
                        doc="Its MAC address.",
                    ),
                )
            ),
            doc="Which card is meant.",
            default_doc="the card called like the key",
        ),
        *COMMON_LINK,
    )
)
VLAN = Record(
    fields=(
        Field(name="id", kind=Number(minimum=1, maximum=4094), doc="Number of the VLAN.", required=True),
        Field(name="link", kind=Text(), doc="Key of the card below it, from `ethernets`.", required=True),
        *COMMON_LINK,
    )
)
LEGACY = Refused(reason="it belongs to the old form; write version 2 with 'ethernets'")
NETWORK = Record(
    fields=(
        Field(
            name="version",
            kind=Choice(values=("2", 2), refused=(("1", LEGACY.reason), (1, LEGACY.reason))),
            doc="The form of what follows.",
            required=True,
        ),
        Field(name="hostname", kind=HOST, doc="The same as `hostname` at the top."),
        Field(
            name="ethernets",
            kind=Names(key=NAME, of=ETHERNET, label="cards"),
            doc="Cards, each under a key of your choice. Each gets a file for systemd-networkd.",
        ),
        Field(
            name="vlans",
            kind=Names(key=INTERFACE, of=VLAN, label="VLANs"),
            doc="VLAN interfaces; the key is the interface's name.",
        ),
        *(Field(name=name, kind=LEGACY) for name in ("type", "ip_addr", "netmask", "gateway", "nameserver", "vlan_id")),
    )
)
# MiB: 8 EiB, more than Linux has of one disk.
SIZE_MAXIMUM = 1 << 43
PARTITION = Record(
    fields=(
        Field(
            name="filesystem",
            kind=Choice(
                values=(EXT4, XFS, VFAT, SWAP),
                refused=(("btrfs", "the kernel does not read it"),),
            ),
            doc="`vfat` is for `/boot/efi` only.",
            default=EXT4,
        ),
        Field(
            name="mountpoint",
            kind=MOUNTPOINT,
            doc="Where it is mounted; every file system but swap has one, and one is `/`.",
        ),
        Field(
            name="size",
            kind=Number(minimum=0, maximum=SIZE_MAXIMUM),
            doc="MiB; 0 takes what is left of the disk, and at most one may. This or `sizepercent` is needed.",
        ),
        Field(
            name="sizepercent",
            kind=Number(minimum=1, maximum=100),
            doc="Percent of what ESP, BIOS boot partition and LVM itself leave of the disk; all together at most 100.",
        ),
        Field(name="mkfs_options", kind=ONE_LINE, doc="Further words for mkfs."),
        Field(
            name="fs_options",
            kind=MOUNT_OPTIONS,
            doc="Mount options for /etc/fstab.",
            example="nodev,nosuid",
        ),
        Field(
            name="lvm",
            kind=Record(
                fields=(
                    Field(name="vg_name", kind=NAME, doc="Volume group; made of one partition.", required=True),
                    Field(name="lv_name", kind=NAME, doc="Logical volume, one for each file system.", required=True),
                )
            ),
            doc="Make it a logical volume instead of a partition.",
        ),
        Field(name="disk", kind=Refused(reason=ONE_DISK)),
        Field(name="disk_id", kind=Refused(reason=ONE_DISK)),
        Field(name="all_disk", kind=Refused(reason="the disk always gets a partition table")),
        Field(name="ab", kind=Refused(reason="there are no shadow partitions; systems are replaced as a whole")),
        Field(name="btrfs", kind=Refused(reason="btrfs is not supported")),
    )
)
NO_SIGNATURES = Refused(reason="packages are checked by the sha256 of the repository's metadata, not by signatures")
REPO = Record(
    fields=(
        Field(
            name="baseurl",
            kind=BASEURL,
            doc="Folder that holds `repodata/`: `https://…`, `cdrom:/…` or `file:///…`.",
            required=True,
        ),
        Field(name="name", kind=Text(), doc="What it is called."),
        Field(
            name="gpgcheck",
            kind=Choice(values=("0", 0, False), refused=(("1", NO_SIGNATURES.reason), (1, NO_SIGNATURES.reason))),
            doc="Only 0: no signature is checked; packages are checked by the sha256 in the repository's metadata.",
            default="0",
        ),
        Field(name="enabled", kind=Flag(numbers=True), doc="With 0 it is not read.", default=1),
        Field(name="gpgkey", kind=NO_SIGNATURES),
        Field(name="sslverify", kind=Refused(reason="certificates are always checked")),
        Field(name="metalink", kind=Refused(reason="give one 'baseurl'")),
        Field(name="mirrorlist", kind=Refused(reason="give one 'baseurl'")),
        Field(name="skip_if_unavailable", kind=Refused(reason="a repository that is named must be there")),
    )
)
SUPPORTED: tuple[Field, ...] = (
    Field(
        name="disk",
        kind=DEVICE,
        doc="The disk to install onto. **Everything on it is lost.** A device, a link below `/dev/disk/`, "
        "`SERIAL=…` or `WWN=…` as `udevadm info /dev/sda` shows them in ID_SERIAL_SHORT and ID_WWN. Names such as "
        "`/dev/sda` may be another disk's at the next start.",
        required=True,
        example="SERIAL=QM00001",
    ),
    Field(
        name="hostname",
        kind=HOST,
        doc="Name of the machine.",
        default_doc="the distribution's id and six random digits",
        example="node-1",
    ),
    Field(
        name="password",
        kind=Record(
            fields=(
                Field(
                    name="crypted",
                    kind=Flag(),
                    doc="Must be true: a password in plain text is refused. `openssl passwd -6` crypts one.",
                    required=True,
                ),
                Field(name="text", kind=Text(secret=True), doc="The crypted password, or `*` for none.", required=True),
                Field(
                    name="age",
                    kind=Number(minimum=-1, maximum=99999),
                    doc="Days until it expires; 0 asks for a new one at the first log-in, -1 is never.",
                ),
            )
        ),
        doc="Password of root, for the console: ssh takes keys only.",
        default_doc="none, nobody can log in with one",
        example={"crypted": True, "text": "*"},
    ),
    Field(name="shadow_password", kind=HASH, doc="Short for a crypted `password`.", example="*"),
    Field(
        name="public_key",
        kind=Either(
            short=KEY_LINE,
            record=Record(
                fields=(
                    Field(name="key", kind=KEY_LINE, doc="The line.", required=True),
                    Field(name="reason", kind=Text(), doc="Why it is there; for the reader."),
                )
            ),
        ),
        doc="Lets the key's owner in as root by ssh. A line, or a mapping with `key` and `reason`.",
        example="ssh-ed25519 AAAA… me@here",
    ),
    Field(
        name="partitions",
        kind=Items(of=PARTITION, minimum=1),
        doc="File systems of the disk. What the firmware needs is put before them by itself.",
        default=[{"mountpoint": "/", "size": 0}],
        default_doc="one ext4 for `/`",
        example=[{"mountpoint": "/", "size": 0, "filesystem": "ext4"}, {"size": 512, "filesystem": "swap"}],
    ),
    Field(
        name="bootmode",
        kind=Choice(values=(DUALBOOT, BIOS, EFI)),
        doc="`bios` makes a BIOS boot partition, `efi` an ESP, `dualboot` both.",
        default=DUALBOOT,
        example="efi",
    ),
    Field(
        name="packages",
        kind=Items(of=PACKAGE),
        doc="Packages to add to the system, by name or `name=version`, with what they require; those that it has are "
        "left alone.",
        example=["file"],
    ),
    Field(name="additional_packages", kind=Items(of=PACKAGE), doc="More of `packages`.", example=["file"]),
    Field(
        name="repos",
        kind=Names(key=NAME, of=REPO, label="repositories"),
        doc="Where packages come from.",
        example={"mine": {"name": "mine", "baseurl": "https://repo.example.org/mine/", "gpgcheck": 0, "enabled": 1}},
    ),
    Field(
        name="network",
        kind=NETWORK,
        doc="Cards and VLANs. Without it every card asks by DHCP.",
        example={"version": "2", "ethernets": {"lan": {"match": {"name": "e*"}, "dhcp4": True}}},
    ),
    Field(
        name="services",
        kind=Names(key=UNIT, of=Choice(values=tuple(SERVICE_STATES)), label="units"),
        doc="State of units. What is not named stays as on the medium.",
        example={"docker.service": "disabled"},
    ),
    Field(
        name="additional_files",
        kind=Items(of=Names(key=ONE_LINE, of=ABSOLUTE_PATH, label="sources")),
        doc="Files to copy, each a mapping of source to destination. A source is `https://…`, `cdrom:/…`, "
        "`LABEL=…:/…`, `file:/…`, or a path that is looked up where the kickstart came from; except with https it may "
        "be a folder. A destination that ends in `/` is a folder.",
        example=[{"motd": "/etc/motd"}],
    ),
    Field(
        name="postinstall",
        kind=Items(of=Text()),
        doc="Lines of one script, run in the installed system at the end; a failure fails the installation.",
        example=["#!/bin/sh", "echo installed >/etc/motd"],
    ),
    Field(
        name="log_level",
        kind=Choice(values=LOG_LEVELS),
        doc="What is shown on the console. The log always has everything.",
        default="info",
        example="debug",
    ),
    Field(
        name="eject_cdrom",
        kind=Flag(),
        doc="Eject the medium just before the restart, if it is a CD.",
        default=True,
        example=False,
    ),
)

KICKSTART = Record(
    fields=(*SUPPORTED, *(Field(name=name, kind=Refused(reason=reason)) for name, reason in sorted(REFUSED.items())))
)

"""The kickstart: every key that is read, and every published one that is not, in one table.

The format is the published one of Photon OS's installer (its ks_config documentation). Checks, the JSON schema and the
reference page all come from here.
"""

from __future__ import annotations

import ipaddress

from photonbuild.installer.fields import Choice, Either, Field, Flag, Items, Kind, Names, Number, Record, Refused, Text

ONE_DISK = "one disk is installed onto; name it with the key 'disk' at the top"
NO_NEWLINE = r"[^\n\x00]+"
CRYPTED = r"[*!]+|!?\$(1|5|6|7|y|2[abxy]|gy)\$[./A-Za-z0-9$=,]+"
HOSTNAME = r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"


def _address(value: str) -> str | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"an IPv4 or IPv6 address is expected, not '{value}'"
    return None


def _interface(value: str) -> str | None:
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return f"an address with its prefix length is expected (192.0.2.7/24), not '{value}'"
    return None if "/" in value else f"the prefix length is missing: '{value}' (192.0.2.7/24)"


def _mountpoint(value: str) -> str | None:
    if not value.startswith("/"):
        return f"an absolute path is expected, not '{value}'"
    if value != "/" and (value.endswith("/") or any(part in ("", ".", "..") for part in value.split("/")[1:])):
        return f"'{value}' is not a plain path: no '//', '.', '..' and no '/' at its end"
    if any(character.isspace() or not character.isprintable() for character in value):
        return f"white space in '{value}'"
    if "/" + value.split("/")[1] in (
        "/bin",
        "/dev",
        "/etc",
        "/lib",
        "/lib64",
        "/proc",
        "/run",
        "/sbin",
        "/sys",
        "/usr",
    ):
        return f"'{value}' cannot be a file system of its own: the system needs it before it mounts any"
    return None


def _absolute(value: str) -> str | None:
    if not value.startswith("/") or ".." in value.split("/"):
        return f"an absolute path without '..' is expected, not '{value}'"
    return None


def _public_key(value: str) -> str | None:
    return "this is a private key; give the public one" if "PRIVATE KEY" in value else None


def _url(value: str) -> str | None:
    if "$" in value:
        return f"variables such as $releasever are not replaced: write the address in full, not '{value}'"
    return None


HOST = Text(pattern=HOSTNAME, expected="a host name (letters, digits, '-' and '.', at most 64)")
KEY_LINE = Text(
    pattern=r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n]*)?|(.|\n)*PRIVATE KEY(.|\n)*",
    expected="one line of a public key file",
    check=_public_key,
    secret=True,
)
PACKAGE = Text(
    pattern=r"[A-Za-z0-9][A-Za-z0-9._+-]*(=[A-Za-z0-9][A-Za-z0-9._+~^:-]*)?",
    expected="a package's name, or name=version",
)
PACKAGES = Items(of=PACKAGE)
HASH = Text(pattern=CRYPTED, expected="a crypted password (openssl passwd -6 makes one) or '*'", secret=True)
UNIT = Text(pattern=r"[A-Za-z0-9@._:\\-]+", expected="a unit's name")
NAME = Text(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", expected="a name of letters, digits, '.', '_' and '-'")
LINK = Text(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", expected="an interface's name of at most 15 characters")
NAMESERVERS = Record(
    fields=(
        Field(name="addresses", kind=Items(of=Text(check=_address)), doc="Addresses of name servers."),
        Field(name="search", kind=Items(of=HOST), doc="Domains that short names are looked up in."),
    )
)
COMMON_LINK = (
    Field(name="dhcp4", kind=Flag(), doc="Ask for an IPv4 address.", default="false"),
    Field(name="dhcp6", kind=Flag(), doc="Ask for an IPv6 address.", default="false"),
    Field(name="accept-ra", kind=Flag(), doc="Heed IPv6 router advertisements.", default="as networkd decides"),
    Field(
        name="addresses",
        kind=Items(of=Text(check=_interface, expected="an address with its prefix length")),
        doc="Fixed addresses with prefix length, IPv4 or IPv6.",
    ),
    Field(name="gateway", kind=Text(check=_address), doc="The default gateway."),
    Field(name="nameservers", kind=NAMESERVERS, doc="Name servers and search domains."),
)
ETHERNET = Record(
    fields=(
        Field(
            name="match",
            kind=Record(
                fields=(
                    Field(name="name", kind=Text(pattern=r"[A-Za-z0-9._*?\[\]-]+"), doc="Its name; `*` is a wildcard."),
                    Field(
                        name="macaddress",
                        kind=Text(pattern=r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", expected="a MAC address (six pairs)"),
                        doc="Its MAC address.",
                    ),
                )
            ),
            doc="Which card is meant.",
            default="the card called like the key",
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
            kind=Names(key=LINK, of=VLAN, label="VLANs"),
            doc="VLAN interfaces; the key is the interface's name.",
        ),
        *(Field(name=name, kind=LEGACY) for name in ("type", "ip_addr", "netmask", "gateway", "nameserver", "vlan_id")),
    )
)
PARTITION = Record(
    fields=(
        Field(
            name="filesystem",
            kind=Choice(
                values=("ext4", "xfs", "vfat", "swap"),
                refused=(("btrfs", "the kernel does not read it"),),
            ),
            doc="`vfat` is for `/boot/efi` only.",
            default="ext4",
        ),
        Field(
            name="mountpoint",
            kind=Text(check=_mountpoint, expected="an absolute path"),
            doc="Where it is mounted; every file system but swap has one, and one is `/`.",
        ),
        Field(
            name="size",
            kind=Number(minimum=0),
            doc="MiB; 0 takes what is left of the disk, and at most one may. This or `sizepercent` is needed.",
        ),
        Field(name="sizepercent", kind=Number(minimum=1, maximum=100), doc="Percent of the whole disk."),
        Field(name="mkfs_options", kind=Text(pattern=NO_NEWLINE), doc="Further words for mkfs."),
        Field(
            name="fs_options",
            kind=Text(pattern=r"[^\s]+", expected="mount options with commas between them"),
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
            kind=Text(
                pattern=r"(https?://[^\s/]+|file:/|cdrom:/)[^\s]*",
                expected="https://…, cdrom:/… or file:///…",
                check=_url,
            ),
            doc="Folder that holds `repodata/`: `https://…`, `cdrom:/…` or `file:///…`.",
            required=True,
        ),
        Field(name="name", kind=Text(), doc="What it is called."),
        Field(
            name="gpgcheck",
            kind=Choice(values=("0", 0, False), refused=(("1", NO_SIGNATURES.reason), (1, NO_SIGNATURES.reason))),
            doc="Only 0: packages are checked by the sha256 in the repository's metadata.",
            default="0",
        ),
        Field(name="enabled", kind=Flag(numbers=True), doc="With 0 it is not read.", default="1"),
        Field(name="gpgkey", kind=NO_SIGNATURES),
        Field(name="sslverify", kind=Refused(reason="certificates are always checked")),
        Field(name="metalink", kind=Refused(reason="give one 'baseurl'")),
        Field(name="mirrorlist", kind=Refused(reason="give one 'baseurl'")),
        Field(name="skip_if_unavailable", kind=Refused(reason="a repository that is named must be there")),
    )
)
SELF_CONTAINED = "name the packages with 'packages', so that all of the kickstart is checked before anything is written"
SCRIPTS_FIRST = "nothing runs before the whole kickstart is checked; write the value itself"
IMAGE_COPY = "the system that the medium starts is copied, packages are added to it"

SUPPORTED: tuple[Field, ...] = (
    Field(
        name="disk",
        kind=Text(pattern=r"/dev/[^\s]+", expected="a device such as /dev/sda"),
        doc="The disk to install onto. **Everything on it is lost.** Links below `/dev/disk/` are fine.",
        required=True,
        example="/dev/sda",
    ),
    Field(
        name="hostname",
        kind=HOST,
        doc="Name of the machine.",
        default="the distribution's id and six random digits",
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
        default="none, nobody can log in with one",
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
        default="one ext4 for `/`",
        example=[{"mountpoint": "/", "size": 0, "filesystem": "ext4"}, {"size": 512, "filesystem": "swap"}],
    ),
    Field(
        name="bootmode",
        kind=Choice(values=("dualboot", "bios", "efi")),
        doc="`bios` makes a BIOS boot partition, `efi` an ESP, `dualboot` both.",
        default="dualboot",
        example="efi",
    ),
    Field(
        name="packages",
        kind=PACKAGES,
        doc="Packages to add to the system, by name or `name=version`, with what they require; those that it has are "
        "left alone.",
        example=["file"],
    ),
    Field(name="additional_packages", kind=PACKAGES, doc="More of `packages`.", example=["file"]),
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
        kind=Names(key=UNIT, of=Choice(values=("enabled", "disabled", "masked")), label="units"),
        doc="State of units. What is not named stays as on the medium.",
        example={"docker.service": "disabled"},
    ),
    Field(
        name="additional_files",
        kind=Items(of=Names(key=Text(pattern=NO_NEWLINE), of=Text(check=_absolute), label="sources")),
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
        kind=Choice(values=("error", "warning", "info", "debug")),
        doc="What is shown on the console. The log always has everything.",
        default="info",
        example="debug",
    ),
    Field(
        name="eject_cdrom",
        kind=Flag(),
        doc="Eject the medium just before the restart, if it is a CD.",
        default="true",
        example=False,
    ),
)

REFUSED: dict[str, str] = {
    "additional_rpms_path": "name a repository with 'repos' and the packages with 'packages'",
    "ansible": "the medium has no Ansible; use 'postinstall'",
    "arch": "a medium installs the architecture that it has",
    "autopartition": "without 'partitions' one file system takes the whole disk",
    "build_mounts": "it is for building images; an installation mounts only what it needs",
    "disks": ONE_DISK,
    "docker": "container images are not loaded while installing; use 'additional_files' and 'postinstall'",
    "dps": "partitions always have the types of the Discoverable Partitions Specification",
    "environment": SCRIPTS_FIRST,
    "firstboot": "use 'additional_files' and 'services' for a unit of your own",
    "insecure_installation": "it belongs on the kernel command line: insecure_installation=1",
    "insecure_repo": "certificates are always checked; a folder of the medium needs none",
    "install_linux_esx": "there is one kernel, which runs on all supported hypervisors",
    "linux_flavor": "there is one kernel, which runs on all supported hypervisors",
    "linux_flavor_aarch64": "a medium installs the architecture that it has",
    "linux_flavor_x86_64": "there is one kernel, which runs on all supported hypervisors",
    "live": "the installer always installs onto the machine it runs on; 'photonbuild image' makes images",
    "manifest_file": "/var/log/installer.log in the installed system says what was done",
    "no_clean": "the installer leaves nothing behind",
    "no_unmount": "file systems are always unmounted",
    "ostree": IMAGE_COPY,
    "packagelist_file": SELF_CONTAINED,
    "packagelist_files": SELF_CONTAINED,
    "packages_aarch64": "a medium installs the architecture that it has; use 'packages'",
    "packages_x86_64": "a medium installs the architecture that it has; use 'packages'",
    "partition_type": "the partition table is always GPT, for BIOS too",
    "photon_docker_image": "container images are not loaded while installing",
    "photon_release_version": "a medium installs the release that it has",
    "postinstallscripts": "call the script in 'postinstall'; 'additional_files' copies it",
    "preinstall": SCRIPTS_FIRST,
    "preinstallscripts": SCRIPTS_FIRST,
    "prepkgsinstall": IMAGE_COPY,
    "prepkgsinstallscripts": IMAGE_COPY,
    "search_path": "'additional_files' looks where the kickstart came from, or takes a full address",
    "security": "the kernel has neither SELinux nor a FIPS mode",
    "setup_grub_script": "the boot loader is set up by the installer itself",
    "tdnf_cachedir": "packages are installed by rpm, without tdnf",
    "type": "there is one set of packages, that of the medium; add to it with 'packages'",
    "ui": "there is no full-screen interface; progress is written to the console",
    "user_grub_cfg_file": "the kernel arguments of the medium's own entry are kept; use 'postinstall' to edit grub.cfg",
}

KICKSTART = Record(
    fields=(*SUPPORTED, *(Field(name=name, kind=Refused(reason=reason)) for name, reason in sorted(REFUSED.items())))
)


def fields_of(kind: Kind) -> tuple[Field, ...]:
    """The keys of a record, wherever in `kind` it is."""
    match kind:
        case Record():
            return kind.fields
        case Items():
            return fields_of(kind.of)
        case Names():
            return fields_of(kind.of)
        case Either():
            return fields_of(kind.record)
    return ()

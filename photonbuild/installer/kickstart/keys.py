"""The table of a kickstart's keys: every one that is read and, by name and reason, every published one that is not.

The format is the published one of Photon OS's installer (its ks_config documentation).
"""

from __future__ import annotations

from photonbuild.installer.kickstart.keys_content import CONTENT
from photonbuild.installer.kickstart.keys_disk import DISKS, PARTITION
from photonbuild.installer.kickstart.keys_network import NETWORK
from photonbuild.installer.kickstart.keys_packages import PACKAGES
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
from photonbuild.installer.kickstart.model import BIOS, DUALBOOT, EFI, LOG_LEVELS, SERVICE_STATES
from photonbuild.installer.kickstart.values import (
    DEVICE,
    FILE,
    HASH,
    HOST_OR_NOTHING,
    KEY_LINE,
    ONE_LINE,
    UNIT,
)
from photonbuild.installer.kickstart.without_effect import REFUSED, WITHOUT_EFFECT

MSDOS = "msdos"
# Of libxcrypt: CRYPT_MAX_PASSPHRASE_SIZE.
PASSWORD_MAXIMUM = 511


def _password(value: str) -> str | None:
    """What crypt(3) takes."""
    if len(value.encode()) > PASSWORD_MAXIMUM or any(ord(character) < 32 for character in value):
        return f"a password has no control characters, and at most {PASSWORD_MAXIMUM} bytes"
    return None


SELINUX_OFF = "disabled"
SECURITY = Record(
    fields=(
        Field(
            name="selinux",
            kind=Choice(values=("enforcing", "permissive", SELINUX_OFF)),
            doc="`disabled` is the case: the kernel has none. With another an installation stops before anything is "
            "written.",
        ),
        Field(name="fips", kind=Flag(), doc="As `selinux`: only false can be installed."),
    )
)
OSTREE = Record(
    fields=(
        Field(name="default_repo", kind=Flag(), doc="Take the repository of the medium."),
        Field(name="repo_url", kind=ONE_LINE, doc="Address of another."),
        Field(name="repo_ref", kind=ONE_LINE, doc="Branch."),
        Field(name="path", kind=FILE, doc="Archive."),
    )
)
SUPPORTED: tuple[Field, ...] = (
    Field(
        name="disk",
        kind=DEVICE,
        doc="The disk to install onto. **Everything on it is lost.** A device, a link below `/dev/disk/`, "
        "`SERIAL=…` or `WWN=…` as `udevadm info /dev/sda` shows them in ID_SERIAL_SHORT and ID_WWN. Names such as "
        "`/dev/sda` may be another disk's at the next start.",
        example="SERIAL=QM00001",
    ),
    Field(
        name="disks",
        kind=DISKS,
        doc="Several disks instead of `disk`, each under a name that `partitions` calls it by; one is `default`, which "
        "the machine starts from. A disk that no partition is on is left alone.",
        example={"default": {"device": "SERIAL=QM00001"}, "data": {"device": "SERIAL=QM00002"}},
    ),
    Field(
        name="hostname",
        kind=HOST_OR_NOTHING,
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
                    doc="Whether `text` is crypted, as `openssl passwd -6` does it. A plain one is crypted as "
                    "soon as it is read, and warned of: whoever reads the file has it.",
                    required=True,
                ),
                Field(
                    name="text",
                    kind=Text(secret=True, check=_password),
                    doc="The password, or crypted `*` for none.",
                    required=True,
                ),
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
        doc="Lets the key's owner in as root by ssh. A line, or a mapping with `key` and `reason`. Nothing, or a word "
        "in angle brackets as samples have it, is no key.",
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
        name="partition_type",
        kind=Choice(values=("gpt", MSDOS)),
        doc="The partition table is GPT in any case, and starts by BIOS as well.",
        default_doc="gpt",
        example="gpt",
    ),
    *PACKAGES,
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
    *CONTENT,
    Field(
        name="user_grub_cfg_file",
        kind=FILE,
        doc="A file with lines `NAME=VALUE`: that of `user_cmdline`, in which `$NAME` are the others, is put at the "
        "end of the kernel's arguments. Looked up as a file.",
        example="user.cfg",
    ),
    Field(
        name="arch",
        kind=Choice(values=("x86_64", "aarch64")),
        doc="A medium installs the architecture that it has: with another an installation stops before anything is "
        "written.",
        example="x86_64",
    ),
    Field(name="security", kind=SECURITY, doc="What the kernel here has neither of.", example={"selinux": "disabled"}),
    Field(
        name="ostree",
        kind=OSTREE,
        doc="Read and checked; an installation stops before anything is written: systems are made of packages here.",
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
    fields=(
        *SUPPORTED,
        *WITHOUT_EFFECT,
        *(Field(name=name, kind=Refused(reason=reason)) for name, reason in sorted(REFUSED.items())),
    )
)

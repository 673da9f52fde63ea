"""The table of a kickstart's keys: every one that is read and, by name and reason, every published one that is not.

The format is the published one of Photon OS's installer (its ks_config documentation).
"""

from __future__ import annotations

from photonbuild.installer.kickstart.keys_disk import DISKS, PARTITION
from photonbuild.installer.kickstart.keys_network import NETWORK
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
    ABSOLUTE_PATH,
    BASEURL,
    DEVICE,
    FILE,
    FOLDER,
    HASH,
    HOST_OR_NOTHING,
    IMAGE,
    KEY_LINE,
    NAME,
    ONE_LINE,
    PACKAGE,
    UNIT,
    VALUE,
    VARIABLE,
)
from photonbuild.installer.kickstart.without_effect import REFUSED, WITHOUT_EFFECT

MSDOS = "msdos"
# Of libxcrypt: CRYPT_MAX_PASSPHRASE_SIZE.
PASSWORD_MAXIMUM = 511
LOOKED_UP = (
    "A source is `https://…`, `cdrom:/…`, `LABEL=…:/…`, `file:/…`, or a path that is looked up where the "
    "kickstart came from and then in `search_path`"
)


def _password(value: str) -> str | None:
    """What crypt(3) takes."""
    if len(value.encode()) > PASSWORD_MAXIMUM or any(ord(character) < 32 for character in value):
        return f"a password has no control characters, and at most {PASSWORD_MAXIMUM} bytes"
    return None


REPO = Record(
    fields=(
        Field(
            name="baseurl",
            kind=BASEURL,
            doc="Folder that holds `repodata/`: `https://…`, `cdrom:/…` or `file:///…`. $releasever and $basearch are "
            "the release and the architecture of the medium.",
            required=True,
        ),
        Field(name="name", kind=Text(), doc="What it is called."),
        Field(
            name="gpgcheck",
            kind=Flag(numbers=True),
            doc="With 1 every package must be signed by a key that is in `gpgkey`. In any case it must have the sha256 "
            "that the metadata say.",
            default=False,
            default_doc="0",
        ),
        Field(name="enabled", kind=Flag(numbers=True), doc="With 0 it is not read.", default=True, default_doc="1"),
        Field(name="gpgkey", kind=FILE, doc="The key, or several with spaces between. " + LOOKED_UP + "."),
        Field(
            name="sslverify",
            kind=Flag(numbers=True),
            doc="With 0 the server's certificate is not checked.",
            default=True,
            default_doc="1",
        ),
        Field(name="priority", kind=Number(minimum=0, maximum=999, digits=True), instead="the newest package is taken"),
        Field(name="metalink", kind=Refused(reason="give one 'baseurl'")),
        Field(name="mirrorlist", kind=Refused(reason="give one 'baseurl'")),
        Field(name="skip_if_unavailable", kind=Refused(reason="a repository that is named must be there")),
    )
)
DOCKER = Record(
    fields=(
        Field(
            name="images",
            kind=Items(
                of=Record(
                    fields=(
                        Field(
                            name="method",
                            kind=Choice(values=("pull", "load")),
                            doc="`pull` fetches `name` at the first start, `load` takes the archive `filename` along.",
                            required=True,
                        ),
                        Field(name="name", kind=IMAGE, doc="What to pull."),
                        Field(name="filename", kind=FILE, doc="An archive as docker save makes it; a file."),
                        Field(name="tags", kind=Items(of=IMAGE), doc="More names for it."),
                        Field(name="drop-tag", kind=Flag(), doc="Take the name away that it came with."),
                    )
                )
            ),
            doc="Images, loaded into Docker by a unit at the first start: nothing runs before.",
        ),
    )
)
TAGS = Either(short=ONE_LINE, record=Items(of=ONE_LINE))
PLAYBOOK = Record(
    fields=(
        Field(name="playbook", kind=FILE, doc="A file; looked up as one.", required=True),
        Field(name="verbosity", kind=Number(minimum=0, maximum=6), doc="How much it says.", default=1),
        Field(name="extra-vars", kind=TAGS, doc="Variables, or `@FILE`."),
        Field(name="tags", kind=TAGS, doc="Only these."),
        Field(name="skip-tags", kind=TAGS, doc="Not these."),
        Field(name="logfile", kind=ONE_LINE, instead="what it says is in /var/log/installer.log"),
    )
)
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
    Field(
        name="packages",
        kind=Items(of=PACKAGE),
        doc="Packages to add to the system, by name or `name=version`, with what they require; those that it has are "
        "left alone.",
        example=["file"],
    ),
    Field(name="additional_packages", kind=Items(of=PACKAGE), doc="More of `packages`.", example=["file"]),
    Field(name="packages_x86_64", kind=Items(of=PACKAGE), doc="More of `packages`.", example=["file"]),
    Field(
        name="packagelist_file",
        kind=FILE,
        doc="A JSON or YAML file with more of `packages` under that key, and under `packages_x86_64`. Looked up as "
        "`additional_files` are.",
        example="packages.json",
    ),
    Field(name="packagelist_files", kind=Items(of=FILE), doc="Several of them.", example=["packages.json"]),
    Field(
        name="additional_rpms_path",
        kind=FOLDER,
        doc="A folder of the medium or of this system: every package file in it is installed.",
        example="cdrom:/rpms",
    ),
    Field(
        name="repos",
        kind=Names(key=NAME, of=REPO, label="repositories"),
        doc="Where packages come from.",
        example={"mine": {"name": "mine", "baseurl": "https://repo.example.org/mine/", "gpgcheck": 0, "enabled": 1}},
    ),
    Field(
        name="insecure_repo",
        kind=Flag(),
        doc="With true no certificate of a server of `repos` is checked.",
        default=False,
        example=False,
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
        doc="Files to copy, each a mapping of source to destination. " + LOOKED_UP + "; except with https it may "
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
        name="postinstallscripts",
        kind=Items(of=FILE),
        doc="Scripts that are run after `postinstall`, in the installed system too. Looked up as files.",
        example=["set-up.sh"],
    ),
    Field(
        name="preinstall",
        kind=Items(of=Text()),
        doc="Lines of one script, run in the live system when the kickstart is checked and before anything is "
        "written. What it exports takes the place of values of the form `$NAME`; with those in place all is checked "
        "once more. A failure ends the installation.",
        example=["#!/bin/sh", "export DISK=$(ls /dev/disk/by-path/*scsi-0:0:0:0)"],
    ),
    Field(
        name="preinstallscripts",
        kind=Items(of=FILE),
        doc="Scripts that are run after `preinstall` in the same way. Looked up as files.",
        example=["find-disk.sh"],
    ),
    Field(
        name="prepkgsinstall",
        kind=Items(of=Text()),
        doc="Lines of one script, run in the live system when the system is copied and before packages are added. "
        "`$POI_ROOT` is where the new system is.",
        example=["#!/bin/sh", "mkdir $POI_ROOT/srv/data"],
    ),
    Field(
        name="prepkgsinstallscripts",
        kind=Items(of=FILE),
        doc="Scripts that are run after `prepkgsinstall` in the same way. Looked up as files.",
        example=["prepare.sh"],
    ),
    Field(
        name="environment",
        kind=Names(key=VARIABLE, of=VALUE, label="variables"),
        doc="Variables for `preinstall`, and for values of the form `$NAME`.",
        example={"SITE": "north"},
    ),
    Field(
        name="search_path",
        kind=Items(of=FOLDER),
        doc="Folders in which files, scripts and lists are looked up: of the live system, or in a form of "
        "`additional_files`. `/mnt/media` is the medium.",
        example=["/mnt/media/files", "https://server.example/files/"],
    ),
    Field(
        name="docker",
        kind=DOCKER,
        doc="Container images.",
        example={"images": [{"method": "load", "filename": "app.tar", "tags": ["app:1"]}]},
    ),
    Field(
        name="ansible",
        kind=Items(of=PLAYBOOK),
        doc="Playbooks, run by the live system on the installed one before `postinstall`. The medium as it is made "
        "here has no ansible-playbook; then an installation stops before anything is written.",
        example=[{"playbook": "harden.yaml"}],
    ),
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

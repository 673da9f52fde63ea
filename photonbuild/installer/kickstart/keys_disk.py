"""Keys of disks and partitions in a kickstart."""

from __future__ import annotations

from photonbuild.installer.kickstart.kinds import Choice, Either, Field, Flag, Items, Names, Number, Record, Text
from photonbuild.installer.kickstart.model import BTRFS, EXT4, SWAP, VFAT, XFS
from photonbuild.installer.kickstart.values import (
    ANY_DEVICE,
    DEVICE,
    DISK_ID,
    FILE,
    MOUNT_OPTION,
    MOUNT_OPTIONS,
    MOUNTPOINT,
    NAME,
    ONE_LINE,
    SUBVOLUME,
)

# MiB: 8 EiB, more than Linux has of one disk.
SIZE_MAXIMUM = 1 << 43
DISKS = Names(
    key=DISK_ID,
    label="disks",
    of=Record(
        fields=(
            Field(name="device", kind=DEVICE, doc="As `disk`."),
            Field(
                name="filename",
                kind=FILE,
                doc="Name of an image file instead: for making images; an installation refuses it.",
            ),
            Field(name="size", kind=Number(minimum=1, maximum=SIZE_MAXIMUM), doc="MiB of that file."),
        )
    ),
)


def subvolumes(depth: int) -> Items:
    """`subvols` of Btrfs; each may have some of its own, so many deep."""
    inner = (Field(name="subvols", kind=subvolumes(depth - 1), doc="Subvolumes of its own."),) if depth else ()
    return Items(
        of=Record(
            fields=(
                Field(name="name", kind=SUBVOLUME, doc="Name.", required=True),
                Field(name="mountpoint", kind=MOUNTPOINT, doc="Where it is mounted, from the root of the system on."),
                Field(name="label", kind=ONE_LINE, instead="a subvolume has no label: the volume has one"),
                Field(
                    name="fs_options",
                    kind=MOUNT_OPTION,
                    doc="Mount options, after the partition's. Those of Btrfs' own "
                    "(`compress` and others) are the same for all of the volume: they belong to the partition.",
                ),
                *inner,
            )
        )
    )


BTRFS_VOLUME = Record(
    fields=(
        Field(name="label", kind=ONE_LINE, doc="Label of the volume."),
        Field(name="subvols", kind=subvolumes(3), doc="Subvolumes."),
    )
)
# The most that cryptsetup(8) takes from a keyboard.
PASSPHRASE_MAXIMUM = 512


def passphrase_fault(value: str) -> str | None:
    """What is wrong with a passphrase that is typed at each start."""
    if not value or len(value.encode()) > PASSPHRASE_MAXIMUM or not value.isprintable() or value != value.strip():
        return f"a passphrase has 1 to {PASSPHRASE_MAXIMUM} bytes, no control characters, and no spaces around it"
    return None


PARTITION = Record(
    fields=(
        Field(
            name="filesystem",
            kind=Choice(values=(EXT4, XFS, VFAT, SWAP, BTRFS)),
            doc="`vfat` is for `/boot/efi` only. `btrfs` is not for `/boot`, where GRUB counts starts; with it for "
            "`/`, `/boot` is a partition of its own.",
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
            doc="MiB; 0 takes what is left of the disk, and at most one of a disk may. This or `sizepercent` is "
            "needed.",
        ),
        Field(
            name="sizepercent",
            kind=Number(minimum=1, maximum=100),
            doc="Percent of what ESP, BIOS boot partition and LVM itself leave of the disk; all together at most 100.",
        ),
        Field(name="mkfs_options", kind=ONE_LINE, doc="Further words for mkfs."),
        Field(
            name="fs_options",
            kind=Either(short=MOUNT_OPTIONS, record=Items(of=MOUNT_OPTION)),
            doc="Mount options for /etc/fstab, with commas or as a list. What begins with `-` is taken for "
            "`mkfs_options`.",
            example="nodev,nosuid",
        ),
        Field(
            name="lvm",
            kind=Record(
                fields=(
                    Field(name="vg_name", kind=NAME, doc="Volume group; made of one partition or disk.", required=True),
                    Field(name="lv_name", kind=NAME, doc="Logical volume, one for each file system.", required=True),
                )
            ),
            doc="Make it a logical volume instead of a partition.",
        ),
        Field(
            name="luks",
            kind=Record(
                fields=(
                    Field(
                        name="passphrase",
                        kind=Text(secret=True, check=passphrase_fault),
                        doc="What opens it. Whoever reads the file has it.",
                        default_doc="that of `/`, where `/` has one; else it is asked for on the console, twice",
                    ),
                )
            ),
            doc="Encrypt it with LUKS 2 (`{}` asks for the passphrase). Not `/boot` and `/boot/efi`; with `/` "
            "encrypted, `/boot` is a partition of its own. With `lvm` the logical volume is encrypted.",
        ),
        Field(name="disk_id", kind=DISK_ID, doc="Which of `disks` it is on.", default_doc="`default`"),
        Field(name="disk", kind=ANY_DEVICE, doc="The older form of `disk_id`: a device, or a name in `disks`."),
        Field(
            name="all_disk",
            kind=Flag(),
            doc="Take the whole disk, without a partition table; not of the disk `default`. Its size is the disk's.",
        ),
        Field(
            name="ab",
            kind=Flag(),
            doc="Make a second partition of the same size and kind after it, and leave it empty and unmounted. Not "
            "on a logical volume.",
        ),
        Field(name="btrfs", kind=BTRFS_VOLUME, doc="Volume and subvolumes of `btrfs`."),
        Field(name="type", kind=ONE_LINE, instead="the type of a partition follows from what it is for"),
    )
)

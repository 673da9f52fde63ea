"""A kickstart as frozen data under the names of its keys. Defaults are in `keys`; what has none is None or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

BIOS, EFI, DUALBOOT = "bios", "efi", "dualboot"
EXT4, XFS, VFAT, SWAP, BTRFS = "ext4", "xfs", "vfat", "swap", "btrfs"
# Of `disks`: the one that the machine starts from.
DEFAULT = "default"
# Of `services`, each with the command of systemctl(1).
SERVICE_STATES = {"enabled": "enable", "disabled": "disable", "masked": "mask"}
LOG_LEVELS = ("error", "warning", "info", "debug")
ESP_MOUNTPOINT = "/boot/efi"


@dataclass(frozen=True, kw_only=True)
class LogicalVolume:
    """`lvm` of a partition: names of its volume group and of itself."""

    vg_name: str
    lv_name: str


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """`luks` of a partition. Without a passphrase it is opened by that of `/`, or else by one that is asked for."""

    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of `disks`: the device to install onto, or the name and MiB of an image file."""

    id: str
    device: str = ""
    filename: str = ""
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Subvolume:
    """A subvolume of a Btrfs: its path from the volume, where it is mounted, if it is, and with what options."""

    path: str
    mountpoint: str = ""
    fs_options: str = ""


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One of `partitions`. `size` in MiB, 0 for the rest; None when it is given in percent of the disk.

    `number` tells those apart that are otherwise the same. With `all_disk` the disk has no table. With `ab` it has a
    shadow: an empty one of its kind and size. `label` and `subvolumes` are those of Btrfs.
    """

    number: int = 0
    filesystem: str
    mountpoint: str = ""
    size: int | None = None
    sizepercent: int | None = None
    mkfs_options: str = ""
    fs_options: str = ""
    lvm: LogicalVolume | None = None
    luks: Encryption | None = None
    disk_id: str = DEFAULT
    all_disk: bool = False
    ab: bool = False
    label: str = ""
    subvolumes: tuple[Subvolume, ...] = ()

    @property
    def keeps_kernels(self) -> bool:
        """Whether GRUB reads kernels from it, and counts starts in it."""
        return not self.luks and self.filesystem != BTRFS

    @property
    def needs_initramfs(self) -> bool:
        """Whether the kernel alone cannot mount it as the root."""
        return bool(self.lvm) or not self.keeps_kernels


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One of `network.ethernets`, or with `vlan_id` one of `network.vlans`, over what has the key `link`.

    With `members`, keys of cards, it is one of `network.bonds`; `bond` are its parameters.
    """

    key: str
    match_name: str = ""
    match_macaddress: str = ""
    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool | None = None
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    vlan_id: int | None = None
    link: str = ""
    dhcp_hostname: str = ""
    members: tuple[str, ...] = ()
    bond: tuple[tuple[str, str], ...] = ()

    @property
    def is_card(self) -> bool:
        return self.vlan_id is None and not self.members


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One of `repos` that is enabled; `gpgkeys` where its keys are."""

    name: str
    baseurl: str
    gpgcheck: bool = False
    gpgkeys: tuple[str, ...] = ()
    sslverify: bool = True


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """One of `docker.images`: pulled by `name`, or loaded from `filename`."""

    method: str
    name: str = ""
    filename: str = ""
    tags: tuple[str, ...] = ()
    drop_tag: bool = False


@dataclass(frozen=True, kw_only=True)
class Playbook:
    """One of `ansible`; the lists are words for ansible-playbook(1)."""

    playbook: str
    verbosity: int = 1
    extra_vars: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scripts:
    """The lines of one script, and further files that are run after it."""

    lines: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines or self.files)


@dataclass(frozen=True, kw_only=True)
class Kickstart:
    """What to install, as checked; `name` is what messages call the file.

    `password` is crypted, and None when nobody shall log in with one. `packages` has `additional_packages` too.
    `additional_files` are pairs of source and destination. `notes` say with file and line what happens instead of what
    a key says, `refusals` what an installation cannot do and stops for, `image_refusals` those of
    them that hold for a disk image as well. `pending` are the keys whose values
    `preinstall` is to set, with the variable of each; with any the kickstart is not yet one to install.
    """

    name: str
    disks: tuple[Target, ...]
    hostname: str
    password: str | None
    password_age: int | None
    public_key: str
    partitions: tuple[Partition, ...]
    bootmode: str
    packages: tuple[str, ...]
    packagelist_files: tuple[str, ...] = ()
    additional_rpms_path: str = ""
    repos: tuple[Repository, ...]
    interfaces: tuple[Interface, ...]
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    services: Mapping[str, str]
    additional_files: tuple[tuple[str, str], ...]
    preinstall: Scripts = field(default_factory=Scripts)
    prepkgsinstall: Scripts = field(default_factory=Scripts)
    postinstall: Scripts = field(default_factory=Scripts)
    environment: Mapping[str, str] = field(default_factory=dict)
    search_path: tuple[str, ...] = ()
    images: tuple[ContainerImage, ...] = ()
    playbooks: tuple[Playbook, ...] = ()
    user_grub_cfg_file: str = ""
    log_level: str
    eject_cdrom: bool
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    image_refusals: tuple[str, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)

    @property
    def disk(self) -> str:
        """The device that the machine starts from."""
        return next(target.device for target in self.disks if target.id == DEFAULT)

    @property
    def root(self) -> Partition:
        return next(each for each in self.partitions if each.mountpoint == "/")

    @property
    def encrypted_root(self) -> bool:
        return bool(self.root.luks)

    @property
    def lacks_passphrase(self) -> bool:
        """Whether a partition is to be encrypted with a passphrase that is not here."""
        root = self.root.luks.passphrase if self.root.luks else ""
        return any(each.luks and not (each.luks.passphrase or root) for each in self.partitions)

    def with_passphrase(self, passphrase: str) -> Kickstart:
        """The same, with this one for every encrypted partition that has none."""
        given = Encryption(passphrase=passphrase)
        return replace(
            self,
            partitions=tuple(
                replace(each, luks=given) if each.luks and not each.luks.passphrase else each
                for each in self.partitions
            ),
        )

    @property
    def used_disks(self) -> tuple[Target, ...]:
        """Those that something is written to, the default first."""
        used = {DEFAULT, *(partition.disk_id for partition in self.partitions)}
        return tuple(sorted((each for each in self.disks if each.id in used), key=lambda each: each.id != DEFAULT))

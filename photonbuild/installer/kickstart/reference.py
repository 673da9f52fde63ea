"""The table of keys as the page docs/use/kickstart.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import yaml

from photonbuild.installer.kickstart import samples
from photonbuild.installer.kickstart.keys import SUPPORTED
from photonbuild.installer.kickstart.kinds import Choice, Field, Kind, Names, Refused, fields_of
from photonbuild.installer.kickstart.without_effect import REFUSED, WITHOUT_EFFECT

WIDTH = 120
INTRODUCTION = """# Installing to a disk

The second entry of the ISO's boot menu, *Install*, copies the very system that the ISO boots onto a disk, and then sets
it up: unattended by a *kickstart*, or after a few questions on the console. This page is written by
`photonbuild kickstart reference --output docs/use/kickstart.md`; samples are in `kickstarts/`.

    photonbuild kickstart check FILE…     # every mistake with file and line; exit code 2
    photonbuild kickstart explain FILE    # what it would do to which disk, in words
    photonbuild kickstart schema          # JSON schema, for editors

A kickstart is JSON or YAML in the published format of Photon OS's installer. A published key that has no meaning here
is accepted, and a line says what happens instead. What is right and cannot be installed, as an OSTree, is told by
`check` and `explain`, and an installation stops for it before anything is written. An unknown key is an error that
names the nearest one.

In YAML `!param NAME=DEFAULT` stands for a value that is given with `--param NAME=VALUE`, of each of these commands and
of the installer, or on the kernel command line with `ks.param=NAME=VALUE`; without a default it has to be given. A
value of the form `$NAME` is what `preinstall` or `environment` sets, where the kickstart has one of these.

## Starting
**With questions.** Choose the entry. The console (the screen and the first serial port, whichever answers) is asked for
disk, host name, public key and password, and has to confirm. Nothing is written before the last answer is `yes`.

**With a kickstart on a medium of its own.** Put it as `kickstart.yaml` or `kickstart.json` on a CD, a USB stick or a
disk with the volume label `KICKSTART`, plug that in as well, and choose the entry. The console names the disk and what
is on it, and Enter stops the installation within 15 seconds. Such a CD is made by

    xorriso -as mkisofs -R -J -V KICKSTART -o kickstart.iso FOLDER

**With words for the kernel.** Press `e` on the entry, go to the end of the line that begins with `linux`, write them
there and press Ctrl-X:

| word | meaning |
|---|---|
| `ks=cdrom:/PATH` | a file on the medium, or on another CD of the machine |
| `ks=LABEL=NAME:/PATH` | a file on the file system with that label |
| `ks=https://…` | a file on a server whose certificate is valid |
| `ks=file:/PATH` | a file of the live system |
| `ks.param=NAME=VALUE` | the value of `!param NAME`; may be there several times |
| `installer.ca=SOURCE` | a PEM file, `cdrom:`, `LABEL=` or `file:`, of authorities to trust besides the public ones |
| `insecure_installation=1` | allow `http://`, for the kickstart and what it names |
| `installer.proxy=URL` | what https and http go through, as `http://[USER:PASSWORD@]HOST:PORT` |
| `installer.poweroff` | switch off at the end instead of restarting |

**Without touching the machine.** What a hypervisor or a network boot starts directly needs no menu: `/boot/vmlinuz`
and `/boot/initramfs.img` of the ISO, with the arguments of the entry in `/boot/grub/grub.cfg` and the words above. The
ISO itself has to be plugged in.

    qemu-system-x86_64 -m 2048 -kernel vmlinuz -initrd initramfs.img -cdrom phos.iso -drive file=disk.raw,format=raw \\
        -append "root=live:LABEL=… console=ttyS0 installer systemd.unit=installer.target ks=https://…"

At the end the machine restarts, and the medium is ejected if it is a CD. Let the firmware prefer the disk: a blank one
is passed over, so that the medium starts the first time and the disk ever after.

## A disk image without a machine
`photonbuild image raw --kickstart FILE` makes the disk that the kickstart would install, from the packages that are
built here, as an image of the format and with the settings of `build/images/raw.yaml` (or `qcow2`, `ova` …); what the
kickstart says goes over them. Its name has that of the file: `phos-1.0-x86_64-web.raw` of `web.yaml`. The disk has the
`size` of `disks`, else that of the image, or what the partitions take.

A line says what becomes of a key that is another thing there: the image starts by BIOS and UEFI; `/boot` stays in the
root; `eth0` is every Ethernet card; `repos` are not asked. `postinstall` is run in the new system in a sandbox without
a network. Files are those beside the kickstart or in `search_path`. What needs a machine is refused before anything is
built: `preinstall`, `prepkgsinstall`, `ansible`, `/` on a logical volume or Btrfs, `luks`, `ab`, mounts of subvolumes,
images that are pulled. `disks` other than the default become further files beside the first, groups of `lvm` those of
an image: see [images.md](images.md#several-disks-and-volume-groups).

## What is safe
- Nothing is written before the whole kickstart is checked, the disk is found, free and large enough, everything that is
  fetched is there with the right sha256, rpm has agreed to install the packages, and the boot loader is made.
- The medium, and a disk of which anything is mounted or in use, is refused. A disk that held partitions or volume
  groups before is emptied; a group, an array or a file system that is on other disks as well is refused. What is on
  the disk is named as `wipefs` sees it, without a driver for it.
- Right before the first write the disk is looked at again: size, model, serial, place, content and the kernel's number
  of it must be those that were found.
- Disks with sectors of 4,096 bytes are started by UEFI only; for a BIOS they are refused.
- A step that fails is named with its output. All of it is in `/var/log/installer.log`, of the live system and, once
  there is a file system, of the disk; the console then offers a shell, and ssh is up for a key that was given to the
  live system. No password and no script is in that log, nor user, password and query of any URL. The script is removed
  from the disk when it fails as well.
- `PYTHONPATH=/usr/lib/installer python3 -m photonbuild.installer --kickstart SOURCE --dry-run` prints every command and
  file, and writes nothing.

| exit code | failure |
|---|---|
| 2 | the kickstart or the command line |
| 4 | something that cannot be fetched, or has another sha256 |
| 5 | rights, programs or file systems that the live system lacks |
| 7 | packages that are not to be had, or that rpm does not install |
| 8 | a step of the installation |
| 10 | the disk: not there, in use, too small |
| 130 | not confirmed, or stopped |

## What an installed system is
GUID partition table with a BIOS boot partition, an ESP and what `partitions` says; GRUB for BIOS and UEFI, at the
removable-media path of the ESP, with no entry in the firmware; the kernel arguments of the medium's entry. Identifiers
of partitions and file systems are random; machine id and ssh host keys are made at the first start. There is no
initramfs, but for `/` on a logical volume, encrypted or a Btrfs. Root's password counts on the console only; ssh takes
keys.

Packages, those on the medium, in `/packages`, and those of `repos`, are found and fetched by tdnf, with settings of its
own instead of the live system's. What a package requires is added, with its versions and conditions, but no weak
dependency: the newest that fits the system, whose own packages stay as they are. For logical volumes, XFS,
Btrfs and LUKS the installer adds tools and modules by itself.

### Btrfs
`/` as a Btrfs, with subvolumes mounted below it or not, needs a partition with `mountpoint: /boot` of another kind:
GRUB counts starts there. Kernels and their initramfs are in `/boot` then, and `update-initramfs` puts those of an
update there.

### Encrypted disks
`luks` of a partition makes it a LUKS 2 container: aes-xts-plain64 with a key of 512 bits, and Argon2id that takes a
quarter of the machine's memory, at most 1 GiB. The published format has no such key. Where the kickstart has no
passphrase, the console is asked for it, twice, once for all partitions; without a console the installation stops. It
is in no argument of a program and in no log, and nothing but the container's key is made of it.

    partitions:
      - {mountpoint: /boot, size: 400}
      - {mountpoint: /, size: 4096, luks: {passphrase: !param passphrase}}
      - {mountpoint: /data, size: 0, luks: {}}
      - {filesystem: swap, size: 1024, luks: {}}

- **With `/` encrypted** the initramfs asks for its passphrase at each start, on the screen and on the serial port,
  three times before it offers a shell; letters are those of a US keyboard. Everything else that is encrypted has a
  key file in `/etc/cryptsetup-keys.d` besides, which only root reads, and is opened by itself; its passphrase, that
  of `/` where it has none of its own, opens it on another machine. Kernels lie in the clear, below `/boot`, each with
  its initramfs: `update-initramfs` puts a new one there when a package brings it. What is in `/boot` is neither
  secret nor protected from change.
- **With `/` in the clear** each start waits for the passphrases of the others; whoever has the disk would have a key
  file as well.
- `/etc/crypttab` is systemd's, and `cryptsetup luksAddKey`, `luksChangeKey`, `luksHeaderBackup` work as everywhere.
  Unused blocks are not told to the disk: `discard` in crypttab, and `rd.luks.options=discard` for `/`, change that.
- With `lvm` it is the logical volume that is encrypted, each by itself, not the group.
- `rd.luks.key=UUID=FILE:LABEL=NAME` on the kernel command line takes the key of `/` from a file on another medium,
  for a machine that starts unattended; add it with `cryptsetup luksAddKey`. Without the medium the passphrase is
  asked for.
"""
SAMPLES_NOTE = (
    "A file for each feature of the published document and its samples. Each that says *installed and started* is, in "
    "a machine of the tests, by `tests/matrix/test_install_published.py`, by `test_install_encrypted.py`, or by "
    "`test_install_content.py` with packages, repositories and images that exist there."
)


def reference() -> str:
    """The whole of docs/use/kickstart.md."""
    parts = [INTRODUCTION, "## Keys\n"]
    for field in SUPPORTED:
        parts.append("\n".join(_section(field)) + "\n")
    parts.append("## Published keys that are accepted and have no effect\n")
    parts.append("For each, a line says what happens instead, with its file and line.\n")
    without = [(field.name, field.instead) for field in WITHOUT_EFFECT]
    rows = [f"| `{name}` | {what} |" for name, what in sorted([*without, *_inner_without_effect()])]
    parts.append("\n".join(["| key | what happens instead |", "|---|---|", *rows]) + "\n")
    parts.append("## Published keys that are refused\n")
    rows = [f"| `{name}` | {reason} |" for name, reason in sorted([*REFUSED.items(), *_inner_refused()])]
    parts.append("\n".join(["| key | why |", "|---|---|", *rows]) + "\n")
    parts.append("## What the published samples do\n")
    parts.append("\n".join(textwrap.wrap(SAMPLES_NOTE, WIDTH, break_on_hyphens=False)) + "\n")
    parts.append(f"{samples.table()}\n")
    return "\n".join(parts)


def _section(field: Field) -> Iterator[str]:
    yield f"### `{field.name}`"
    yield from textwrap.wrap(_sentence(field), WIDTH, break_on_hyphens=False)
    inner = list(_inner(field.kind, 0))
    if inner:
        yield ""
        yield from inner
    if field.example is not None:
        text = yaml.safe_dump({field.name: field.example}, sort_keys=False, allow_unicode=True, width=100)
        yield ""
        yield from (f"    {line}" for line in text.splitlines())


def _sentence(field: Field) -> str:
    words = [field.doc] if field.doc else []
    values = _values(field.kind)
    if values:
        words.append(f"One of {values}.")
    if field.required:
        words.append("Required.")
    if default := _default(field):
        words.append(f"Default: {default}.")
    return " ".join(words)


def _default(field: Field) -> str:
    if field.default_doc or field.default is None:
        return field.default_doc
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _values(kind: Kind) -> str:
    if isinstance(kind, Names):
        return _values(kind.of)
    if not isinstance(kind, Choice):
        return ""
    names = list(dict.fromkeys(str(value) for value in kind.values if not isinstance(value, bool)))
    return ", ".join(f"`{name}`" for name in names) if len(names) > 1 else ""


def _inner(kind: Kind, depth: int) -> Iterator[str]:
    for field in fields_of(kind):
        if isinstance(field.kind, Refused) or field.instead:
            continue
        text = f"- `{field.name}`: {_sentence(field)}"
        indent = "  " * depth
        yield from textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ",
                                 break_on_hyphens=False)  # fmt: skip
        yield from _inner(field.kind, depth + 1)


def _inner_without_effect() -> Iterator[tuple[str, str]]:
    for field in SUPPORTED:
        for inner in fields_of(field.kind):
            if inner.instead:
                yield f"{field.name}.{inner.name}", inner.instead


def _inner_refused() -> Iterator[tuple[str, str]]:
    for name, kind in [(field.name, field.kind) for field in SUPPORTED]:
        for field in fields_of(kind):
            if isinstance(field.kind, Refused):
                yield f"{name}.{field.name}", field.kind.reason
            if isinstance(field.kind, Choice):
                for value, reason in field.kind.refused:
                    if isinstance(value, str):
                        yield f"{name}.{field.name}: {value}", reason

"""LUKS: steps that make and open what is encrypted, the keys that open it at each start, and crypttab. Pure functions.

Where `/` is encrypted, its passphrase is asked for at each start, and everything else has a key file in it.
"""

from __future__ import annotations

import hashlib

from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.machine.facts import GIB, Facts
from photonbuild.installer.plan.layout import Container, FileSystem, Layout
from photonbuild.installer.plan.steps import Command, Folder, Step, Write

# Where systemd-cryptsetup@.service(8) looks for keys.
KEYS = "/etc/cryptsetup-keys.d"
CRYPTTAB = "/etc/crypttab"
# Kernels and their initramfs where GRUB cannot read /usr: by the same path in the file system of /boot, so that its
# menu and the count of boots need not know. update-initramfs looks whether the folder is there.
KERNELS = "/boot/usr/lib/modules"
# KiB that Argon2 takes: what cryptsetup takes by itself at most, and a quarter of a smaller machine's memory.
MEMORY_MAXIMUM, MEMORY_MINIMUM = 1 << 20, 1 << 15
# A key file is random, and needs no work factor.
FAST = ("--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000")


def passphrase(made: FileSystem, layout: Layout) -> str:
    """Its own, or that of `/`; empty where nobody has been asked for it yet."""
    given = [each.partition.luks.passphrase for each in (made, layout.root) if each.partition.luks]
    return next(filter(None, given), "")


def key(container: Container, facts: Facts) -> str:
    """The content of its key file."""
    return hashlib.blake2b(container.uuid.encode(), key=facts.secret.encode(), digest_size=64).hexdigest()


def has_key_file(made: FileSystem, layout: Layout) -> bool:
    return bool(made.container and layout.root.container and made is not layout.root)


def container_steps(layout: Layout, facts: Facts) -> list[Step]:
    """From empty partitions and volumes to open containers, which are closed at the end."""
    memory = min(MEMORY_MAXIMUM, max(MEMORY_MINIMUM, (facts.memory or GIB) // 4096))
    steps: list[Step] = []
    for made, container in layout.containers:
        what, word = made.partition.mountpoint or made.partition.filesystem, passphrase(made, layout)
        argv: tuple[str, ...] = (
            "cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", "--cipher=aes-xts-plain64", "--key-size=512",
            "--hash=sha256", "--pbkdf=argon2id", f"--pbkdf-memory={memory}", f"--uuid={container.uuid}", "--key-file=-",
            container.device,
        )  # fmt: skip
        steps.append(Command(title=f"encrypt {container.device} for {what}", argv=argv, input=word, secret=True))
        if has_key_file(made, layout):
            path = str(facts.paths.work / f"{container.name}.key")
            text = key(container, facts)
            steps.append(Write(title="make a key for it", path=path, text=text, mode=0o600, secret=True, live=True))
            argv = ("cryptsetup", "luksAddKey", "--batch-mode", *FAST, "--key-file=-", container.device, path)
            steps.append(Command(title=f"let the key open {container.device}", argv=argv, input=word, secret=True))
        argv = ("cryptsetup", "open", "--type=luks2", "--key-file=-", container.device, container.name)
        undo = ("cryptsetup", "close", container.name)
        steps.append(Command(title=f"open {container.device}", argv=argv, input=word, secret=True, undo=undo))
    return steps


def crypttab(layout: Layout) -> str:
    """crypttab(5). What the initramfs has opened is not closed before the root is left."""
    lines = []
    for made, container in layout.containers:
        file = f"{KEYS}/{container.name}.key" if has_key_file(made, layout) else "none"
        options = "luks,x-initrd.attach" if made is layout.root else "luks"
        lines.append(f"{container.name} UUID={container.uuid} {file} {options}\n")
    return "".join(sorted(lines))


def key_steps(layout: Layout, facts: Facts) -> list[Step]:
    """What opens the containers when the installed system starts."""
    if not layout.containers:
        return []
    steps: list[Step] = [Write(title="write crypttab", path=CRYPTTAB, text=crypttab(layout), mode=0o600)]
    for made, container in layout.containers:
        if has_key_file(made, layout):
            path = f"{KEYS}/{container.name}.key"
            steps += [
                Folder(title=f"make {KEYS}", path=KEYS, mode=0o700),
                Write(
                    title=f"write the key of {container.name}",
                    path=path,
                    text=key(container, facts),
                    mode=0o600,
                    secret=True,
                ),
            ]
    return steps


def initramfs_arguments(layout: Layout) -> list[str]:
    """Words for it on the command line of the kernel."""
    return [f"rd.luks.uuid={layout.root.container.uuid}"] if layout.root.container else []


def kernel_steps(layout: Layout, facts: Facts) -> list[Step]:
    """Kernels to /boot, by the program that does so for later ones too."""
    if layout.root.partition.keeps_kernels:
        return []
    argv = ("chroot", str(facts.paths.target), "/usr/sbin/update-initramfs")
    return [
        Folder(title=f"make {KERNELS}", path=KERNELS, mode=0o700),
        Command(title="copy the kernel to /boot", argv=argv),
    ]


def notes(kickstart: Kickstart, layout: Layout) -> list[str]:
    """What the user should know before."""
    if not layout.containers or kickstart.encrypted_root:
        return []
    names = ", ".join(made.partition.mountpoint or made.partition.filesystem for made, _ in layout.containers)
    return [f"each start waits for the passphrase of {names}: '/' is not encrypted, and keeps no key"]

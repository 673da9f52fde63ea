"""GRUB's menu on a medium that is found by its label. Pure functions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.disk.grub import (
    CONSOLES,
    quoted,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the menu: what it is called, and the kernel's arguments."""

    title: str
    arguments: Sequence[str]


def menu(*, entries: Sequence[Entry], label: str, timeout: int) -> str:
    """grub.cfg: a menu on the screen and the first serial port; the first starts after `timeout` seconds."""
    blocks = "".join(
        f"menuentry {quoted(entry.title)} {{\n"
        f"  linux /boot/vmlinuz {' '.join(entry.arguments)}\n"
        "  initrd /boot/initramfs.img\n"
        "}\n"
        for entry in entries
    )
    return f"search --no-floppy --set=root --label {label}\n{CONSOLES}set default=0\nset timeout={timeout}\n{blocks}"


def first_stage(label: str) -> str:
    """The configuration inside the core image: find the medium by its label, whatever it was booted as."""
    return f"search --no-floppy --set=root --label {label}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"

"""GRUB as boot loader of an image: configuration text and grub-mkimage command lines. Pure functions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GRUB = "/usr/lib/grub"
# Everything the menu needs is in the core image: nothing is loaded from the medium, on either firmware.
MODULES = (
    "all_video", "boot", "configfile", "echo", "fat", "halt", "iso9660", "linux", "ls", "minicmd", "normal",
    "part_gpt", "part_msdos", "reboot", "search", "search_label", "serial", "terminal", "test",
)  # fmt: skip
PLATFORM_MODULES = {"i386-pc": ("biosdisk",), "i386-pc-eltorito": ("biosdisk",), "x86_64-efi": ("efi_gop",)}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the menu: what it is called, and the kernel's arguments."""

    title: str
    arguments: Sequence[str]


def quoted(text: str) -> str:
    """`text` as one word of GRUB's script language."""
    return "'" + text.replace("'", "'\\''") + "'"


def menu(*, entries: Sequence[Entry], label: str, timeout: int) -> str:
    """grub.cfg: a menu on the screen and the first serial port; the first starts after `timeout` seconds."""
    blocks = "".join(
        f"menuentry {quoted(entry.title)} {{\n"
        f"  linux /boot/vmlinuz {' '.join(entry.arguments)}\n"
        "  initrd /boot/initramfs.img\n"
        "}\n"
        for entry in entries
    )
    return (
        f"search --no-floppy --set=root --label {label}\n"
        "if serial --unit=0 --speed=115200; then\n"
        "  terminal_input console serial\n"
        "  terminal_output console serial\n"
        "fi\n"
        f"set default=0\nset timeout={timeout}\n"
        f"{blocks}"
    )


def first_stage(label: str) -> str:
    """The configuration inside the core image: find the medium by its label, whatever it was booted as."""
    return f"search --no-floppy --set=root --label {label}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"


def mkimage_argv(platform: str, *, config: str, output: str) -> list[str]:
    """grub-mkimage(1) for ``i386-pc-eltorito`` or ``x86_64-efi`` (one of PLATFORM_MODULES)."""
    folder = platform.removesuffix("-eltorito")
    return [
        "grub-mkimage", "-O", platform, "-d", f"{GRUB}/{folder}", "-p", "/boot/grub", "-c", config,
        "-o", output, *MODULES, *PLATFORM_MODULES[platform],
    ]  # fmt: skip

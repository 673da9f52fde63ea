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
# An installed system also reads its own root file system, and takes whatever kernels it finds there.
DISK_MODULES = (*MODULES, "ext2", "regexp", "search_fs_uuid")
PLATFORM_MODULES = {"i386-pc": ("biosdisk",), "i386-pc-eltorito": ("biosdisk",), "x86_64-efi": ("efi_gop",)}


CONSOLES = (
    "if serial --unit=0 --speed=115200; then\n  terminal_input console serial\n  terminal_output console serial\nfi\n"
)


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
    return f"search --no-floppy --set=root --label {label}\n{CONSOLES}set default=0\nset timeout={timeout}\n{blocks}"


def disk_menu(*, title: str, root_partition: str, arguments: Sequence[str], timeout: int) -> str:
    """grub.cfg of an installed system: an entry for each kernel that its packages have brought."""
    words = " ".join([f"root=PARTUUID={root_partition}", "ro", "rootwait", *arguments])
    return (
        f"{CONSOLES}set default=0\nset timeout={timeout}\n"
        "for kernel in /usr/lib/modules/*/vmlinuz; do\n"
        "  regexp --set=1:version '/usr/lib/modules/(.*)/vmlinuz' \"$kernel\"\n"
        f'  menuentry "{title}, Linux $version" "$kernel" {{\n'
        f'    linux "$2" {words}\n'
        "  }\n"
        "done\n"
    )


def disk_first_stage(filesystem: str) -> str:
    """The configuration inside the core image of a disk: find the root file system by its UUID."""
    return (
        f"search --no-floppy --set=root --fs-uuid {filesystem}\n"
        "set prefix=($root)/boot/grub\n"
        "configfile $prefix/grub.cfg\n"
    )


def first_stage(label: str) -> str:
    """The configuration inside the core image: find the medium by its label, whatever it was booted as."""
    return f"search --no-floppy --set=root --label {label}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"


def mkimage_argv(platform: str, *, config: str, output: str, modules: Sequence[str] = MODULES) -> list[str]:
    """grub-mkimage(1) for one of PLATFORM_MODULES."""
    folder = platform.removesuffix("-eltorito")
    return [
        "grub-mkimage", "-O", platform, "-d", f"{GRUB}/{folder}", "-p", "/boot/grub", "-c", config,
        "-o", output, *modules, *PLATFORM_MODULES[platform],
    ]  # fmt: skip

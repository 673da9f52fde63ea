"""GRUB on a disk: grub-mkimage command lines, the menu of an installed system, where its blocks go. Pure functions.

The standard library only: the installer on the live medium uses this module as well as the makers of images.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from photonbuild.disk.gpt import SECTOR

GRUB = "/usr/lib/grub"
# Everything the menu needs is in the core image: nothing is loaded from the medium, on either firmware.
MODULES = (
    "all_video", "boot", "configfile", "echo", "fat", "halt", "iso9660", "linux", "ls", "minicmd", "normal",
    "part_gpt", "part_msdos", "reboot", "search", "search_label", "serial", "terminal", "test",
)  # fmt: skip
# An installed system also reads its own root file system, and takes whatever kernels it finds there.
DISK_MODULES = (*MODULES, "ext2", "loadenv", "regexp", "search_fs_uuid", "xfs")
PLATFORM_MODULES = {"i386-pc": ("biosdisk",), "i386-pc-eltorito": ("biosdisk",), "x86_64-efi": ("efi_gop",)}
CONSOLES = (
    "if serial --unit=0 --speed=115200; then\n  terminal_input console serial\n  terminal_output console serial\nfi\n"
)
# A kernel that panics before it has read its sysctls starts again, too.
PANIC = "panic=10"
ENVIRONMENT_SIZE = 1024
# While an update is on trial each start takes one of its tries. With none left the kept system comes back: its kernel,
# and before its first process a program that puts /usr and /etc back. GRUB has no arithmetic. A kernel that is told its
# first process panics without it; others would start a shell.
COUNTING = """\
if [ -s $prefix/grubenv ]; then
  load_env --file $prefix/grubenv kernels boot_counter fallback
fi
first=init=/sbin/init
if [ -n "$fallback" ]; then
  if [ "$boot_counter" = 3 ]; then
    boot_counter=2
  elif [ "$boot_counter" = 2 ]; then
    boot_counter=1
  elif [ "$boot_counter" = 1 ]; then
    boot_counter=0
  else
    tree=/.update/previous
    kernels="$fallback"
    first=init=/.update/revert
    echo "The update did not start in three tries: going back to the system before it."
  fi
  save_env --file $prefix/grubenv boot_counter
fi
"""
# GRUB's ext2 reader knows neither of these two newer features.
EXT4_FEATURES = "^metadata_csum_seed,^orphan_file"
# Where GRUB's boot sector keeps the sector of what it loads, its check of the drive number, and where the first
# sector of that keeps the list of the rest (grub-core/boot/i386/pc/{boot,diskboot}.S).
KERNEL_SECTOR, DRIVE_CHECK, BLOCK_LIST = 0x5C, 0x66, SECTOR - 12
BOOT_CODE_SIZE = 440


def quoted(text: str) -> str:
    """`text` as one word of GRUB's script language."""
    return "'" + text.replace("'", "'\\''") + "'"


def disk_menu(
    *, title: str, root: str, arguments: Sequence[str], timeout: int, filesystem: str = "", initramfs: str = ""
) -> str:
    """grub.cfg of an installed system: an entry for each kernel that its packages have brought, the newest first.

    It is written once: what changes is in the environment block beside it, see docs/adr/0011-updates.md. `root` is the
    kernel's argument of that name. `filesystem` is the UUID of the root file system where the menu lies in another one;
    `initramfs` a file of the root file system, for kernels that have none of their own.
    """
    words = " ".join([f"root={root}", "ro", "rootwait", PANIC, *arguments])
    search = f"search --no-floppy --set=root --fs-uuid {filesystem}\n" if filesystem else ""
    initrd = f"    else\n      initrd {initramfs}\n" if initramfs else ""
    entry = (
        f'  menuentry "{title}, Linux $version" "$folder" "$first" {{\n'
        f'    linux "$2/vmlinuz" {words} $3\n'
        f'    if [ -f "$2/initrd" ]; then\n      initrd "$2/initrd"\n{initrd}    fi\n'
        "  }\n"
    )
    return (
        f"{CONSOLES}set default=0\nset timeout={timeout}\n{search}{COUNTING}"
        "for version in $kernels; do\n"
        '  folder="$tree/usr/lib/modules/$version"\n'
        '  if [ ! -f "$folder/vmlinuz" ]; then folder="/usr/lib/modules/$version"; fi\n'
        '  if [ -f "$folder/vmlinuz" ]; then\n'
        f"{entry}"
        "  any=1\n"
        "  fi\n"
        "done\n"
        'if [ -z "$any" ]; then\n'
        "for kernel in /usr/lib/modules/*/vmlinuz; do\n"
        "  regexp --set=1:folder '(.*)/vmlinuz' \"$kernel\"\n"
        "  regexp --set=1:version '/usr/lib/modules/(.*)' \"$folder\"\n"
        f"{entry}"
        "done\n"
        "fi\n"
    )


def environment_block() -> str:
    """GRUB's environment block without a variable: the file `grubenv` beside the menu of an installed system."""
    return "# GRUB Environment Block\n".ljust(ENVIRONMENT_SIZE, "#")


def disk_first_stage(filesystem: str, folder: str = "/boot/grub") -> str:
    """The configuration inside the core image of a disk: find the file system with the menu by its UUID."""
    return (
        f"search --no-floppy --set=root --fs-uuid {filesystem}\n"
        f"set prefix=($root){folder}\n"
        "configfile $prefix/grub.cfg\n"
    )


def mkimage_argv(platform: str, *, config: str, output: str, modules: Sequence[str] = MODULES) -> list[str]:
    """grub-mkimage(1) for one of PLATFORM_MODULES."""
    folder = platform.removesuffix("-eltorito")
    return [
        "grub-mkimage", "-O", platform, "-d", f"{GRUB}/{folder}", "-p", "/boot/grub", "-c", config,
        "-o", output, *modules, *PLATFORM_MODULES[platform],
    ]  # fmt: skip


def boot_blocks(boot: bytes, core: bytes, sector: int) -> tuple[bytes, bytes]:
    """Boot code and core image with the places filled in that the core image lies at, from `sector` on."""
    code, blocks = bytearray(boot[:BOOT_CODE_SIZE]), bytearray(core)
    struct.pack_into("<Q", code, KERNEL_SECTOR, sector)
    # Two bytes no-op: take the first hard disk even from a firmware that passes no drive number.
    code[DRIVE_CHECK : DRIVE_CHECK + 2] = b"\x90\x90"
    struct.pack_into("<Q", blocks, BLOCK_LIST, sector + 1)
    return bytes(code), bytes(blocks)

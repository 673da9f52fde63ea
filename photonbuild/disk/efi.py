"""Boot entries of UEFI: what firmware keeps of one, as the UEFI specification has it, section 3.1.3. Pure functions.

The standard library only: the installer on the live medium uses this module.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Collection, Sequence

from photonbuild.disk.gpt import Partition

ACTIVE = 1
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # EFI_GLOBAL_VARIABLE, whose names Boot0000 and BootOrder are
MEDIA, HARD_DRIVE, FILE_PATH, END = 4, 1, 4, b"\x7f\xff\x04\x00"
GPT, GUID_SIGNATURE = 2, 2


def load_option(title: str, partition: Partition, number: int, sector: int, file: str) -> bytes:
    """EFI_LOAD_OPTION of a program on a partition, the `number`th of its GPT; `sector`: bytes of one of the disk.

    The path begins with the partition, without the way to the disk: firmware looks for it on all.
    """
    drive = struct.pack(
        "<BBHIQQ16sBB", MEDIA, HARD_DRIVE, 42, number, partition.start // sector, partition.size // sector,
        uuid.UUID(partition.uuid).bytes_le, GPT, GUID_SIGNATURE,
    )  # fmt: skip
    name = _text(file.replace("/", "\\"))
    path = drive + struct.pack("<BBH", MEDIA, FILE_PATH, 4 + len(name)) + name + END
    return struct.pack("<IH", ACTIVE, len(path)) + _text(title) + path


def title_of(option: bytes) -> str:
    """What an entry is called; empty for what is none."""
    text = option[6:].decode("utf-16-le", errors="replace")
    return text.partition("\0")[0] if len(option) > 6 else ""


def entry_name(number: int) -> str:
    """The variable of an entry."""
    return f"Boot{number:04X}"


def free_number(taken: Collection[int]) -> int:
    """The first number of an entry that is not taken. There are 65,536."""
    return next(number for number in range(0x10000) if number not in taken)


def order(first: int, others: Sequence[int]) -> bytes:
    """BootOrder with an entry in front."""
    numbers = [first, *(number for number in others if number != first)]
    return struct.pack(f"<{len(numbers)}H", *numbers)


def numbers_of(boot_order: bytes) -> list[int]:
    """The entries that a BootOrder lists."""
    return [number for (number,) in struct.iter_unpack("<H", boot_order[: len(boot_order) & ~1])]


def _text(text: str) -> bytes:
    return f"{text}\0".encode("utf-16-le")

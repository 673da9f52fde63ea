"""Variables of UEFI in the kernel's efivarfs: the boot entry of an installed disk. See its efivarfs.rst."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

from photonbuild.disk import efi

# Kept when the machine is off, and there for boot services and the running system.
ATTRIBUTES = 7
HEAD = 4


def write_boot_entry(variables: Path, option: bytes) -> str:
    """Put `option` in front of the boot order, in the place of an entry of the same title; the name of its variable.

    `variables` is the folder of efivarfs(7). Raises OSError: firmware may have no room left, or want none of it.
    """
    entries = _entries(variables)
    title = efi.title_of(option)
    same = sorted(number for number, known in entries.items() if efi.title_of(known) == title)
    number = same[0] if same else efi.free_number(entries)
    if entries.get(number) != option:
        _write(variables / _file(efi.entry_name(number)), option)
    path = variables / _file("BootOrder")
    listed = efi.numbers_of(_read(path)) if path.exists() else []
    if listed[:1] != [number]:
        _write(path, efi.order(number, listed))
    return efi.entry_name(number)


def _entries(variables: Path) -> dict[int, bytes]:
    """The boot entries by their numbers."""
    found = {}
    for path in variables.iterdir():
        if match := re.fullmatch(rf"Boot([0-9A-F]{{4}})-{efi.GLOBAL}", path.name):
            found[int(match[1], 16)] = _read(path)
    return found


def _file(name: str) -> str:
    return f"{name}-{efi.GLOBAL}"


def _read(path: Path) -> bytes:
    return path.read_bytes()[HEAD:]


def _write(path: Path, content: bytes) -> None:
    """In one call of write(2): efivarfs takes each for a whole variable."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, struct.pack("<I", ATTRIBUTES) + content)
    finally:
        os.close(descriptor)

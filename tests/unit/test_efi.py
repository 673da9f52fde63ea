"""UEFI's boot entries by the specification, and what becomes of them in firmware that is a folder."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.disk import efi
from photonbuild.disk.gpt import ESP, Partition
from photonbuild.installer.execute import perform
from photonbuild.installer.log import Log
from photonbuild.installer.machine.efivars import write_boot_entry
from photonbuild.installer.machine.kernel import Kernel
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import BootEntry
from tests.support.installer import MIB, facts, kickstart

PARTITION = Partition(
    name=ESP, start=2 * MIB, size=64 * MIB, uuid="01234567-89ab-cdef-0123-456789abcdef", filesystem_uuid=""
)
OPTION = efi.load_option("Phos 1.0", PARTITION, 2, 512, "/EFI/BOOT/BOOTX64.EFI")


def boot_entries(folder: Path) -> dict[str, bytes]:
    return {path.name.partition("-")[0]: path.read_bytes() for path in folder.iterdir()}


def test_a_load_option_has_the_partition_and_the_file() -> None:
    attributes, length = struct.unpack_from("<IH", OPTION)
    title = "Phos 1.0\0".encode("utf-16-le")
    path = OPTION[6 + len(title) :]
    assert (attributes, len(path), OPTION[6 : 6 + len(title)]) == (1, length, title)
    kind, subkind, size, number, start, sectors = struct.unpack_from("<BBHIQQ", path)
    assert (kind, subkind, size, number, start, sectors) == (4, 1, 42, 2, 4096, 131072)
    # As all of UEFI's: the first three fields of a GUID have their lowest byte first.
    assert path[24:40].hex() == "67452301ab89efcd0123456789abcdef" and path[40:42] == b"\2\2"
    kind, subkind, size = struct.unpack_from("<BBH", path, 42)
    assert (kind, subkind) == (4, 4)
    assert path[46 : 42 + size].decode("utf-16-le") == "\\EFI\\BOOT\\BOOTX64.EFI\0"
    assert path[42 + size :] == b"\x7f\xff\x04\x00"
    assert efi.title_of(OPTION) == "Phos 1.0"


def test_sectors_are_those_of_the_disk() -> None:
    large = efi.load_option("x", PARTITION, 1, 4096, "/a")
    assert struct.unpack_from("<QQ", large, large.index(b"\x04\x01\x2a\0") + 8) == (512, 16384)


def test_a_new_entry_is_the_first(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        (tmp_path / f"Boot{number:04X}-{efi.GLOBAL}").write_bytes(b"\7\0\0\0" + OPTION.replace(b"P\0h\0", b"Q\0h\0"))
    (tmp_path / f"BootOrder-{efi.GLOBAL}").write_bytes(b"\7\0\0\0\1\0\0\0\3\0")
    (tmp_path / "BootCurrent-00000000-0000-0000-0000-000000000000").write_bytes(b"\6\0\0\0\0\0")
    assert write_boot_entry(tmp_path, OPTION) == "Boot0002"
    found = boot_entries(tmp_path)
    assert found["Boot0002"] == b"\7\0\0\0" + OPTION
    assert found["BootOrder"] == b"\7\0\0\0\2\0\1\0\0\0\3\0"
    # Installed again: the partition is another one, the entry is the same.
    again = efi.load_option("Phos 1.0", replace(PARTITION, uuid="f" * 32), 2, 512, "/EFI/BOOT/BOOTX64.EFI")
    assert write_boot_entry(tmp_path, again) == "Boot0002"
    assert boot_entries(tmp_path) == {**found, "Boot0002": b"\7\0\0\0" + again}


def test_firmware_without_any_entry(tmp_path: Path) -> None:
    assert write_boot_entry(tmp_path, OPTION) == "Boot0000"
    assert boot_entries(tmp_path)["BootOrder"] == b"\7\0\0\0\0\0"


@pytest.mark.parametrize(
    ("firmware", "mode", "entries"),
    [("efi", "efi", 1), ("efi", "dualboot", 1), ("efi", "bios", 0), ("bios", "dualboot", 0), ("bios", "efi", 0)],
)
def test_only_uefi_is_told(firmware: str, mode: str, entries: int) -> None:
    plan = make_plan(kickstart(bootmode=mode), facts(firmware=firmware))
    found = [step for step in plan.steps if isinstance(step, BootEntry)]
    assert len(found) == entries
    assert all(efi.title_of(step.option) == "Phos 1.0" for step in found)


def test_firmware_that_takes_none_is_no_failure(tmp_path: Path) -> None:
    said: list[str] = []
    machine = replace(facts(), kernel=Kernel(root=tmp_path))
    perform(BootEntry(title="", option=OPTION), machine, Log(tmp_path / "log", said.append))
    assert "the firmware takes no boot entry" in "\n".join(said)

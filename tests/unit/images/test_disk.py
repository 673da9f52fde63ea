"""The disk: table, file systems, boot blocks, mounts. No tool is run."""

from __future__ import annotations

import io
import itertools
import json
import struct
import tarfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from photonbuild.config.disk import Disk
from photonbuild.disk import gpt
from photonbuild.disk import grub as bootloader
from photonbuild.errors import ImageError
from photonbuild.images import disk, filesystems, layout
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
GIB = 1 << 30


def small(**changes: object) -> Disk:
    return Disk.model_validate_json(json.dumps({"size": "1 GiB", **changes}))


def test_sizes() -> None:
    assert small().size == GIB
    for wrong in ({"size": "1 GB"}, {"size": "0 GiB"}, {"size": "36 MiB"}, {"var": True}, {"root_size": "100 MiB"}):
        with pytest.raises(ValidationError):
            small(**wrong)


@pytest.mark.parametrize("changes", [{}, {"var": True, "root_size": "400 MiB"}])
def test_partitions_are_aligned_in_order_and_within_the_disk(changes: dict[str, object]) -> None:
    table = layout.partitions(small(**changes), "i")
    assert [part.name for part in table] == ["bios", "esp", "root", *(["var"] if changes else [])]
    for before, after in itertools.pairwise(table):
        assert before.start + before.size == after.start
    assert all(part.start % gpt.MIB == 0 and part.size % gpt.MIB == 0 for part in table)
    assert table[-1].start + table[-1].size == GIB - gpt.MIB, "no room for the backup table, or some left over"


def test_identifiers_follow_the_content() -> None:
    one, same, other = (gpt.sfdisk_script(layout.partitions(small(), name), name) for name in "aab")
    assert one == same
    assert not set(one.split()) & set(other.split()) & {word for word in one.split() if "uuid=" in word}


def test_boot_blocks_name_the_sectors_of_the_core_image() -> None:
    boot, core = bytes(512), bytes(1500)
    code, blocks = bootloader.boot_blocks(boot, core, 2048)
    assert len(code) == 440 and len(blocks) == 1500
    assert struct.unpack_from("<Q", code, 0x5C) == (2048,)
    assert struct.unpack_from("<Q", blocks, 500) == (2049,)


def test_a_core_image_too_large_for_its_partition(tmp_path: Path) -> None:
    part = layout.partitions(small(), "i")[0]
    with pytest.raises(ImageError, match="larger than its partition"):
        disk.place_bios_loader(tmp_path / "disk", boot=bytes(512), core=bytes(part.size + 1), part=part)


@pytest.mark.parametrize("var", [False, True])
def test_mounts_and_growth(var: bool) -> None:
    image = (
        load_config(ROOT)
        .image("qcow2")
        .model_copy(update={"disk": small(**({"var": True, "root_size": "400 MiB"} if var else {}))})
    )
    files = {file.path: file.text for file in disk.root_files(image, "i", "Phos 1.0")}
    grown = [line.split()[1] for line in files["/etc/fstab"].splitlines() if "x-systemd.growfs" in line]
    assert grown == ["/var" if var else "/"]
    assert [path for path in files if path.startswith("/etc/repart.d/")] == [
        f"/etc/repart.d/50-{'var' if var else 'root'}.conf"
    ]
    assert "console=ttyS0" in files["/boot/grub/grub.cfg"]


@pytest.mark.parametrize(("split", "missing"), [(False, "disk.size"), (True, "disk.root_size")])
def test_a_root_that_does_not_fit(tmp_path: Path, split: bool, missing: str) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        for name, size in (("./usr/large", 300 << 20), ("./var/small", 4097)):
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    sizes = filesystems.needed(tmp_path / "root.tar", {gpt.ROOT: "/", **({gpt.VAR: "/var"} if split else {})})
    assert sizes[gpt.ROOT] >= 300 << 20 and sizes.get(gpt.VAR, 8192) >= 8192
    changes = {"var": True, "root_size": "200 MiB"} if split else {"size": "300 MiB"}
    with pytest.raises(ImageError, match="'root' needs 333 MiB and has") as caught:
        filesystems.check_room(sizes_of(small(**changes)), sizes, small(**changes).last)
    assert missing in str(caught.value.hint)
    filesystems.check_room(sizes_of(small()), {gpt.ROOT: sizes[gpt.ROOT]}, gpt.ROOT)


def sizes_of(made: Disk) -> dict[str, int]:
    return {each.name: each.size for each in layout.filesystems(made, "i")}


WIDE = {
    "size": "2 GiB",
    "root_size": "1 GiB",
    "partitions": [{"name": "pv", "volume_group": "system"}],
    "disks": [
        {"name": "data", "size": "100 MiB", "partitions": [
            {"name": "files", "path": "/srv/files", "size": "10 MiB", "options": ["nofail"]},
            {"name": "pvb", "volume_group": "store"},
        ]},
        {"name": "more", "size": "41 MiB", "volume_group": "store"},
        {"name": "blank", "size": "5 MiB"},
    ],
    "volume_groups": [
        {"name": "system", "volumes": [
            {"name": "var", "path": "/var"}, {"name": "swap", "filesystem": "swap", "size": "6 MiB"},
        ]},
        {"name": "store", "volumes": [{"name": "wide", "path": "/srv/wide", "size": "90 MiB", "filesystem": "ext4"}]},
    ],
}  # fmt: skip


def test_several_disks_and_volume_groups() -> None:
    made = small(**WIDE)
    assert [part.name for part in layout.partitions(made, "i")] == ["bios", "esp", "root", "pv"]
    assert [part.kind for part in layout.further_partitions(made.disks[0], "i")] == [gpt.LINUX, gpt.LVM]
    assert layout.further_partitions(made.disks[1], "i") == ()
    found = {each.name: each for each in layout.filesystems(made, "i")}
    assert {name: each.path for name, each in found.items()} == {
        "root": "/", "system/var": "/var", "files": "/srv/files", "store/wide": "/srv/wide", "system/swap": "",
    }  # fmt: skip
    assert next(iter(found)) == "root" and found["root"].size == GIB
    assert len({each.uuid for each in found.values()}) == 5
    # 90 MiB are 23 extents, of which the partition of 88 MiB has 21.
    assert [(place.disk, place.start >> 20, place.size >> 20) for place in found["store/wide"].places] == [
        ("data", 12, 84), ("more", 1, 8),
    ]  # fmt: skip
    assert found["store/wide"].part.start == 0 and found["system/swap"].size == 8 << 20
    last = layout.partitions(made, "i")[-1]
    used = sum(each.size for name, each in found.items() if name.startswith("system/"))
    assert last.size - gpt.MIB - used < 4 << 20, "what has no size takes what is left"


def test_groups_say_what_the_layout_says() -> None:
    made = small(**WIDE)
    system, store = layout.volume_groups(made, "i", host="h", time=1)
    assert [place.disk for place in store.places] == ["data", "more"] and system.places[0].disk == layout.FIRST
    assert [volume.size for volume in store.group.physical] == [place.size for place in store.places]
    assert layout.volume_groups(made, "i", host="h", time=1) == (system, store)
    ids = {system.group.id, store.group.id, *(each.id for each in store.group.physical)}
    assert len(ids | {each.id for each in store.group.logical}) == 5


def test_mounts_of_several_disks() -> None:
    image = load_config(ROOT).image("qcow2").model_copy(update={"disk": small(**WIDE)})
    files = {file.path: file.text for file in disk.root_files(image, "i", "Phos 1.0")}
    fstab = [line.split() for line in files["/etc/fstab"].splitlines()]
    assert [line[1] for line in fstab] == ["/", "/srv/files", "/srv/wide", "/var", "none", "/boot/efi"]
    assert fstab[1][3] == "rw,nofail" and "growfs" not in files["/etc/fstab"]
    assert files["/etc/repart.d/50-pv.conf"] == f"[Partition]\nType={gpt.TYPES[gpt.LVM].lower()}\n"
    assert "systemd.machine_id" not in files["/boot/grub/grub.cfg"]


@pytest.mark.parametrize("given", [(), ("quiet", "systemd.machine_id=0123456789abcdef0123456789abcdef")])
def test_a_root_that_is_read_only_has_the_id_of_its_machine(given: tuple[str, ...]) -> None:
    made = small(size="2 GiB", var=True, root_size="1 GiB", read_only=True)
    image = load_config(ROOT).image("qcow2").model_copy(update={"disk": made, "kernel_args": given})
    menu = {file.path: file.text for file in disk.root_files(image, "i", "Phos 1.0")}["/boot/grub/grub.cfg"]
    words = [word for word in menu.split() if word.startswith("systemd.machine_id=")]
    assert set(words) == {given[1] if given else "systemd.machine_id=firmware"}

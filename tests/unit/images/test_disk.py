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
        filesystems.check_room(layout.partitions(small(**changes), "i"), sizes)
    assert missing in str(caught.value.hint)
    filesystems.check_room(layout.partitions(small(), "i"), {gpt.ROOT: sizes[gpt.ROOT]})

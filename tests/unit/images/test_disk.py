"""Disk images: the table, boot blocks, and the forms that hypervisors and clouds take. No tool is run."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import struct
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from pydantic import ValidationError

from photonbuild.config.disk import Disk
from photonbuild.config.load import load
from photonbuild.config.models import Image
from photonbuild.disk import gpt
from photonbuild.disk import grub as bootloader
from photonbuild.errors import ImageError
from photonbuild.files import sha256_of
from photonbuild.images import cloud, disk, filesystems, layout, ova, vmdk
from photonbuild.images.request import ImageRequest, pack
from photonbuild.images.rootfs import RootfsResult

ROOT = Path(__file__).parents[3]
GIB = 1 << 30
OVF = "{http://schemas.dmtf.org/ovf/envelope/2}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"


def small(**changes: object) -> Disk:
    return Disk.model_validate_json(json.dumps({"size": "1 GiB", **changes}))


def request(tmp_path: Path, name: str, image: Image | None = None) -> ImageRequest:
    config = load(ROOT)
    tar = tmp_path / "root.tar"
    tar.write_bytes(b"")
    return ImageRequest(
        image=image or config.image(name), distribution=config.distribution, seed=tmp_path, macros=[],
        rootfs=RootfsResult(tar=tar, packages=(), kernels=("usr/lib/modules/6.12/vmlinuz",)), extra_rpms=[],
        extra_first=[], data=config.build_dir, provenance={}, identity="0123456789abcdef", loader=tmp_path,
        machine_seed=lambda: tmp_path, workdir=tmp_path, outdir=tmp_path / "out", log=tmp_path / "log",
    )  # fmt: skip


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
        load(ROOT)
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
    sizes = filesystems.needed(tmp_path / "root.tar", split=split)
    assert sizes[gpt.ROOT] >= 300 << 20 and sizes.get(gpt.VAR, 8192) >= 8192
    changes = {"var": True, "root_size": "200 MiB"} if split else {"size": "300 MiB"}
    with pytest.raises(ImageError, match="'root' needs 333 MiB and has") as caught:
        filesystems.check_room(layout.partitions(small(**changes), "i"), sizes)
    assert missing in str(caught.value.hint)
    filesystems.check_room(layout.partitions(small(), "i"), {gpt.ROOT: sizes[gpt.ROOT]})


def test_vhd_footer() -> None:
    footer = cloud.vhd_footer(GIB, identity="i", epoch=cloud.VHD_EPOCH + 5)
    assert len(footer) == 512 and footer.startswith(b"conectix")
    # The specification's checksum: one's complement of the sum of all bytes, its own place taken as zero.
    stated = struct.unpack_from(">I", footer, 64)[0]
    assert stated == ~sum(footer[:64] + bytes(4) + footer[68:]) & 0xFFFFFFFF
    assert struct.unpack_from(">I", footer, 24)[0] == 5
    assert struct.unpack_from(">QQ", footer, 40) == (GIB, GIB)
    assert struct.unpack_from(">I", footer, 60)[0] == 2


@pytest.mark.parametrize(
    ("size", "geometry"),
    [(3 << 20, (90, 4, 17)), (GIB, (2080, 16, 63)), (127 * GIB, (65278, 16, 255))],
)
def test_vhd_geometry(size: int, geometry: tuple[int, int, int]) -> None:
    assert cloud.vhd_geometry(size // 512) == geometry


@pytest.mark.parametrize("written", ["9f3a1c77", "9f3a1c7", "0"])
def test_the_content_id_of_a_vmdk_is_settled(tmp_path: Path, written: str) -> None:
    """Also where the random one is short: qemu-img writes it without leading zeros."""
    header = struct.pack("<4sIIQQQQ", b"KDMV", 3, 0, 2048, 128, 1, 1).ljust(512, b"\0")
    text = b"# Disk DescriptorFile\nversion=1\nCID=%s\nparentCID=ffffffff\n" % written.encode()
    path = tmp_path / "disk.vmdk"
    path.write_bytes(header + text.ljust(512, b"\0") + b"data")
    vmdk.settle(path, "0123456789")
    assert (
        path.read_bytes()
        == header + text.replace(b"\nCID=" + written.encode(), b"\nCID=01234567").ljust(512, b"\0") + b"data"
    )
    path.write_bytes(b"no such thing".ljust(512))
    with pytest.raises(ImageError, match="not a VMDK"):
        vmdk.settle(path, "0123456789")


def test_ovf_references_and_hardware(tmp_path: Path) -> None:
    streamed = tmp_path / "phos-disk1.vmdk"
    streamed.write_bytes(b"x" * 7)
    root = ElementTree.fromstring(ova.ovf(request(tmp_path, "ova"), streamed, 8 * GIB, 300 << 20))
    (file,), (entry,) = root.iter(f"{OVF}File"), root.iter(f"{OVF}Disk")
    assert (file.get(f"{OVF}href"), file.get(f"{OVF}size")) == (streamed.name, "7")
    assert entry.get(f"{OVF}fileRef") == file.get(f"{OVF}id")
    assert entry.get(f"{OVF}capacity") == str(8 * GIB)
    ids = [element.text for element in root.iter() if element.tag.endswith("}InstanceID")]
    assert len(ids) == len(set(ids)) >= 6
    for item in root.iter(f"{OVF}Item"):
        names = [child.tag for child in item]
        assert names == sorted(names), "the schema wants the elements of an item in this order"


def test_ova_order_and_manifest(tmp_path: Path) -> None:
    for name in ("m.ovf", "m.mf", "m-disk1.vmdk"):
        (tmp_path / name).write_text(name)
    pack(tmp_path / "m.ova", {name: tmp_path / name for name in ("m.ovf", "m.mf", "m-disk1.vmdk")}, 1767225600)
    with tarfile.open(tmp_path / "m.ova") as tar:
        assert tar.getnames() == ["m.ovf", "m.mf", "m-disk1.vmdk"]
        assert {member.mtime for member in tar.getmembers()} == {1767225600}
    assert sha256_of(tmp_path / "m.ovf") == hashlib.sha256(b"m.ovf").hexdigest()

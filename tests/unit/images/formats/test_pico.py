"""The pico image: its initramfs, byte for byte, and what it is made of."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from photonbuild.errors import ImageError
from photonbuild.images.formats import pico
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsResult
from tests.support.image_requests import image_request

KERNEL = "usr/lib/modules/6.12-pico/vmlinuz"
FILES = {KERNEL: b"small", "usr/lib/modules/6.12-pico/vmlinux": b"\x7fELF", "usr/lib/pico/init": b"program"}
FILES |= {"usr/lib/pico/zygote.so": b"library", "usr/lib/pico/rehearsal": b"disk", "usr/lib/pico/pico-net": b"network"}


def members(archive: bytes) -> list[tuple[str, int, int, bytes]]:
    """Name, mode, time and content of the files of a newc archive."""
    found: list[tuple[str, int, int, bytes]] = []
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        at += -(-(110 + fields[11]) // 4) * 4
        if name == "TRAILER!!!":
            return found
        found.append((name, fields[1], fields[5], archive[at : at + fields[6]]))
        at += -(-fields[6] // 4) * 4


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1000])
def test_initrd(size: int) -> None:
    archive = pico.cpio(pico.initrd_entries(b"x" * size), 7)
    assert members(archive) == [
        ("dev", 0o040755, 7, b""),
        ("proc", 0o040755, 7, b""),
        ("run", 0o040755, 7, b""),
        ("sys", 0o040755, 7, b""),
        ("init", 0o100755, 7, b"x" * size),
    ]
    assert len(archive) % 512 == 0
    assert archive == pico.cpio(pico.initrd_entries(b"x" * size), 7)


def request(tmp_path: Path, files: dict[str, bytes], kernels: list[str]) -> ImageRequest:
    tar = tmp_path / "root.tar"
    with tarfile.open(tar, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (tmp_path / "work").mkdir()
    rootfs = RootfsResult(tar=tar, kernels=kernels)
    return image_request(tmp_path / "work", "pico", rootfs=rootfs, outdir=tmp_path / "out")


def test_kernel_and_initramfs_come_out_with_their_digests(tmp_path: Path) -> None:
    made = request(tmp_path, FILES, [KERNEL])
    result = pico.build_pico(made)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    prefix = f"{made.distribution.prefix}-pico"
    assert names == {
        f"{prefix}.{part}" for part in ("vmlinux", "vmlinuz", "initrd", "zygote.so", "rehearsal", "net")
    } | {
        f"{prefix}.vmlinux.sha256",
        f"{prefix}.vmlinux.manifest.json",
    }
    assert result.path.read_bytes() == b"\x7fELF"
    initrd = (tmp_path / "out" / f"{prefix}.initrd").read_bytes()
    assert members(initrd)[-1][3] == b"program"
    facts = json.loads(result.manifest.read_text())["facts"]
    assert facts == {
        "kernel": "6.12-pico",
        "vmlinuz": hashlib.sha256(b"small").hexdigest(),
        "initrd": hashlib.sha256(initrd).hexdigest(),
        "zygote.so": hashlib.sha256(b"library").hexdigest(),
        "net": hashlib.sha256(b"network").hexdigest(),
        "rehearsal": hashlib.sha256(b"disk").hexdigest(),
    }


@pytest.mark.parametrize("missing", sorted(FILES))
def test_a_profile_without_a_part_is_an_error(tmp_path: Path, missing: str) -> None:
    files = {name: content for name, content in FILES.items() if name != missing}
    with pytest.raises(ImageError, match="not in the packages") as caught:
        pico.build_pico(request(tmp_path, files, [KERNEL]))
    assert caught.value.where == f"/{missing}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kernels", [[], [KERNEL, "usr/lib/modules/other/vmlinuz"]])
def test_there_is_one_kernel(tmp_path: Path, kernels: list[str]) -> None:
    with pytest.raises(ImageError, match=f"found {len(kernels)}"):
        pico.build_pico(request(tmp_path, FILES, kernels))

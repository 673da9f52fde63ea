"""The ISO image with the seed's real tools: GRUB, FAT, EROFS, xorriso. Only the initramfs is a stand-in."""

from __future__ import annotations

import tarfile
import uuid
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from photonbuild.errors import ImageError
from photonbuild.images import installer
from photonbuild.images.formats import iso
from photonbuild.images.publish import ImageResult
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsResult
from photonbuild.pipeline.configuration import load_config
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT
from tests.support.image_requests import image_request, workspace

KERNEL = "usr/lib/modules/6.12/vmlinuz"
Build = Callable[[str], ImageResult]


def stand_in(request: ImageRequest, dracut_args: Sequence[str]) -> Path:
    path = request.folder / "initramfs.img"
    path.write_bytes(b"initramfs")
    return path


@pytest.fixture
def build(seeded_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setattr(iso, "make_initramfs", stand_in)
    settings = load_config(PROJECT)
    frozen = seed.build(settings, Store.open(seeded_store), "build", print, locked=False, offline=False)
    tar = tmp_path / "root.tar"
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in ((f"./{KERNEL}", b"kernel"), ("./etc/text", b"x" * 100_000)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))

    (tmp_path / "no-loader").mkdir()

    def make(name: str) -> ImageResult:
        work = tmp_path / name
        (work / "image").mkdir(parents=True)
        image = settings.image("iso").model_copy(update={"installer": None})
        request = image_request(
            work / "image", image, seed=frozen.root, loader=tmp_path / "no-loader",  # the seed's own does
            rootfs=RootfsResult(tar=tar, kernels=(KERNEL,)), outdir=work / "out",
        )  # fmt: skip
        return iso.build_iso(request)

    return make


ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")


def test_image_boots_on_both_firmwares_and_is_reproducible(build: Build) -> None:
    one, two = build("one"), build("two")
    assert one.sha256 == two.sha256
    content = one.path.read_bytes()
    assert content[510:512] == b"\x55\xaa"
    assert content[446 + 4] == 0xEE and content[512:520] == b"EFI PART", "no GPT behind a protective MBR"
    entry = content[1024 + 128 : 1024 + 256]
    assert uuid.UUID(bytes_le=entry[:16]) == ESP, "the second partition is no EFI system partition"
    assert content[17 * 2048 + 7 :].startswith(b"EL TORITO SPECIFICATION")
    label = content[16 * 2048 + 40 :][:32].decode().strip()
    assert label.startswith("PHOS_1_0_")
    start = int.from_bytes(entry[32:40], "little") * 512
    esp = content[start:]
    assert esp[54:62] == b"FAT12   "
    assert b"BOOTX64 EFI" in esp
    assert f"root=live:LABEL={label} ".encode() in content


SPEC = """
Name: tiny
Version: 1
Release: 1
Summary: tiny
License: none
BuildArch: noarch
%description
tiny
%install
install -D -m 644 /dev/null %{buildroot}/usr/lib/tiny/kept
install -D -m 644 /dev/null %{buildroot}/usr/share/doc/tiny/left-out
SCRIPTLET
%files
/usr/lib/tiny
/usr/share/doc/tiny
"""


def layer(tmp_path: Path, seeded_store: Path, scriptlet: str) -> tuple[Path, str]:
    """The installer's layer made of one tiny package, and what is in it."""
    frozen = seed.build(load_config(PROJECT), Store.open(seeded_store), "build", print, locked=False, offline=False)
    work = tmp_path / "work"
    (work / "files").mkdir(parents=True)
    (work / "tiny.spec").write_text(SPEC.replace("SCRIPTLET", scriptlet), encoding="utf-8")
    place = workspace(work, seed=frozen.root)
    sandbox = place.sandbox()
    sandbox.run(
        ["rpmbuild", "-bb", "--define", "_rpmdir /work/built", "--define", "_topdir /tmp/rpm", "/work/tiny.spec"]
    )
    (work / "files/usr/lib/installer").mkdir(parents=True)
    (work / "files/usr/lib/installer/module.py").write_text("x = 1\n", encoding="utf-8")
    settings = load_config(PROJECT).image("iso")
    assert isinstance(settings, iso.IsoImage) and settings.installer
    installer.make_layer(place, list((work / "built").rglob("*.rpm")), settings.installer.exclude_paths)
    sandbox.run(["bash", "-c", "unsquashfs -ll /work/layer.squashfs > /work/list"])
    return work / "layer.squashfs", (work / "list").read_text(encoding="utf-8")


def test_the_layer_is_packed_and_reproducible(tmp_path: Path, seeded_store: Path) -> None:
    one, listed = layer(tmp_path / "one", seeded_store, "")
    assert "/usr/lib/tiny/kept" in listed and "/usr/lib/installer/module.py" in listed
    assert "left-out" not in listed
    other, _ = layer(tmp_path / "other", seeded_store, "")
    assert one.read_bytes() == other.read_bytes()


def test_a_package_with_a_scriptlet_cannot_be_in_the_layer(tmp_path: Path, seeded_store: Path) -> None:
    with pytest.raises(ImageError):
        layer(tmp_path, seeded_store, "%post\ntrue\n")
    assert "tiny has the scriptlet %postin, which nothing would run in a layer" in (tmp_path / "work/log").read_text()

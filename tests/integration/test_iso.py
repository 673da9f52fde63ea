"""The ISO image with the seed's real tools: GRUB, FAT, EROFS, xorriso. Only the initramfs is a stand-in."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from photonbuild.config import load as config
from photonbuild.config.models import IsoImage
from photonbuild.errors import ImageError
from photonbuild.images import ImageRequest, ImageResult, InstallerSets, installer, iso
from photonbuild.images.initramfs import Initramfs
from photonbuild.images.rootfs import RootfsResult
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT

KERNEL = "usr/lib/modules/6.12/vmlinuz"
Build = Callable[[str], ImageResult]


def stand_in(request: ImageRequest, dracut_args: Sequence[str]) -> Initramfs:
    path = request.workdir / "initramfs/initramfs.img"
    path.write_bytes(b"initramfs")
    return Initramfs(path=path, packages=())


@pytest.fixture
def build(seeded_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setattr(iso, "make_initramfs", stand_in)
    settings = config.load(PROJECT)
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
        request = ImageRequest(
            image=settings.image("iso"),
            distribution=settings.distribution,
            seed=frozen.root,
            macros=[],
            rootfs=RootfsResult(tar=tar, packages=(), kernels=(KERNEL,)),
            extra_rpms=[],
            extra_first=[],
            data=settings.build_dir,
            provenance={"seed": frozen.digest},
            identity="i1",
            loader=tmp_path / "no-loader",  # the seed's own does
            machine_seed=lambda: tmp_path,
            workdir=work / "image",
            outdir=work / "out",
            log=work / "log",
        )
        return iso.build_iso(request)

    return make


def test_image_boots_on_both_firmwares_and_is_reproducible(build: Build) -> None:
    one, two = build("one"), build("two")
    assert one.sha256 == two.sha256
    content = one.path.read_bytes()
    assert content[510:512] == b"\x55\xaa"
    assert content[446 + 16 + 4] == 0xEF, "the second partition is no EFI system partition"
    assert content[17 * 2048 + 7 :].startswith(b"EL TORITO SPECIFICATION")
    label = content[16 * 2048 + 40 :][:32].decode().strip()
    assert label.startswith("PHOS_1_0_")
    start = int.from_bytes(content[446 + 16 + 8 : 446 + 16 + 12], "little") * 512
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
    settings = config.load(PROJECT)
    frozen = seed.build(settings, Store.open(seeded_store), "build", print, locked=False, offline=False)
    work = tmp_path / "work"
    for name in ("files", "scratch"):
        (work / name).mkdir(parents=True)
    (work / "tiny.spec").write_text(SPEC.replace("SCRIPTLET", scriptlet), encoding="utf-8")
    sandbox = Sandbox(
        layers=(frozen.root,), scratch=work / "scratch", binds=(Bind(source=work, target="/work", readonly=False),)
    )
    sandbox.run(
        ["rpmbuild", "-bb", "--define", "_rpmdir /work/built", "--define", "_topdir /tmp/rpm", "/work/tiny.spec"]
    )
    (work / "files/usr/lib/installer").mkdir(parents=True)
    (work / "files/usr/lib/installer/module.py").write_text("x = 1\n", encoding="utf-8")
    request = ImageRequest(
        image=settings.image("iso"),
        distribution=settings.distribution,
        seed=frozen.root,
        macros=[],
        rootfs=RootfsResult(tar=tmp_path, packages=(), kernels=()),
        extra_rpms=[],
        extra_first=[],
        data=settings.build_dir,
        provenance={},
        identity="i1",
        loader=tmp_path,
        machine_seed=lambda: tmp_path,
        workdir=work,
        outdir=tmp_path / "out",
        log=tmp_path / "log",
    )
    rpms = list((work / "built").rglob("*.rpm"))
    sets = InstallerSets(layer=rpms, packages=[], initramfs=[], first=[], listed={})
    image = settings.image("iso")
    assert isinstance(image, IsoImage) and image.installer
    installer.make_layer(request, image.installer, sets, work)
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
    assert "tiny has the scriptlet %postin, which nothing would run in a layer" in (tmp_path / "log").read_text()

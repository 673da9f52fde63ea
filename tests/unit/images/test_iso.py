"""ISO image: labels, menu, command lines, manifest, publication. No tool is run."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.config.models import Distribution, IsoImage, IsoInstaller
from photonbuild.disk import grub
from photonbuild.errors import ImageError
from photonbuild.images import FORMATS, installer, iso, menu
from photonbuild.images.request import ImageRequest, InstallerSets, manifest, publish
from photonbuild.images.rootfs import Package, RootfsResult

BUILD = Path(__file__).parents[3] / "build"
DISTRIBUTION = Distribution(
    name="Phos", id="phos", version="1.0", dist=".phos1", vendor="phos", triple="x86_64-phos-linux-gnu",
    arch="x86_64", source_date_epoch=1767225600, image_prefix="{id}-{version}-{arch}",
)  # fmt: skip
IMAGE = IsoImage(
    format="iso", profile="default", loader="grub2", initramfs_profile="live", volume_label="PHOS_1_0", menu_timeout=2,
    kernel_args=("console=ttyS0",), autologin_args=("autologin",),
)  # fmt: skip
BASH = Package(name="bash", nevra="bash-5-1.x86_64", license="GPL", source="bash-5-1.src.rpm", size=9, sha256="ab")


@pytest.fixture
def request_(tmp_path: Path) -> ImageRequest:
    tar = tmp_path / "root.tar"
    (tmp_path / "work").mkdir()
    return ImageRequest(
        image=IMAGE, distribution=DISTRIBUTION, seed=tmp_path, macros=[],
        rootfs=RootfsResult(tar=tar, packages=(BASH,), kernels=("usr/lib/modules/6.12/vmlinuz",)),
        extra_rpms=[], extra_first=[], data=tmp_path, provenance={"seed": "d1"}, identity="i1", loader=tmp_path,
        machine_seed=lambda: tmp_path, workdir=tmp_path / "work",
        outdir=tmp_path / "out", log=tmp_path / "log",
    )  # fmt: skip


def test_the_table_of_formats() -> None:
    assert FORMATS["iso"] is iso.build_iso


def test_label_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = iso.content_digest(tmp_path)
    (tmp_path / "a").write_text("2")
    assert iso.content_digest(tmp_path) != first
    assert iso.volume_label("PHOS_1_0", first) == f"PHOS_1_0_{first[:8].upper()}"
    with pytest.raises(ImageError, match="longer than 32"):
        iso.volume_label("X" * 24, first)


def test_menu(request_: ImageRequest) -> None:
    text = menu.menu(entries=iso.entries(request_, "L_1"), label="L_1", timeout=2)
    assert text.count("menuentry ") == 2
    assert "set timeout=2\n" in text
    assert "serial --unit=0 --speed=115200" in text
    live, auto = [line for line in text.splitlines() if line.startswith("  linux ")]
    assert live == "  linux /boot/vmlinuz root=live:LABEL=L_1 console=ttyS0"
    assert auto == f"{live} autologin"


def test_the_installer_is_the_second_entry(request_: ImageRequest) -> None:
    settings = IsoInstaller(
        profile="layer", packages_profile="packages", initramfs_profile="lvm",
        kernel_args=("installer", "systemd.unit=installer.target"),
    )  # fmt: skip
    sets = InstallerSets(layer=[], packages=[], initramfs=[], first=[], listed={"installer_packages": [BASH]})
    request = replace(request_, image=IMAGE.model_copy(update={"installer": settings}), installer=sets)
    titles = [entry.title for entry in iso.entries(request, "L_1")]
    assert titles == ["Phos 1.0", "Install Phos 1.0 to a disk", "Phos 1.0, log in automatically on the console"]
    first, second, third = iso.entries(request, "L_1")
    assert second.arguments == [*first.arguments, "installer", "systemd.unit=installer.target"]
    assert "installer" not in third.arguments
    listed = manifest(request, file="f", sha256="0", size=1, tools=[], facts={})
    assert [package["name"] for package in listed["installer_packages"]] == ["bash"]


def test_units_of_the_layer_are_enabled_by_links() -> None:
    text = (BUILD / "installer/installer.service").read_text(encoding="utf-8")
    assert installer.wanted_by(text) == ["installer.target"]
    assert installer.wanted_by((BUILD / "installer/installer.target").read_text(encoding="utf-8")) == []


def test_titles_are_quoted() -> None:
    assert grub.quoted("it's") == "'it'\\''s'"


@pytest.mark.parametrize("platform", ["i386-pc-eltorito", "x86_64-efi"])
def test_grub_mkimage(platform: str) -> None:
    argv = grub.mkimage_argv(platform, config="/c", output="/o")
    assert argv[:3] == ["grub-mkimage", "-O", platform]
    assert argv[argv.index("-d") + 1] == f"/usr/lib/grub/{platform.removesuffix('-eltorito')}"
    assert {"linux", "iso9660", "serial", "search_label"} <= set(argv)


def test_erofs_uuid_is_named_after_the_packages(request_: ImageRequest) -> None:
    argv = iso.erofs_argv(request_)
    assert "-T1767225600" in argv
    assert argv == iso.erofs_argv(request_)
    assert any(word.startswith("-U") for word in argv)


def test_esp_serial_number_is_the_digest() -> None:
    mkfs, *_ = iso.esp_argvs("0123456789ab")
    assert mkfs[:4] == ["mkfs.vfat", "--invariant", "-i", "01234567"]


@pytest.mark.parametrize(("loader", "size"), [(1, 196608), (65536, 196608), (65537, 262144)])
def test_esp_size(loader: int, size: int) -> None:
    assert iso.esp_size(loader) == size


def test_xorriso_boots_both_firmwares() -> None:
    argv = iso.xorriso_argv("L_1")
    assert argv[argv.index("-volid") + 1] == "L_1"
    assert {"--grub2-mbr", "-eltorito-alt-boot", "--set_all_file_dates"} <= set(argv)


def test_the_kernel_comes_out_of_the_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        member = tarfile.TarInfo("./usr/lib/modules/6.12/vmlinuz")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    version = iso.extract_kernel(tmp_path / "root.tar", ["usr/lib/modules/6.12/vmlinuz"], tmp_path / "k")
    assert (version, (tmp_path / "k").read_bytes()) == ("6.12", b"abc")


@pytest.mark.parametrize("kernels", [[], ["a/1/vmlinuz", "a/2/vmlinuz"]])
def test_not_exactly_one_kernel(tmp_path: Path, kernels: list[str]) -> None:
    with pytest.raises(ImageError, match="must hold one kernel"):
        iso.extract_kernel(tmp_path / "root.tar", kernels, tmp_path / "k")


def test_publish(request_: ImageRequest) -> None:
    image = request_.workdir / "image.iso"
    image.write_bytes(b"image")
    result = publish(request_, image, tools=[BASH], facts={"kernel": "6.12"}, seconds={"total": 1.0})
    digest = hashlib.sha256(b"image").hexdigest()
    assert sorted(path.name for path in request_.outdir.iterdir()) == [
        "phos-1.0-x86_64.iso", "phos-1.0-x86_64.iso.manifest.json", "phos-1.0-x86_64.iso.sha256",
    ]  # fmt: skip
    assert result.checksum.read_text() == f"{digest}  phos-1.0-x86_64.iso\n"
    manifest = json.loads(result.manifest.read_text())
    assert manifest["sha256"] == digest == result.sha256
    assert manifest["packages"][0]["nevra"] == "bash-5-1.x86_64"
    assert manifest["provenance"] == {"seed": "d1"}
    assert manifest["source_date_epoch"] == 1767225600

"""ISO image: labels, menu, command lines, manifest, publication. No tool is run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.disk import grub
from photonbuild.errors import ImageError
from photonbuild.images import installer, live, menu
from photonbuild.images.formats import iso
from photonbuild.images.formats.iso import IsoImage
from photonbuild.images.installer import IsoInstaller
from photonbuild.images.installset import Role, SetProfile
from photonbuild.images.publish import manifest, publish
from photonbuild.images.request import ImageRequest
from tests.support.image_requests import ROOT, image_request, install_sets
from tests.support.packages import package

BUILD = ROOT / "build"
IMAGE = IsoImage(
    format="iso", profile="default", loader="grub2", initramfs_profile="live", volume_label="PHOS_1_0", menu_timeout=2,
    kernel_args=("console=ttyS0",), autologin_args=("autologin",),
)  # fmt: skip
BASH = package("bash")


@pytest.fixture
def request_(tmp_path: Path) -> ImageRequest:
    (tmp_path / "work").mkdir()
    return image_request(
        tmp_path / "work", IMAGE, sets=install_sets(ROOT=[BASH]), outdir=tmp_path / "out", provenance={"seed": "d1"}
    )


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


INSTALLER = IsoInstaller(
    profile="layer", packages_profile="packages", initramfs_profile="lvm",
    kernel_args=("installer", "systemd.unit=installer.target"),
)  # fmt: skip


def test_the_installer_is_the_second_entry(request_: ImageRequest) -> None:
    request = replace(request_, image=IMAGE.model_copy(update={"installer": INSTALLER}))
    titles = [entry.title for entry in iso.entries(request, "L_1")]
    assert titles == ["Phos 1.0", "Install Phos 1.0 to a disk", "Phos 1.0, log in automatically on the console"]
    first, second, third = iso.entries(request, "L_1")
    assert second.arguments == [*first.arguments, "installer", "systemd.unit=installer.target"]
    assert "installer" not in third.arguments


def test_sets_follow_the_settings() -> None:
    assert live.install_sets(IMAGE) == {Role.INITRAMFS: SetProfile(profile="live")}
    assert live.install_sets(IMAGE.model_copy(update={"installer": INSTALLER})) == {
        Role.INITRAMFS: SetProfile(profile="live"),
        Role.INSTALLER_LAYER: SetProfile(profile="layer", over_root=True),
        Role.MEDIUM: SetProfile(profile="packages", over_root=True),
        Role.INSTALLER_INITRAMFS: SetProfile(profile="lvm"),
    }


def test_the_manifest_lists_every_set(request_: ImageRequest) -> None:
    names = ("ROOT", "INITRAMFS", "INSTALLER_LAYER", "MEDIUM", "INSTALLER_INITRAMFS")
    sets = install_sets(**{name: [package(name.lower()), package("a")] for name in names})
    listed = manifest(replace(request_, sets=sets), file="f", sha256="0", size=1, facts={})
    keys = ("packages", "initramfs_packages", "installer_packages", "medium_packages", "installer_initramfs_packages")
    found = {key: [entry["name"] for entry in listed[key]] for key in keys}
    assert found == {key: ["a", name.lower()] for key, name in zip(keys, names, strict=True)}
    plain = manifest(request_, file="f", sha256="0", size=1, facts={})
    assert plain["initramfs_packages"] == [] and "medium_packages" not in plain
    assert plain["packages"] == [
        {
            "name": "bash", "nevra": "bash-1-1.noarch", "license": "GPL", "source": "bash-1-1.src.rpm", "size": 9,
            "sha256": "digest of bash",
        }
    ]  # fmt: skip


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
    argv = live.erofs_argv(request_, "/x.erofs")
    assert "-T1767225600" in argv
    assert argv == live.erofs_argv(request_, "/x.erofs")
    assert any(word.startswith("-U") for word in argv)


def test_esp_serial_number_is_the_digest() -> None:
    mkfs, *_ = iso.esp_argvs("0123456789ab")
    assert mkfs[:4] == ["mkfs.vfat", "--invariant", "-i", "01234567"]


@pytest.mark.parametrize(("loader", "size"), [(1, 196608), (65536, 196608), (65537, 262144)])
def test_esp_size(loader: int, size: int) -> None:
    assert iso.esp_size(loader) == size


def test_xorriso_boots_both_firmwares() -> None:
    argv = iso.xorriso_argv("L_1", "0123")
    assert argv[argv.index("-volid") + 1] == "L_1"
    assert iso.xorriso_argv("L_1", "0123") == argv != iso.xorriso_argv("L_1", "4567")
    assert {"--grub2-mbr", "-eltorito-alt-boot", "--set_all_file_dates"} <= set(argv)


@pytest.mark.parametrize("kernels", [[], ["a/1/vmlinuz", "a/2/vmlinuz"]])
def test_not_exactly_one_kernel(tmp_path: Path, kernels: list[str]) -> None:
    with pytest.raises(ImageError, match="must hold one kernel"):
        live.extract_kernel(tmp_path / "root.tar", kernels, tmp_path / "k")


def test_publish(request_: ImageRequest) -> None:
    image = request_.folder / "image.iso"
    image.write_bytes(b"image")
    result = publish(request_, image, facts={"volume_label": "L_1"}, seconds={"total": 1.0})
    digest = hashlib.sha256(b"image").hexdigest()
    assert sorted(path.name for path in request_.outdir.iterdir()) == [
        "phos-1.0-x86_64.iso", "phos-1.0-x86_64.iso.manifest.json", "phos-1.0-x86_64.iso.sha256",
    ]  # fmt: skip
    assert result.checksum.read_text() == f"{digest}  phos-1.0-x86_64.iso\n"
    listed = json.loads(result.manifest.read_text())
    assert listed["sha256"] == digest == result.sha256
    assert listed["packages"][0]["nevra"] == BASH.nevra
    assert listed["facts"] == {"kernel": "6.12", "volume_label": "L_1"}
    assert listed["provenance"] == {"seed": "d1"}
    assert listed["source_date_epoch"] == 1767225600

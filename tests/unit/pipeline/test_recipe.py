"""What names an image: its identity stays what it was, for every UUID and serial number comes from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.recipe import Recipe
from photonbuild.images.rootfs import RootfsFile
from photonbuild.pipeline.configuration import load_config
from tests.support.packages import package

ROOT = Path(__file__).parents[3]
ISO = """
format: iso
profile: default
loader: grub2
initramfs_profile: live-initramfs
volume_label: PHOS_1_0
installer:
  profile: installer
  packages_profile: installer-packages
  initramfs_profile: installer-initramfs
"""
DISK = "format: raw\nprofile: default\nloader: grub2\ndisk:\n  size: 2 GiB\n"
IMAGES = {"iso": ISO, "raw": DISK, "oci": "format: oci\nprofile: container\n"}
DISTRIBUTION = """
name: Box
id: box
version: "1.0"
dist: .box1
vendor: box
packager: Box packagers <packagers@box.example>
triple: x86_64-box-linux-gnu
arch: x86_64
source_date_epoch: 1767225600
image_prefix: "{id}-{version}-{arch}"
"""


@pytest.fixture
def session(tmp_path: Path) -> Any:
    """A session whose configuration no change of this distribution touches."""
    for name in ("seed.yaml", "signing.yaml", "runtimes.yaml", "filesystems.yaml", "profiles"):
        (tmp_path / "build").mkdir(exist_ok=True)
        (tmp_path / "build" / name).symlink_to(ROOT / "build" / name)
    (tmp_path / "build/distribution.yaml").write_text(DISTRIBUTION)
    (tmp_path / "build/images").mkdir()
    for name, text in IMAGES.items():
        (tmp_path / "build/images" / f"{name}.yaml").write_text(text)
    return SimpleNamespace(config=load_config(tmp_path))


def chosen(role: Role, *names: str) -> InstallSet:
    packages = [replace(package(name), sha256=name * 2) for name in names]
    return InstallSet(role=role, packages=packages)


@pytest.mark.parametrize(
    ("name", "sets", "identity"),
    [
        ("raw", {Role.ROOT: "ab"}, "a8522b101aabf51cf6bd2678f86dcb86a7d3b7a02a0167a45c5ef1cf1e44aabc"),
        ("oci", {Role.ROOT: "ab"}, "d6f62c7cd5dac089db66b6790a9c127ff989172323552cd5f80ff81fac4984a6"),
        (
            "iso",
            {
                Role.MEDIUM: "m",
                Role.INSTALLER_LAYER: "l",
                Role.INSTALLER_INITRAMFS: "i",
                Role.INITRAMFS: "tu",
                Role.ROOT: "ab",
            },
            "d0465513b648948096c0ca2da812ed4a1cf6a695d9fe179b61f1a2cca80796aa",
        ),
    ],
)
def test_the_identity_is_what_it_was(session: Any, name: str, sets: dict[Role, str], identity: str) -> None:
    recipe = Recipe(
        name=name,
        image=session.config.image(name),
        sets={role: chosen(role, *names) for role, names in sets.items()},
        distribution=session.config.distribution,
        authorized_keys=["k1"],
        units=[],
        seeds={},
        macros={},
        roots=session.config.roots,
        files=[RootfsFile(path="/etc/x", text="t", mode=0o600)],
        loader=None,
        programs=[],
    )
    assert recipe.identity == identity

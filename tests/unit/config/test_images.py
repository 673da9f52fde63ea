"""Settings of images that cannot be: one message with file, line and key, before anything is built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from photonbuild.disk.limits import XFS_MINIMUM
from photonbuild.errors import ConfigError
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
VAR = "var: true\n  root_size: 1 GiB"
DATA = "partitions: [{name: data, path: /srv"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "build", tmp_path / "build")
    return tmp_path


def refused(checkout: Path, name: str, old: str, new: str) -> str:
    """The error after this change of an image's file."""
    path = checkout / "build" / "images" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(checkout)
    assert str(caught.value.where).startswith(f"build/images/{name}.yaml") and caught.value.exit_code == 2
    return f"{caught.value.message}\n{caught.value.detail or ''}"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("raw", "size: 2 GiB", "size: 2 GB", "key 'disk.size': a whole number of MiB or GiB is expected, like '8 GiB'"),
        ("raw", "size: 2 GiB", "size: 1.5 GiB", "not '1.5 GiB'"),
        ("raw", "size: 2 GiB", "size: -1 GiB", "not '-1 GiB'"),
        ("raw", "size: 2 GiB", "size: 1000000", "key 'disk.size': "),
        ("raw", "size: 2 GiB", "size: 20000 GiB", "size is at most 16 TiB"),
        ("raw", "size: 2 GiB", "size: 20 MiB", "the parts, 36 MiB without the last one, are larger than size"),
        ("raw", "size: 2 GiB", "size: 2 GiB\n  root_size: 1 GiB", "var and root_size go together"),
        ("raw", "size: 2 GiB", "size: 2 GiB\n  var: true\n  root_size: 3 GiB", "are larger than size"),
        ("raw", "size: 2 GiB", "size: 2 GiB\n  esp_size: 1 MiB", "esp_size is 16 MiB to 1024 MiB"),
        (
            "raw",
            "size: 2 GiB",
            "size: 2 GiB\n  filesystem: reiser4",
            "unknown value 'reiser4' (one of: ext4, xfs, btrfs)",
        ),
        ("raw", "size: 2 GiB", "size: 2 GiB\n  filesystem: btrfs", "a root on btrfs needs an initramfs"),
        ("raw", "size: 2 GiB", "size: 2 GiB\n  var_filesystem: btrfs", "var_filesystem needs 'var: true'"),
        ("raw", "size: 2 GiB", f"size: 2 GiB\n  {VAR}\n  var_subvolumes: [lib]", "need 'var_filesystem: btrfs'"),
        (
            "raw",
            "size: 2 GiB",
            f"size: 2 GiB\n  {DATA}, size: 64 MiB, filesystem: btrfs}}]",
            "btrfs needs at least 128",
        ),
        ("raw", "size: 2 GiB", f"size: 2 GiB\n  {DATA}, size: 1 GiB, subvolumes: [a]}}]", "subvolumes are of btrfs"),
        (
            "raw",
            "size: 2 GiB",
            f"size: 2 GiB\n  {DATA}, size: 1 GiB, filesystem: btrfs, subvolumes: [../a]}}]",
            "key 'disk.partitions.0.subvolumes.0'",
        ),
        ("raw", "size: 2 GiB", "size: 330 MiB\n  filesystem: xfs", f"needs at least {XFS_MINIMUM >> 20} MiB"),
        ("raw", "size: 2 GiB", "sise: 2 GiB", "unknown key 'sise', did you mean 'size'"),
        ("gce", "size: 4 GiB", "size: 4100 MiB", "disks of Compute Engine are whole GiB: 'disk.size'"),
        ("azure", "size: 4 GiB", "size: 4 TiB", "a whole number of MiB or GiB"),
        ("azure", "size: 4 GiB", "size: 2041 GiB", "a VHD holds at most 2040 GiB: 'disk.size'"),
        ("ova", "memory: 2 GiB", "memory: lots", "key 'machine.memory': "),
        ("ova", "machine:\n  processors: 2\n  memory: 2 GiB\n", "", "an appliance needs 'machine'"),
        ("ova", "processors: 2", "processors: 2\n  scsi: ide", "(one of: VirtualSCSI, lsilogic)"),
        ("ova", "processors: 2", "processors: 2\n  ovf: '3.0'", "(one of: 1.1, 2.0)"),
        ("qcow2", "format: qcow2", "format: vdi", "unknown format 'vdi'"),
    ],
)
def test_refused(checkout: Path, name: str, old: str, new: str, message: str) -> None:
    said = refused(checkout, name, old, new)
    assert message in said, said


def test_a_file_system_that_nothing_is_known_of(checkout: Path) -> None:
    (checkout / "build" / "filesystems.yaml").write_text("filesystems:\n  xfs: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"build/filesystems.yaml does not know 'ext4'"):
        load_config(checkout)

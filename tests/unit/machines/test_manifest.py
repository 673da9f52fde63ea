"""What the manifest beside an image says to `photonbuild boot` and `photonbuild verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from photonbuild.errors import VerifyError
from photonbuild.machines.manifest import Manifest, read_manifest

CONTENT = {"platform": "nocloud", "configured": ["/etc/hosts"], "packages": [{"name": "bash"}, {"name": "glibc"}]}


def image_with(folder: Path, text: str) -> Path:
    image = folder / "a.qcow2"
    image.write_bytes(b"")
    image.with_name("a.qcow2.manifest.json").write_text(text)
    return image


def test_platform_configured_files_and_packages(tmp_path: Path) -> None:
    image = image_with(tmp_path, json.dumps(CONTENT))
    known = {"configured": ("/etc/hosts",), "packages": frozenset({"bash", "glibc"})}
    assert read_manifest(image) == Manifest(platform="nocloud", **known)  # type: ignore[arg-type]
    assert read_manifest(image, platform="none") == Manifest(platform=None, **known)  # type: ignore[arg-type]
    assert read_manifest(image, platform="ec2").platform == "ec2"


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="no manifest beside") as caught:
        read_manifest(tmp_path / "a.raw")
    assert caught.value.exit_code == 9 and "--platform" in str(caught.value.hint)
    assert read_manifest(tmp_path / "a.raw", platform="none") == Manifest(platform=None, packages=None)


@pytest.mark.parametrize("change", [{"platform": ...}, {"configured": 3}, {"packages": ...}, {"packages": ["bash"]}])
def test_a_damaged_manifest(tmp_path: Path, change: dict[str, object]) -> None:
    """Three dots: the key is not there."""
    content = {key: value for key, value in {**CONTENT, **change}.items() if value is not ...}
    with pytest.raises(VerifyError, match="manifest is damaged"):
        read_manifest(image_with(tmp_path, json.dumps(content)))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_no_manifest_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(VerifyError, match="manifest is damaged"):
        read_manifest(image_with(tmp_path, text))

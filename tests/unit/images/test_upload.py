"""Upload commands as they are printed: real file names, the provider's options, nothing left of the template."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import jinja2
import pytest

from photonbuild.config.models import DiskImage
from photonbuild.images.formats import FORMATS
from photonbuild.images.publish import ImageResult
from photonbuild.images.upload import upload_commands
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
WANTED = {
    "ami": [
        "ec2 import-snapshot",
        "--ena-support",
        "--boot-mode uefi-preferred",
        "--imds-support v2.0",
        "VolumeSize=4",
    ],
    "azure": [
        "--type page",
        "--hyper-v-generation V1",
        "--hyper-v-generation V2",
        "gen2 --gallery-image-version 1.0.0",
    ],
    "gce": ["images create phos-1-0", "--guest-os-features=UEFI_COMPATIBLE", "--architecture=X86_64", "gs://"],
    "ova": ["govc import.ova", "ovftool", "VBoxManage import"],
    "qcow2": ["virt-install", "--cloud-init clouduser-ssh-key="],
    "oci": ["docker load", "skopeo copy oci-archive:"],
}


def commands(name: str, folder: Path, build: Path = ROOT / "build") -> str:
    config = load_config(ROOT)
    base = folder / f"{config.distribution.prefix}{config.image(name).variant}"
    result = ImageResult(
        path=Path(f"{base}{FORMATS[name].suffix}"), checksum=base, manifest=base, sha256="", size=0, seconds={},
        extras=[Path(f"{base}{suffix}") for suffix in FORMATS[name].extras],
    )  # fmt: skip
    return upload_commands(build, config.image(name), config.distribution, result)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_commands_of_each_provider(name: str) -> None:
    folder = Path.cwd() / "stage" / "images"
    text = commands(name, folder)
    assert all(word in text.replace("\\\n  ", "") for word in WANTED[name]), text
    prefix = "stage/images/phos-1.0-x86_64"
    assert prefix in text and "{{" not in text and str(folder) not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).stderr == ""


def test_file_names_are_quoted() -> None:
    words = shlex.split(commands("gce", Path.cwd() / "my images"), comments=True)
    assert "my images/phos-1.0-x86_64-gce.tar.gz" in words


def test_formats_without_commands() -> None:
    assert commands("raw", Path.cwd()) == ""
    assert commands("iso", Path.cwd()) == ""


def test_a_misspelt_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "upload").mkdir()
    (tmp_path / "upload" / "gce.txt.j2").write_text("gcloud {{ flie }}\n")
    with pytest.raises(jinja2.UndefinedError, match="flie"):
        commands("gce", tmp_path, tmp_path)


def test_every_disk_format_but_raw_has_commands() -> None:
    templates = {path.name.removesuffix(".txt.j2") for path in (ROOT / "build/upload").iterdir()}
    formats = {image.format for image in load_config(ROOT).images.values() if isinstance(image, DiskImage)}
    assert templates == set(WANTED) >= formats - {"raw"}

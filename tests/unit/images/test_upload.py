"""Upload commands as they are printed: real file names, the provider's options, nothing left of the template."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import jinja2
import pytest

from photonbuild.images.formats import FORMATS
from tests.support.image_requests import ROOT, upload_text

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
        "--hyper-v-generation V2 --features SecurityType=Standard\n",
        "--hyper-v-generation V1\n",
    ],
    "gce": [
        "images create phos-1-0",
        "--guest-os-features=UEFI_COMPATIBLE",
        "--architecture=X86_64",
        "gs://",
        '--metadata=ssh-keys="phos:',
    ],
    "ova": ["govc import.spec", "govc import.ova", "ovftool", "VBoxManage import", "seed.iso"],
    "qcow2": ["openstack image create", "virt-install", "--cloud-init clouduser-ssh-key="],
    "oci": ["docker load", "skopeo copy oci-archive:"],
}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_commands_of_each_provider(name: str) -> None:
    folder = Path.cwd() / "stage" / "images"
    text = upload_text(name, folder)
    assert all(word in text.replace("\\\n  ", "") for word in WANTED[name]), text
    prefix = "stage/images/phos-1.0-x86_64"
    assert prefix in text and "{{" not in text and str(folder) not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).stderr == ""


def test_file_names_are_quoted() -> None:
    words = shlex.split(upload_text("gce", Path.cwd() / "my images"), comments=True)
    assert "my images/phos-1.0-x86_64-gce.tar.gz" in words


def test_formats_without_upload_text() -> None:
    assert upload_text("raw", Path.cwd()) == ""
    assert upload_text("iso", Path.cwd()) == ""


def test_a_misspelt_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "build/upload").mkdir(parents=True)
    (tmp_path / "build/upload/gce.txt.j2").write_text("gcloud {{ flie }}\n")
    with pytest.raises(jinja2.UndefinedError, match="flie"):
        upload_text("gce", tmp_path, tmp_path)


def test_every_text_is_of_a_format_and_is_tested() -> None:
    templates = {path.name.removesuffix(".txt.j2") for path in (ROOT / "build/upload").iterdir()}
    assert templates == set(WANTED) <= set(FORMATS)

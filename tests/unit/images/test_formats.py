"""The table of formats, and a new format: one module and one YAML file, nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from photonbuild.images.formats import FORMATS
from photonbuild.pipeline.configuration import load_config
from tests.support.image_requests import ROOT

MODULE = '''
"""A disk with a word in front of it."""

from typing import Literal

from photonbuild.config.models import DiskImage
from photonbuild.images.format import Attachment, Format
from photonbuild.images.publish import publish


class ToyImage(DiskImage):
    format: Literal["toy"]
    word: str


def build_toy(request):
    (request.folder / "disk.toy").write_text(request.image.word)
    return publish(request, request.folder / "disk.toy", seconds={})


FORMAT = Format(
    name="toy",
    model=ToyImage,
    suffix=".toy",
    build=build_toy,
    attachment=Attachment(format="raw", bus="nvme"),
)
'''
SETTINGS = "format: toy\nprofile: default\nloader: grub2\ndisk:\n  size: 1 GiB\nword: hello\n"
USE = """
from pathlib import Path
from photonbuild.images.formats import FORMATS
from photonbuild.machines.drive import boot_drive
from tests.support.image_requests import image_request

work = Path("work")
work.mkdir()
request = image_request(work, "toy")
result = FORMATS["toy"].build(request)
with boot_drive(result.path) as plugged:
    print(result.path.name, plugged.bus, plugged.format, plugged.file.read_text())
"""


def test_every_image_has_a_format_and_every_format_an_image() -> None:
    config = load_config(ROOT)
    assert {image.format for image in config.images.values()} == set(FORMATS)
    for image in config.images.values():
        assert type(image) is FORMATS[image.format].model


def test_formats_that_machines_are_given_are_told_apart_by_their_suffixes() -> None:
    attachments = {(found.suffix, found.attachment) for found in FORMATS.values() if found.attachment}
    suffixes = [suffix for suffix, _ in attachments]
    assert len(suffixes) == len(set(suffixes))


def test_what_a_format_reads_is_there() -> None:
    assert all((ROOT / "build" / name).exists() for found in FORMATS.values() for name in found.data)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The project with one format more."""
    for part in ("build", "photonbuild", "tests/support"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "kernel", "*.lock"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "photonbuild/images/formats/toy.py").write_text(MODULE)
    (tmp_path / "build/images/toy.yaml").write_text(SETTINGS)
    return tmp_path


def said(checkout: Path, *argv: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_format_is_one_module_and_one_file(checkout: Path) -> None:
    assert said(checkout, sys.executable, "-c", USE).split() == ["phos-1.0-x86_64.toy", "nvme", "raw", "hello"]
    assert "photonbuild image toy" in said(checkout, "make", "-n", "toy", "images")


def test_its_settings_are_checked_and_have_a_schema(checkout: Path) -> None:
    code = "from photonbuild.pipeline.configuration import *; print('word' in schema('toy-image')['properties'])"
    assert said(checkout, sys.executable, "-c", code) == "True\n"
    settings = checkout / "build/images/toy.yaml"
    settings.write_text(SETTINGS.replace("hello", "[hello]"))
    code = "from pathlib import Path; from photonbuild.pipeline.configuration import *; load_config(Path.cwd())"
    with pytest.raises(AssertionError, match=r"build/images/toy.yaml:6: key 'word': should be a valid string"):
        said(checkout, sys.executable, "-c", code)

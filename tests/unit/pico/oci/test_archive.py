"""Layouts and archives."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pico.errors import PicoError
from pico.oci.config import parse
from tests.support.oci_images import (
    CONFIG,
    LAYER,
    configuration,
    docker_archive,
    layer,
    oci_layout,
    other,
    packed,
    read,
    unpacked,
)


def test_all_forms_hold_the_same_image(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "layout", [LAYER], CONFIG)
    plain = oci_layout(tmp_path / "plain", [LAYER], CONFIG, packed=False)
    archive = packed(layout, tmp_path / "oci.tar")
    docker = docker_archive(tmp_path / "docker.tar", [LAYER], CONFIG, name="box:1")
    zipped = tmp_path / "docker.tar.gz"
    zipped.write_bytes(gzip.compress(docker.read_bytes()))
    forms = [layout, plain, archive, docker, zipped]
    assert len({read(form).digest for form in forms}) == 1
    assert {unpacked(form, tmp_path) for form in forms} == {LAYER}
    assert read(docker).names == ("box:1",)
    assert read(layout).config.command == ("/bin/sh",)


def test_tags(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path, [LAYER], CONFIG, name="v1")
    assert read(layout, "v1").digest == read(layout).digest
    with pytest.raises(PicoError, match="has no image 'v2'"):
        read(layout, "v2")


def test_two_images_need_a_tag(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "one", [LAYER], CONFIG, name="one")
    second = oci_layout(tmp_path / "two", [LAYER], configuration([LAYER]), name="two")
    index = json.loads((layout / "index.json").read_text())
    index["manifests"] += json.loads((second / "index.json").read_text())["manifests"]
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(PicoError, match="2 images here: one, two"):
        read(layout)


def test_an_index_of_several_architectures(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path, [LAYER], CONFIG)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "amd64"}
    other_one = {**index["manifests"][0], "platform": {"os": "linux", "architecture": "arm64"}, "digest": "sha256:1"}
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [other_one, *index["manifests"]]}))
    assert read(layout).config.env == ("A=b",)
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [other_one]}))
    with pytest.raises(PicoError, match="no image for linux/amd64 here, but for linux/arm64"):
        read(layout)


def _without_config(document: dict[str, Any]) -> None:
    del document["config"]


def _false_digest(document: dict[str, Any]) -> None:
    document["config"]["digest"] = "sha256:../../../etc/passwd"


def _no_layers(document: dict[str, Any]) -> None:
    document["layers"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_config, "has no configuration"),
        (_false_digest, "is no sha256 digest"),
        (_no_layers, "has 0 layers, its configuration speaks of 1"),
    ],
)
def test_bad_manifests(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    layout = oci_layout(tmp_path, [LAYER], CONFIG)
    index = json.loads((layout / "index.json").read_text())
    blob = layout / index["manifests"][0]["digest"].replace("sha256:", "blobs/sha256/")
    document = json.loads(blob.read_text())
    change(document)
    text = json.dumps(document).encode()
    digest = hashlib.sha256(text).hexdigest()
    (blob.parent / digest).write_bytes(text)
    index["manifests"][0]["digest"] = f"sha256:{digest}"
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(PicoError, match=message):
        read(layout)


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PicoError, match="no image here"):
        read(tmp_path / "empty")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(PicoError, match="damaged or no archive"):
        read(tmp_path / "text")


@pytest.mark.parametrize(
    "text",
    [
        "[]", "1", "null", '{"manifests": {}}', '{"manifests": [1]}', '{"manifests": [{"digest": {}}]}',
        '{"manifests": [{"platform": []}]}', '{"manifests": [{"annotations": 3, "digest": []}]}',
        "[" * 100_000, "9" * 5000, '{"manifests": [' + ",".join(["{}"] * 5000) + "]}",
    ],
)  # fmt: skip
def test_documents_that_are_none(tmp_path: Path, text: str) -> None:
    for name in ("index.json", "manifest.json"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(PicoError):
            read(folder)


@pytest.mark.parametrize("config", [[1], {"Cmd": ["\0"]}, {"Env": ["\ud800"]}, {"StopSignal": "9" * 5000}])
def test_configurations_that_are_none(config: Any) -> None:
    with pytest.raises(PicoError):
        parse({**CONFIG, "config": config}, "test")


def test_links_in_an_archive_that_lead_to_themselves(tmp_path: Path) -> None:
    content = layer([other("manifest.json", tarfile.SYMTYPE, "b"), other("b", tarfile.SYMTYPE, "manifest.json")])
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(PicoError, match="no image here"):
        read(tmp_path / "a.tar")

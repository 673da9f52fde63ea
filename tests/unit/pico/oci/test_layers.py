"""Layers, unpacked and checked."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pico.errors import PicoError
from tests.support.oci_images import (
    CONFIG,
    LAYER,
    docker_archive,
    oci_layout,
    read,
    unpacked,
)


def test_damaged_layers(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "l", [LAYER], CONFIG)
    name = read(layout).layers[0].file
    whole = (layout / name).read_bytes()
    for content in (whole[:-20], whole[:60] + b"?" + whole[61:], b"", gzip.compress(LAYER + b"more")):
        (layout / name).write_bytes(content)
        with pytest.raises(PicoError, match="damaged layer"):
            unpacked(layout, tmp_path)
    (layout / name).unlink()
    with pytest.raises(PicoError, match="the layer is missing"):
        unpacked(layout, tmp_path)


def test_a_docker_layer_is_judged_by_what_it_unpacks_to(tmp_path: Path) -> None:
    docker = docker_archive(tmp_path / "d.tar", [LAYER + bytes(512)], CONFIG, name="box:1")
    with pytest.raises(PicoError, match="unpacked it is not sha256:"):
        unpacked(docker, tmp_path)

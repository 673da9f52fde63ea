"""Layers, unpacked and checked."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from pico.errors import PicoError
from pico.oci import layers
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


@pytest.mark.parametrize("chunk", [1 << 20, 7])
def test_a_layer_of_several_gzip_members(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever reading it is interrupted: pigz and estargz write such."""
    monkeypatch.setattr(layers, "CHUNK", chunk)
    layout = oci_layout(tmp_path / "l", [LAYER], CONFIG)
    pieces = [LAYER[at : at + 700] for at in range(0, len(LAYER), 700)]
    content = b"".join(gzip.compress(piece, 1) for piece in [b"", *pieces, b""])
    replaced(layout, content)
    assert unpacked(layout, tmp_path) == LAYER
    replaced(layout, content + bytes(512))
    assert unpacked(layout, tmp_path) == LAYER


def test_a_bomb(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "l", [LAYER], CONFIG)
    replaced(layout, gzip.compress(bytes(20 << 20), 9))
    with pytest.raises(PicoError, match="too large"):
        unpacked(layout, tmp_path, most=10 << 20)
    assert (tmp_path / "out.tar").stat().st_size <= 10 << 20


def replaced(layout: Path, content: bytes) -> None:
    """The layout with another layer under its digest."""
    index = json.loads((layout / "index.json").read_text())
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    manifest["layers"][0]["digest"] = put(blobs, content)
    index["manifests"][0]["digest"] = put(blobs, json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps(index))


def put(blobs: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return f"sha256:{digest}"

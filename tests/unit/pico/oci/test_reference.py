"""What images are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from pico.errors import PicoError
from pico.oci import reference
from tests.support.oci_images import (
    CONFIG,
    LAYER,
    oci_layout,
)


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    oci_layout(tmp_path / "layout", [LAYER], CONFIG)
    (tmp_path / "a.tar").write_bytes(b"")
    assert reference.parse("layout:v1").tag == "v1"
    assert reference.parse("oci:layout").path == tmp_path / "layout"
    assert reference.parse("a.tar").kind == "path"
    assert reference.parse("docker://host:5000/a.tar").text == "host:5000/a.tar:latest"
    assert reference.parse("host.example/team/box:1").has_host
    assert not reference.parse("busybox").has_host
    for wrong in ("./missing", "UPPER", "a b", "oci:missing", "host/x:"):
        with pytest.raises(PicoError):
            reference.parse(wrong)


def test_a_changed_file_is_another_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"1")
    before = reference.parse(str(path)).state()
    path.write_bytes(b"22")
    assert reference.parse(str(path)).state() != before

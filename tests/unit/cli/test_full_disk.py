"""A full disk: one error that says where, its exit code, and nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from photonbuild.cli import options
from photonbuild.cli.main import main
from photonbuild.images.publish import ImageResult
from photonbuild.pipeline.publish import publish_image, write_result


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 10), (errno.EDQUOT, 10), (errno.EIO, 1)])
def test_no_space_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
    """Any other failure of the system is not taken for it."""

    def full(*args: object) -> None:
        raise OSError(number, os.strerror(number), "/from", None, "/full/to")

    monkeypatch.setattr(options, "open_session", full)
    done = CliRunner().invoke(main, ["plan"])
    assert done.exit_code == code
    assert ("error: /full/to: no space left" in done.stderr) == (code == 10)
    assert ("free some space" in done.stderr) == (code == 10)


def test_a_copy_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stage is on a file system of its own."""
    cached = tmp_path / "cached"
    cached.mkdir()
    for name in ("a.iso", "a.iso.sha256", "a.iso.manifest.json"):
        (cached / name).write_text(name)
    files = [cached / name for name in ("a.iso", "a.iso.sha256", "a.iso.manifest.json")]
    result = ImageResult(path=files[0], checksum=files[1], manifest=files[2], sha256="0", size=5, seconds={}, extras=[])
    write_result(cached, result)

    def full(out: int, source: int, offset: int, count: int) -> int:
        os.write(out, b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "sendfile", full)
        patch.setattr("photonbuild.files.FICLONE", 0)
        with pytest.raises(OSError, match="No space left"):
            publish_image(tmp_path / "stage", cached)
    assert list((tmp_path / "stage" / "images").iterdir()) == []
    assert publish_image(tmp_path / "stage", cached).path.read_text() == "a.iso"

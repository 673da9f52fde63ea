"""Where an address leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.errors import ConfigError
from photonbuild.storage.address import open_reader, open_storage
from photonbuild.storage.folder import Folder
from photonbuild.storage.ssh import Ssh
from photonbuild.storage.web import Web

NAMED = {"site": "ssh://www@there:2222/srv/a%20b/", "web": "https://there/phos/"}


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    for address in ("./here", "here", str(tmp_path / "here"), f"file://{tmp_path}/here"):
        assert open_storage(address, {}) == Folder(tmp_path / "here")
    assert open_storage("site", NAMED) == Ssh("www@there", 2222, "/srv/a b")
    assert open_storage("ssh://there/srv", {}) == Ssh("there", None, "/srv")
    assert open_reader("web", NAMED) == Web("https://there/phos")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("siet", "unknown target 'siet', did you mean 'site'"),
        ("ssh://there", "no address of a publication"),
        ("ftp://there/x", "no address of a publication"),
        ("s3://", "no address of a publication"),
        ("web", "can only be read from"),
    ],
)
def test_no_place_to_publish(address: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        open_storage(address, NAMED)

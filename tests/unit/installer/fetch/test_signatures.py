"""Whose signature a downloaded package has to have: that of the repository that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch import signatures
from photonbuild.installer.fetch.signatures import require_signed
from photonbuild.installer.kickstart.model import Repository
from photonbuild.run import Completed

CHECKED = Repository(name="checked", baseurl="https://h.example/a", gpgcheck=True)
PLAIN = Repository(name="plain", baseurl="https://h.example/b")
ONE, OTHER = "one 0:1-1 x86_64", "other 0:1-1 x86_64"
ORIGINS = {ONE: "checked", OTHER: "plain"}


def require(monkeypatch: pytest.MonkeyPatch, folder: Path, names: Sequence[str]) -> list[str]:
    """Files whose signatures are looked at, of two packages that say of themselves that they are these."""
    looked: list[str] = []

    def run(words: Sequence[str | Path], **_: Any) -> Completed:
        looked.extend([Path(words[-1]).name] if "--checksig" in words else [])
        return Completed(argv=(), returncode=0, stdout="".join(f"{name}\n" for name in names))

    monkeypatch.setattr(signatures, "run", run)
    require_signed([Path("a.rpm"), Path("b.rpm")], ORIGINS, [CHECKED, PLAIN], {"checked": [Path("key")]}, folder)
    return looked


def test_what_comes_from_a_repository_with_gpgcheck_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert require(monkeypatch, tmp_path, [ONE, OTHER]) == ["a.rpm"]
    assert require(monkeypatch, tmp_path / "2", [OTHER, ONE]) == ["b.rpm"]


@pytest.mark.parametrize("names", [[OTHER, OTHER], ["third 0:1-1 x86_64", OTHER], [ONE, OTHER, "x"]])
def test_a_package_cannot_pass_for_that_of_another_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: Sequence[str]
) -> None:
    with pytest.raises(FetchError, match="not what the metadata of their repositories say") as caught:
        require(monkeypatch, tmp_path, names)
    assert caught.value.hint and caught.value.detail

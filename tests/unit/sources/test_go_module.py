"""The provider go-module: which files of a module decide on what is vendored. Go itself is not asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from photonbuild.config.sources import GoModule, SourceEntry
from photonbuild.errors import SourceError
from photonbuild.roots import Roots
from photonbuild.sources import fetch

SOURCES = """\
local:
- tar: tool.tar
  folder: ../../src
  parts: [{parts}]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    checkout = tmp_path / "checkout"
    names = ("go.mod", "go.sum", "cmd/tool/main.go", "cmd/tool/main_test.go", "cmd/tool/tool.8", "cmd/other/main.go")
    for name in names:
        (checkout / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "src" / name).write_text("")
    (checkout / "specs" / "tool").mkdir(parents=True)
    return checkout / "specs" / "tool"


def vendored(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: str) -> list[str]:
    """The files that `go mod vendor` would see."""
    (spec / "sources.yaml").write_text(SOURCES.format(parts=parts))
    monkeypatch.setattr(fetch, "go_sandbox", lambda f, binds: SimpleNamespace(run=lambda argv, error: None))
    provider = GoModule(type="go-module", tar="tool.tar")
    entry = SourceEntry(file="tool-vendor.tar", providers=(provider,))
    work = tmp_path / "work"
    fetcher = SimpleNamespace(config=SimpleNamespace(roots=Roots.around(spec)))
    fetch.PROVIDERS[GoModule](cast(Any, fetcher), spec, entry, provider, work)
    return sorted(path.relative_to(work / "module").as_posix() for path in work.rglob("*") if path.is_file())


def test_what_the_tar_holds_of_a_module(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = vendored(spec, tmp_path, monkeypatch, "go.mod, go.sum, cmd/tool")
    assert found == ["cmd/tool/main.go", "go.mod", "go.sum"]


def test_a_tar_without_a_module(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"no go\.mod in tool\.tar"):
        vendored(spec, tmp_path, monkeypatch, "cmd/tool")

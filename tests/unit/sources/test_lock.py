"""Locking sources: what is written is what was fetched, and nothing else of the file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import load_sources
from photonbuild.errors import ConfigError
from photonbuild.files import sha512_of
from photonbuild.pipeline.configuration import load_config
from photonbuild.sources.fetch import Fetcher, lock
from photonbuild.store import Store

TEXT = """\
# Where it comes from.
sources:
    - file: a.txt  # the first
      sha512: "{old}"   # old
      size: 7
      providers: [{{type: local, path: there}}]
    - {{file: b.txt, providers: [{{type: local, path: there}}]}}
    - file: c.txt
      # nothing is locked yet
      providers:
        - {{type: local, path: there}}
# The end.
"""


def folder_with(tmp_path: Path, text: str) -> tuple[Fetcher, Path]:
    folder = tmp_path / "specs" / "tool"
    folder.mkdir(parents=True)
    (folder / "sources.yaml").write_text(text)
    (folder / "there").write_text("there\n")
    store = Store(tmp_path / "store")
    for name in ("tmp", "sources"):
        (store.root / name).mkdir(parents=True)
    config = load_config(Path(__file__).parents[3])
    return Fetcher(config=config, store=store, roots=lambda *names: (tmp_path,)), folder


def test_comments_and_style_stay(tmp_path: Path) -> None:
    fetcher, folder = folder_with(tmp_path, TEXT.format(old="0" * 128))
    assert lock(fetcher, folder) == ["a.txt", "b.txt", "c.txt"]
    text = (folder / "sources.yaml").read_text()
    digest = sha512_of(folder / "there")
    assert all((entry.sha512, entry.size) == (digest, 6) for entry in load_sources(folder).sources)
    for comment in ("# Where it comes from.", "# the first", "# old", "# nothing is locked yet", "# The end."):
        assert comment in text
    assert f"    - file: a.txt  # the first\n      sha512: {digest}   # old\n      size: 6\n" in text
    assert lock(fetcher, folder) == []


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    fetcher, folder = folder_with(tmp_path, "sources:\n  - file: [\n")
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        lock(fetcher, folder)
    assert "sources.yaml:" in str(caught.value.where)

"""Whose the entries of changelogs are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.errors import ConfigError
from photonbuild.packages.macros import distribution_macros
from photonbuild.pipeline.bump import author
from photonbuild.pipeline.configuration import load_config
from photonbuild.sources.specfile import ENTRY

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this distribution's settings, where git knows nobody."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "build").symlink_to(ROOT / "build")
    (tmp_path / "specs").mkdir()
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def config(checkout: Path, text: str = "") -> Config:
    user = checkout / "user.yaml"
    user.write_text(text)
    return load_config(checkout, user_file=user)


def test_the_setting_goes_before_git_and_git_before_the_packager(checkout: Path) -> None:
    found = [author(config(checkout))]
    for key, value in (("user.name", "A Maintainer"), ("user.email", "a@box.example")):
        subprocess.run(["git", "-C", checkout, "config", key, value], check=True)
    found += [author(config(checkout)), author(config(checkout, "packager: B <b@box.example>\n"))]
    packager = config(checkout).distribution.packager
    assert found == [packager, "A Maintainer <a@box.example>", "B <b@box.example>"]
    assert all(ENTRY.match(f"* Sat Nov 21 2026 {each} - 1.0-1") for each in found)


def test_the_packager_of_a_package_is_the_distributions(checkout: Path) -> None:
    configuration = config(checkout)
    assert f"%packager {configuration.distribution.packager}\n" in distribution_macros(configuration)


@pytest.mark.parametrize("text", ["nobody", "<a@b>", "A <a>", "A  B <a@b>", "A <a@b> %{x}", "A <%a@b>", "A\\n <a@b>"])
def test_what_is_no_name_with_an_address_is_refused(checkout: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="packager"):
        config(checkout, f'packager: "{text}"\n')

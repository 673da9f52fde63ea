"""The locks of seeds and how seeds are installed, without installing one."""

from __future__ import annotations

from pathlib import Path

from photonbuild.config.models import Seed
from photonbuild.seeds.seed import mmdebstrap_argv
from photonbuild.sources.apt import apt_configuration


def test_private_apt_configuration_never_names_the_systems(tmp_path: Path) -> None:
    text = apt_configuration(tmp_path, ["deb http://a.example/debian trixie main"]).read_text()
    assert f'Dir::State::status "{tmp_path}/status";' in text
    assert "/etc/apt" not in text and "/var/lib" not in text


def test_mmdebstrap_sees_only_the_local_repository(tmp_path: Path) -> None:
    seed = Seed(suite="trixie", packages=("gcc", "make"), lock="x.lock", exclude_paths=("usr/share/doc/*",))
    argv = mmdebstrap_argv(seed, tmp_path / "repo", tmp_path / "seed.tar")
    assert argv[-1] == f"deb [trusted=yes] copy:{tmp_path}/repo ./"
    assert "--include=gcc,make" in argv
    assert not any("http" in word for word in argv)

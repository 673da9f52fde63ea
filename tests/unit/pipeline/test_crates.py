"""Packages made from a crate: which one, and what cargo says of its versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.pipeline import crates

MANIFEST = """\
[dependencies]
other = "2"
made = { version = "=1.10.2", default-features = false }
beside = { version = "=2.3.0" }
"""


@pytest.mark.parametrize(("version", "name"), [("1.10.2", "made"), ("2.3.0", "beside"), ("2", None), ("9", None)])
def test_the_crate_is_the_dependency_of_the_packages_version(tmp_path: Path, version: str, name: str | None) -> None:
    (tmp_path / "Cargo.toml").write_text(MANIFEST, encoding="utf-8")
    assert crates.find_crate(tmp_path, version) == name


@pytest.mark.parametrize(
    ("said", "newest"),
    [
        ("rpm-sequoia\nAn rpm crate\nversion: 1.10.3\nlicense: LGPL\n", "1.10.3"),
        ("made\nversion: 1.0.0 (latest 2.1.0)\nrust-version: unknown\n", "2.1.0"),
        ("made\nsomething else\n", None),
    ],
)
def test_what_cargo_says_of_versions(said: str, newest: str | None) -> None:
    assert crates.newest_of(said) == newest

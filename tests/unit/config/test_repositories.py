"""Repositories in images: the files that tdnf reads, and keys that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from photonbuild.config.repositories import ARMOR, ClientRepository, repository_files
from photonbuild.errors import ConfigError
from photonbuild.pipeline import recipe
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
GOOD = {
    "id": "fleet",
    "name": "Fleet",
    "baseurl": ["https://one.example/$releasever/packages/$basearch", "https://two.example/x"],
    "key": "fleet.asc",
}


def repository(**changes: object) -> ClientRepository:
    return ClientRepository.model_validate_json(json.dumps({**GOOD, **changes}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.asc").write_text(f"{ARMOR}\n\nabc\n")
    return tmp_path


def test_what_tdnf_reads(folder: Path) -> None:
    files = dict(repository_files([repository(enabled=False, priority=5)], folder.joinpath, where="x"))
    assert files["/etc/yum.repos.d/fleet.repo"] == (
        "[fleet]\nname=Fleet\nbaseurl=https://one.example/$releasever/packages/$basearch https://two.example/x\n"
        "enabled=0\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fleet\npriority=5\n"
    )
    assert files["/etc/pki/rpm-gpg/RPM-GPG-KEY-fleet"].startswith(ARMOR)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "main"},
        {"id": "a b"},
        {"name": "a\nb"},
        {"baseurl": []},
        {"baseurl": ["ftp://x"]},
        {"baseurl": ["https://a b"]},
        {"priority": 0},
        {"gpgcheck": False},
    ],
)
def test_what_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        repository(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("x", "no armored public key"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "is a private key"),
        ("ä", "cannot be read"),
    ],
)
def test_keys_that_are_none(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "fleet.asc").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        repository_files([repository()], tmp_path.joinpath, where="x")


def test_two_of_one_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match="two repositories 'fleet'"):
        repository_files([repository(), repository()], folder.joinpath, where="x")


def test_the_images_own_comes_before_the_users(folder: Path) -> None:
    config = load_config(ROOT)
    key = str(folder / "fleet.asc")
    user = config.user.model_copy(update={"repositories": (repository(key=key, name="User's"),)})
    config = config.__class__(**{**vars(config), "user": user})
    image = config.image("qcow2")
    assert "name=User's\n" in recipe.repository_files(config, "qcow2", image)[0].text
    image = image.model_copy(update={"repositories": (repository(key=key),)})
    assert "name=Fleet\n" in recipe.repository_files(config, "qcow2", image)[0].text
    assert recipe.repository_files(config, "oci", config.image("oci")) == []

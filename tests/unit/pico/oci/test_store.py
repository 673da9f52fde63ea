"""Names of images, and layers that are pulled while others are removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pico.oci import store
from pico.oci.config import ImageConfig
from pico.oci.convert import claim
from pico.oci.reference import Reference, by_name


def image(root: Path, identity: str) -> None:
    staged = root / "staged"
    staged.mkdir(parents=True)
    store.publish(root, staged, identity, {"config": ImageConfig(), "blobs": [], "size": 1})


def meant(root: Path, name: str) -> str | None:
    found = store.known(root, by_name(name))
    return found.id if found else None


def archive(path: str) -> Reference:
    return Reference(kind="path", text=path)


def test_an_archive_takes_no_name_of_another(tmp_path: Path) -> None:
    for identity in ("old", "evil"):
        image(tmp_path, identity)
    store.point(tmp_path, "registry.example/app:1", "old", [])
    assert not claim(tmp_path, "registry.example/app:1", "evil", archive("/evil.tar"))
    assert meant(tmp_path, "registry.example/app:1") == "old"
    assert not claim(tmp_path, "registry.example/new:1", "evil", archive("/evil.tar")), "a registry gives such names"
    assert claim(tmp_path, "box", "old", archive("/old.tar"))
    assert not claim(tmp_path, "box:latest", "evil", archive("/evil.tar"))
    assert (meant(tmp_path, "box"), meant(tmp_path, "registry.example/new:1")) == ("old", None)


def test_the_same_archive_may_be_made_anew(tmp_path: Path) -> None:
    for identity in ("first", "second"):
        image(tmp_path, identity)
        assert claim(tmp_path, "localhost/box:1", identity, archive("/box.tar"))
        assert meant(tmp_path, "localhost/box:1") == identity


@pytest.mark.parametrize("name", ["", "../etc", "/evil.tar", "box:1\n", "a" * 5000, "\x1b[2J", "Box"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    image(tmp_path, "evil")
    assert not claim(tmp_path, name, "evil", archive("/other.tar"))
    assert store.pointers(tmp_path) == []


def test_layers_of_what_is_being_pulled_stay(tmp_path: Path) -> None:
    blob = tmp_path / "blobs/sha256/1"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"layer")
    with store.pulling(tmp_path), store.pulling(tmp_path):
        assert store.remove_blobs(tmp_path) == 0
        assert blob.exists()
    assert store.remove_blobs(tmp_path) == 5

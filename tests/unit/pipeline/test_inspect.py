"""What the commands say of images and logs without building anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from photonbuild.errors import ConfigError, ImageError
from photonbuild.pipeline.describe import as_yaml, description
from photonbuild.pipeline.graph import named_by, own
from photonbuild.pipeline.imagediff import manifest_of, read_manifest
from photonbuild.pipeline.logs import last_log
from tests.support import synthetic
from tests.support.fake_session import fake_session


def test_every_image_is_described_with_all_its_settings(tmp_path: Path) -> None:
    session = fake_session(tmp_path, {})
    for name, image in session.config.images.items():
        found = description(session, name)
        assert found["settings"].keys() == type(image).model_fields.keys()
        root = found["installs"]["root"]
        assert set(session.config.profile(image.profile).packages) <= set(root["packages"])
        assert all("text" in file for file in found["settings"]["files"])
        assert yaml.safe_load(as_yaml(found)) == json.loads(json.dumps(found))
    with pytest.raises(ConfigError, match="unknown image"):
        description(session, "nonesuch")


def test_a_text_of_several_lines_is_shown_as_such() -> None:
    assert as_yaml({"text": "one\ntwo\n", "list": ["a"]}) == "text: |\n  one\n  two\nlist:\n  - a\n"


def test_logs(tmp_path: Path) -> None:
    session = fake_session(tmp_path / "store", synthetic.chain(2))
    store = session.store
    with pytest.raises(ConfigError, match="never built in this store"):
        last_log(session, "c00000")
    kept = store.package("c00000", "0" * 64) / "build.log"
    kept.parent.mkdir(parents=True)
    kept.write_text("kept\n")
    # A package is known by the spec that makes it.
    assert last_log(session, "c00000-devel").path == kept
    (store.root / "logs" / "c00000.log").write_text("last\n")
    store.failed("c00000").mkdir(parents=True)
    found = last_log(session, "c00000")
    assert (found.path.read_text(), found.failed) == ("last\n", True)
    with pytest.raises(ConfigError, match="unknown kind"):
        last_log(session, "seed:build")
    with pytest.raises(ConfigError, match="was never made"):
        last_log(session, f"image:{min(session.config.images)}")


def test_what_names_a_package_itself(tmp_path: Path) -> None:
    session = fake_session(tmp_path, synthetic.chain(3, runtime=True))
    forest = own(session)
    profile = next(iter(session.config.profiles.values()))
    wanted = profile.packages[0]
    assert profile.name in named_by(session, forest, wanted)["profiles"]
    assert named_by(session, forest, "c00000") == {"profiles": [], "images": []}
    assert forest.graph.all_users("c00000") == ["c00001", "c00002"]
    with pytest.raises(ConfigError, match="did you mean 'c00001'"):
        forest.named("c0001")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"size": "1"}', '{"size": 1, "packages": [{"name": 1}]}'])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.raw.manifest.json"
    path.write_text(text)
    with pytest.raises(ImageError, match="the manifest is damaged"):
        read_manifest(path)


def test_where_a_manifest_is(tmp_path: Path) -> None:
    session = fake_session(tmp_path / "store", {})
    path = tmp_path / "x.raw.manifest.json"
    path.write_text("{}")
    for name in (path, tmp_path / "x.raw", tmp_path):
        assert manifest_of(session, str(name)) == path
    with pytest.raises(ConfigError, match="no image 'nonesuch'"):
        manifest_of(session, "nonesuch")

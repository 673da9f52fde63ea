"""The locks of seeds and how seeds are installed, without installing one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pydantic import ValidationError

from photonbuild.config.load import Config
from photonbuild.config.models import Seed, SeedLayer
from photonbuild.errors import SourceError
from photonbuild.files import read_json, write_json
from photonbuild.pipeline.configuration import load_config
from photonbuild.roots import Roots
from photonbuild.seeds import lock, seed
from photonbuild.seeds.install import mmdebstrap_argv, unpack_argv
from photonbuild.seeds.lock import Deb, read_lock, resolve_over
from photonbuild.sources.apt import apt_configuration
from photonbuild.store import Store

ROOT = Path(__file__).parents[3]


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


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The project's, with a layer "top" that is locked over the build seed as that is locked."""
    found = load_config(ROOT)
    layers = {"top": SeedLayer(packages=("a", "b"), lock="top.lock", prune=("usr/x",))}
    root = tmp_path / "checkout"
    (root / "build").mkdir(parents=True)
    found = dataclasses.replace(found, roots=Roots.of(root), seeds=found.seeds.model_copy(update={"layers": layers}))
    base = read_json(ROOT / "build" / "seed.lock")
    write_json(root / "build" / found.seeds.build.lock, base)
    deb = {"path": "pool/main/a/a/a_1_all.deb", "size": 1, "sha256": "0" * 64}
    content = {"base": base["digest"], "digest": "1" * 64, "go_toolchain": None, "packages": [deb]}
    write_json(root / "build" / "top.lock", content)
    return found


def test_a_layer_has_of_the_build_seed_what_it_does_not_say(config: Config) -> None:
    top, build = config.seeds.named("top"), config.seeds.build
    assert (top.packages, top.prune, top.lock, top.go_toolchain) == (("a", "b"), ("usr/x",), "top.lock", None)
    assert (top.suite, top.exclude_paths) == (build.suite, build.exclude_paths)
    assert config.seeds.names == ("build", "image", "machine", "top")
    assert config.seeds.layers_of(["gcc", "b"]) == ("top",) and config.seeds.layers_of(["gcc"]) == ()
    assert {"a", "b", "gcc"} <= config.seeds.build_capabilities


@pytest.mark.parametrize("name", ["build", "machine", "owned"])
def test_names_that_no_layer_can_have(name: str) -> None:
    seeds = load_config(ROOT).seeds
    with pytest.raises(ValidationError, match=f"'{name}' is a name of this file already"):
        type(seeds).model_validate(seeds.model_dump() | {"layers": {name: {"packages": ("a",), "lock": "a.lock"}}})


def test_what_a_layer_is_made_from(config: Config) -> None:
    found = seed.seed_inputs(config, "top")
    assert found["install"] == [*unpack_argv(Path("/package.deb"), Path("/root")), read_lock(config, "build")["digest"]]
    assert found["packages"] == {"a": f"a_1_all.deb {'0' * 64}"}
    assert found["freeze"]["prune"] == ["usr/x"] and found["freeze"]["check_devel"]


def test_a_layer_over_another_build_seed(config: Config, tmp_path: Path) -> None:
    path = config.root / "build" / config.seeds.build.lock
    write_json(path, read_json(path) | {"digest": "2" * 64})
    with pytest.raises(SourceError, match="the top seed is locked for another build seed") as caught:
        seed.build(config, Store.open(tmp_path / "store"), "top", print, locked=False, offline=False)
    assert caught.value.hint == "photonbuild seed lock top"


def test_a_layer_changes_no_package_of_the_seed_below(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text("Package: libc6\nStatus: install ok installed\n\nPackage: gcc\nStatus: install ok installed\n")
    debs = [Deb(path=f"pool/main/x/{name}_2_amd64.deb", size=1, sha256="0" * 64) for name in ("a", "libc6")]
    monkeypatch.setattr(lock, "_listed", lambda *words, **options: tuple(debs))
    with pytest.raises(SourceError, match="other versions of libc6 than are needed"):
        resolve_over(config, config.seeds.named("top"), status)
    del debs[1]
    assert resolve_over(config, config.seeds.named("top"), status) == tuple(debs)

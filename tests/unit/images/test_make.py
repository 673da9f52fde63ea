"""What an image's key is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.make import image_inputs
from photonbuild.images.recipe import Recipe
from photonbuild.images.rootfs import RootfsFile
from photonbuild.keys import differences
from photonbuild.pipeline.configuration import load_config
from photonbuild.roots import Roots
from photonbuild.seeds.frozen import FrozenSeed
from tests.support.packages import package

ROOT = Path(__file__).parents[3]


def seeds(**digests: str) -> Mapping[str, FrozenSeed]:
    return {
        name: FrozenSeed(name=name, digest=digest, root=Path("/seed"), elf=frozenset())
        for name, digest in digests.items()
    }


@pytest.fixture
def recipe() -> Recipe:
    config = load_config(ROOT)
    root = InstallSet(role=Role.ROOT, packages=[package("base")], first=["base"])
    return Recipe(
        name="qcow2",
        image=config.image("qcow2"),
        distribution=config.distribution,
        sets={Role.ROOT: root},
        authorized_keys=[],
        files=[RootfsFile(path="/etc/x", text="x")],
        units=[],
        loader=None,
        programs=[],
        seeds=seeds(build="b1", machine="m1"),
        macros={"macros.10-policy": "p1"},
        roots=config.roots,
    )


def test_every_input_is_seen_and_named(recipe: Recipe) -> None:
    root = recipe.sets[Role.ROOT]
    changes: dict[str, dict[str, Any]] = {
        "sets root first: base → base bash": {"sets": {Role.ROOT: replace(root, first=["base", "bash"])}},
        "sets root packages more-1-1.noarch: absent → digest of more": {
            "sets": {Role.ROOT: replace(root, packages=[*root.packages, package("more")])}
        },
        "seeds machine: m1 → m2": {"seeds": seeds(build="b1", machine="m2")},
        "macros macros.10-policy: p1 → p2": {"macros": {"macros.10-policy": "p2"}},
        "settings profile: cloud → base": {"image": recipe.image.model_copy(update={"profile": "base"})},
        "authorized_keys: nothing → ssh-ed25519 A": {"authorized_keys": ["ssh-ed25519 A"]},
        "files /etc/x: 0644 2d711642b726 → 0600 2d711642b726": {
            "files": [RootfsFile(path="/etc/x", text="x", mode=0o600)]
        },
    }
    for said, change in changes.items():
        assert differences(image_inputs(recipe), image_inputs(replace(recipe, **change))) == [said]


def test_the_code_is_that_of_the_format_and_what_it_imports(recipe: Recipe) -> None:
    names = set(image_inputs(recipe)["code"])
    assert {
        "photonbuild/images/formats/qcow2.py",
        "photonbuild/images/make.py",
        "photonbuild/images/inside/rootfs.py",
        "photonbuild/images/inside/xfs.py",
        "photonbuild/sandbox/init.py",
    } <= names
    assert not {name for name in names if "/formats/" in name} - {
        "photonbuild/images/formats/__init__.py",
        "photonbuild/images/formats/qcow2.py",
    }
    assert not {name for name in names if name.startswith(("pico/", "photonbuild/cli/", "photonbuild/pipeline/"))}


def test_the_mode_of_a_data_file_counts(recipe: Recipe, tmp_path: Path) -> None:
    script = tmp_path / "build/dracut/90live" / "setup.sh"
    script.parent.mkdir(parents=True)
    script.write_text("true\n")
    script.chmod(0o644)
    config = load_config(ROOT)
    iso = replace(recipe, name="iso", image=config.image("iso"), roots=Roots.of(tmp_path))
    before = image_inputs(iso)
    script.chmod(0o755)
    assert [line.partition(":")[0] for line in differences(before, image_inputs(iso))] == [
        "data dracut/90live/setup.sh"
    ]


def test_the_program_on_the_medium_is_an_input_of_the_iso(recipe: Recipe) -> None:
    iso = replace(recipe, name="iso", image=load_config(ROOT).image("iso"))
    assert "photonbuild/installer/execute.py" in image_inputs(iso)["code"]
    assert "photonbuild/installer/execute.py" not in image_inputs(recipe)["code"]

"""What replaces what: in the configuration, as a notice, and in diff-upstream."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.config.project import Extends
from photonbuild.errors import ConfigError
from photonbuild.packages.macros import distribution_macros, macro_files
from photonbuild.pipeline.configuration import load_config
from photonbuild.projects.create import create
from photonbuild.projects.differences import differences, notice
from photonbuild.projects.resolve import Finder
from photonbuild.store import Store


@pytest.fixture
def own(tmp_path: Path, below: Path, store: Store) -> Path:
    return create(tmp_path / "edge", Extends(path=str(below)), Finder(store=lambda: store))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_fields_of_the_identity_are_replaced_one_by_one(own: Path, below: Path) -> None:
    write(own / "build/distribution.yaml", "name: Edge\nid: edge\ndist: .edge1\n")
    config, before = load_config(own), load_config(below)
    assert (config.distribution.name, config.distribution.prefix) == ("Edge", "edge-1.0-x86_64")
    assert config.distribution.packager == before.distribution.packager
    assert "%dist .edge1\n" in distribution_macros(config)
    said = notice(config.roots)
    assert said == "this project's build/distribution.yaml changes dist, id, name: every package is one of its own"


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("nam: Edge\n", "build/distribution.yaml:1", "unknown key 'nam', did you mean 'name'"),
        ("name: Edge\nversion: 2.0\n", "build/distribution.yaml:2", "key 'version'"),
        ("- name\n", "build/distribution.yaml:1", "a mapping"),
    ],
)
def test_mistakes_in_the_identity(own: Path, text: str, where: str, message: str) -> None:
    write(own / "build/distribution.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_config(own)
    assert caught.value.where == where and message in caught.value.message


def test_profiles_images_and_macros_are_replaced_by_name(own: Path, below: Path) -> None:
    write(own / "build/profiles/base.yaml", "name: base\ndescription: less\npackages: [bash]\n")
    write(own / "build/macros/macros.10-policy", "%own 1\n")
    config = load_config(own)
    assert config.profile("edge").packages == ("bash", "edge-hello")
    assert macro_files(config) == (own / "build/macros/macros.10-policy",)
    said = str(notice(config.roots)).splitlines()
    assert said == [
        "this project's build/macros/macros.10-policy replaces ../phos/build/macros/macros.10-policy",
        "this project's build/profiles/base.yaml replaces ../phos/build/profiles/base.yaml",
    ]


def test_a_mistake_below_names_its_root(own: Path, below: Path) -> None:
    path = below / "build/profiles/base.yaml"
    path.write_text(path.read_text().replace("packages:", "pakages:"))
    with pytest.raises(ConfigError) as caught:
        load_config(own)
    assert str(caught.value.where).startswith("../phos/build/profiles/base.yaml:")


def test_counts_of_rebuilds_are_merged(own: Path, below: Path) -> None:
    write(below / "build/rebuilds.yaml", "rebuilds: {bash: 2}\n")
    write(own / "build/rebuilds.yaml", "rebuilds: {edge-hello: 1}\n")
    assert load_config(own).rebuilds == {"bash": 2, "edge-hello": 1}
    write(own / "build/rebuilds.yaml", "rebuilds: {edge-helo: 1}\n")
    with pytest.raises(ConfigError, match="did you mean 'edge-hello'"):
        load_config(own)


def test_the_diff(own: Path, below: Path) -> None:
    write(below / "specs/bash/old.patch", "old\n")
    write(own / "specs/bash/bash.spec", "Name: bash\nVersion: 2\n")
    write(own / "specs/bash/logo.png", "\0")
    (own / "specs/bash/logo.png").write_bytes(b"\xff\0")
    write(own / "build/profiles/base.yaml", (below / "build/profiles/base.yaml").read_text())
    write(own / "build/distribution.yaml", "name: Edge\n")
    found = {difference.name: difference for difference in differences(load_config(own).roots)}
    assert {name: difference.state for name, difference in found.items()} == {
        "build/distribution.yaml": "changes",
        "build/images/edge.yaml": "own",
        "build/profiles/base.yaml": "same",
        "build/profiles/edge.yaml": "own",
        "specs/bash": "replaces",
        "specs/edge-hello": "own",
    }
    assert found["specs/bash"].diff == (
        "--- a/specs/bash/bash.spec\n+++ b/specs/bash/bash.spec\n@@ -1 +1,2 @@\n Name: bash\n+Version: 2\n"
        "Binary files /dev/null and b/specs/bash/logo.png differ\n"
        "--- a/specs/bash/old.patch\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
    )
    assert "+name: Edge" in found["build/distribution.yaml"].diff


def test_the_command(own: Path, below: Path, store: Store) -> None:
    write(own / "specs/bash/bash.spec", "Name: bash\nVersion: 2\n")
    options = ["--root", str(own), "--store", str(store.root)]
    done = CliRunner().invoke(main, ["diff-upstream", "specs/bash", *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("replaces  specs/bash\n--- a/specs/bash/bash.spec\n")
    assert "this project's specs/bash replaces ../phos/specs/bash" in done.stderr
    done = CliRunner().invoke(main, ["diff-upstream", "--names-only", *options])
    assert done.stdout.splitlines()[-2:] == ["replaces  specs/bash", "own       specs/edge-hello"]
    done = CliRunner().invoke(main, ["diff-upstream", "specs/bsh", *options])
    assert done.exit_code == 2 and "did you mean 'specs/bash'" in done.stderr

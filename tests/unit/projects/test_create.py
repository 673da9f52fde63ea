"""photonbuild init: what it makes, and that it makes it whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.config.project import LOCK, Extends
from photonbuild.errors import ConfigError
from photonbuild.installer.kickstart import parse
from photonbuild.pipeline.configuration import load_config
from photonbuild.projects import create as module
from photonbuild.projects.create import create
from photonbuild.projects.differences import notice
from photonbuild.projects.resolve import Finder
from photonbuild.store import Store


def finder(store: Store) -> Finder:
    return Finder(store=lambda: store)


def test_what_it_makes(tmp_path: Path, below: Path, store: Store) -> None:
    made = create(tmp_path / "My Edge", Extends(path=str(below)), finder(store))
    assert yaml.safe_load((made / "build/project.yaml").read_text()) == {"extends": {"path": "../phos"}}
    config = load_config(made)
    assert config.profile("myedge").packages[-1] == "myedge-hello"
    assert config.image("myedge").profile == "myedge"
    assert (made / "specs/myedge-hello/myedge-hello.spec").read_text().startswith("Name:           myedge-hello\n")
    assert parse.load(made / "kickstarts/myedge.yaml").disk == "SERIAL=QM00001"
    assert {".gitignore", ".github", "Makefile", "README.md", "checks"} <= {path.name for path in made.iterdir()}
    rendered = [path for path in made.rglob("*") if path.is_file() and path.parent.name != "workflows"]
    assert not any("{{" in path.read_text() for path in rendered)
    assert yaml.safe_load((made / ".github/workflows/images.yaml").read_text())["jobs"]["images"]["steps"]
    assert notice(config.roots) is None
    assert not (made / LOCK).exists()


def test_a_name_that_is_taken_below_is_not_taken_again(tmp_path: Path, below: Path, store: Store) -> None:
    made = create(tmp_path / "qcow2", Extends(path=str(below)), finder(store))
    assert [path.name for path in (made / "build/images").iterdir()] == ["qcow2own.yaml"]


def test_over_git_it_is_locked(tmp_path: Path, git: Callable[..., str], store: Store) -> None:
    made = create(tmp_path / "edge", Extends(git=str(tmp_path / "phos"), ref="main"), finder(store))
    assert f'commit: "{git("rev-parse", "HEAD")}"' in (made / LOCK).read_text()
    assert load_config(made, store=store.root).image("edge").variant == "-edge"
    assert "PHOTONBUILD ?= photonbuild\n" in (made / "Makefile").read_text()


@pytest.mark.parametrize("name", ["full", "file", "missing/edge"])
def test_where_it_makes_nothing(tmp_path: Path, below: Path, store: Store, name: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as caught:
        create(tmp_path / name, Extends(path=str(below)), finder(store))
    assert caught.value.exit_code == 2 and caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(tmp_path: Path, below: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edge").mkdir()
    monkeypatch.chdir(tmp_path / "edge")
    done = CliRunner().invoke(main, ["init", ".", "--extends", str(below)])
    assert done.exit_code == 0, done.output
    assert "cd ." in done.stderr
    assert (tmp_path / "edge/build/project.yaml").exists()


def test_a_mistake_in_what_is_extended_leaves_nothing(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ConfigError):
        create(tmp_path / "edge", Extends(path=str(tmp_path / "none")), finder(store))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def _slowly(target: Path, below: Path, store: Path, seconds: float) -> None:
    real = module._write

    def write(*words: object, **options: object) -> None:
        real(*words, **options)  # type: ignore[arg-type]
        time.sleep(seconds)

    module._write = write
    create(target, Extends(path=str(below)), finder(Store.open(store)))


def test_a_killed_one_leaves_nothing_and_the_next_sweeps(tmp_path: Path, below: Path, store: Store) -> None:
    target = tmp_path / "place/edge"
    target.parent.mkdir()
    process = multiprocessing.get_context("fork").Process(target=_slowly, args=(target, below, store.root, 30))
    process.start()
    deadline = time.monotonic() + 30
    while not list(target.parent.glob(".edge.init-*/build/project.yaml")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # One that lives is not swept.
    create(target, Extends(path=str(below)), finder(store))
    assert len(list(target.parent.iterdir())) == 2
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    create(target.parent / "other", Extends(path=str(below)), finder(store))
    with pytest.raises(ConfigError, match="not empty"):
        create(target, Extends(path=str(below)), finder(store))
    (target.parent / "edge").rename(tmp_path / "moved")
    create(target, Extends(path=str(below)), finder(store))
    assert sorted(path.name for path in target.parent.iterdir()) == ["edge", "other"]


def test_of_two_at_once_one_makes_it(tmp_path: Path, below: Path, store: Store) -> None:
    target = tmp_path / "place/edge"
    target.parent.mkdir()
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_slowly, args=(target, below, store.root, 0.2)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert sorted(process.exitcode == 0 for process in both) == [False, True]
    assert [path.name for path in target.parent.iterdir()] == ["edge"]
    assert load_config(target).image("edge")

"""What a project extends: in a folder, in git at a locked commit, or as it came with the program."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild import version
from photonbuild.config.project import LOCK, Locked, write_lock
from photonbuild.errors import ConfigError, PhotonbuildError, SourceError
from photonbuild.pipeline.configuration import load_config
from photonbuild.projects import resolve
from photonbuild.projects.relock import relock
from photonbuild.projects.resolve import Finder, roots_of
from photonbuild.projects.tree import TreeError, tree_digest, write_archive
from photonbuild.roots import Roots
from photonbuild.store import Store
from tests.unit.projects.conftest import ROOT

Git = Callable[..., str]


def project(folder: Path, extends: str) -> Path:
    (folder / "build").mkdir(parents=True, exist_ok=True)
    (folder / "build/project.yaml").write_text(f"extends: {{{extends}}}\n")
    return folder


def find(root: Path, store: Store, *, offline: bool = False) -> Roots:
    return roots_of(root, Finder(store=lambda: store, offline=offline))


def error(kind: type[PhotonbuildError], call: Callable[[], object]) -> PhotonbuildError:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def test_a_checkout_is_one_root(store: Store) -> None:
    assert find(ROOT, store) == Roots.of(ROOT)


def test_a_folder(tmp_path: Path, below: Path, store: Store) -> None:
    own = project(tmp_path / "own", "path: ../phos")
    roots = find(own, store)
    assert [layer.path for layer in roots.layers] == [own, below]
    assert roots.where(below / "build/seed.yaml") == "../phos/build/seed.yaml"
    config = load_config(own)
    assert config.distribution == load_config(below).distribution
    assert config.stage_dir == own / "stage"


def test_a_project_over_a_project(tmp_path: Path, below: Path, store: Store) -> None:
    middle = project(tmp_path / "company", "path: ../phos")
    team = project(tmp_path / "team", "path: ../company")
    assert [layer.path for layer in find(team, store).layers] == [team, middle, below]
    project(below, "path: ../team")
    assert "extends itself" in error(ConfigError, lambda: find(team, store)).message


@pytest.mark.parametrize(
    ("extends", "line", "message"),
    [
        ("path: ../fos", 1, "there is no distribution in"),
        ("pth: ../phos", 1, "unknown key 'pth', did you mean 'path'"),
        ("path: ../phos, installed: true", 1, "one of 'path', 'git' with 'ref' and 'installed: true' is expected"),
        ("git: ../phos", 1, "'git' and 'ref' go together"),
        ("git: --upload-pack=touch, ref: main", 1, "is no address or name that git takes"),
        ("git: 'ext::sh -c touch', ref: main", 1, "is no address or name that git takes"),
        ("git: ../phos, ref: --output=x", 1, "is no address or name that git takes"),
    ],
)
def test_mistakes(tmp_path: Path, below: Path, store: Store, extends: str, line: int, message: str) -> None:
    own = project(tmp_path / "own", extends)
    found = error(ConfigError, lambda: find(own, store))
    assert (found.where, found.exit_code) == (f"build/project.yaml:{line}", 2)
    assert message in found.message


def test_git(tmp_path: Path, git: Git, store: Store) -> None:
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    assert error(ConfigError, lambda: find(own, store)).hint == "photonbuild project lock"
    assert relock(own, lambda: store) == [f"locked: ../phos main, commit {git('rev-parse', 'HEAD')}"]
    roots = find(own, store, offline=True)
    assert roots.layers[1].label == f"phos@{git('rev-parse', 'HEAD')[:12]}:"
    assert roots.layers[1].path.is_relative_to(store.root / "upstream")
    # What is locked stays, whatever is committed there.
    (tmp_path / "phos/specs/bash/bash.spec").write_text("Name: bash\nVersion: 2\n")
    git("commit", "-qam", "two")
    assert find(own, store) == roots
    (own / "specs/bash").mkdir(parents=True)
    (own / "specs/bash/bash.spec").write_text("Name: bash\nVersion: 3\n")
    first, second = relock(own, lambda: store)
    assert first.endswith(f"→ ../phos main, commit {git('rev-parse', 'HEAD')}")
    assert second.startswith("specs/bash, which this project replaces, has changed there")
    assert find(own, store).find("specs/bash") == own / "specs/bash"
    assert relock(own, lambda: store)[0].startswith("unchanged:")


def test_what_the_lock_names_is_fetched_where_the_store_has_it_not(tmp_path: Path, git: Git, store: Store) -> None:
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    relock(own, lambda: store)
    git("commit", "-q", "--allow-empty", "-m", "later")
    other = Store.open(tmp_path / "other")
    found = error(SourceError, lambda: find(own, other, offline=True))
    assert "is not in the store" in found.message and found.hint == "run once without --offline"
    assert find(own, other).layers[1].path.is_relative_to(other.root)
    assert list((other.root / "tmp").iterdir()) == []


def test_another_digest_is_refused(tmp_path: Path, git: Git, store: Store) -> None:
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    commit = git("rev-parse", "HEAD")
    write_lock(own, Locked(git="../phos", ref="main", commit=commit, digest="ab" * 32))
    found = error(SourceError, lambda: find(own, store))
    assert found.exit_code == 4
    assert "this is not what was locked" in found.message and "says abababababababab…" in found.message
    assert list((store.root / "upstream").iterdir()) == []


def test_damage_in_the_store_is_mended(tmp_path: Path, git: Git, store: Store) -> None:
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    relock(own, lambda: store)
    spec = find(own, store).layers[1].path / "specs/bash/bash.spec"
    spec.write_text("Name: evil\n")
    found = error(SourceError, lambda: find(own, store, offline=True))
    assert "is not in the store" in found.message
    assert find(own, store).find("specs/bash/bash.spec").read_text() == "Name: bash\n"


def test_a_lock_of_something_else(tmp_path: Path, git: Git, store: Store) -> None:
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    relock(own, lambda: store)
    project(own, "git: ../phos, ref: v2")
    found = error(ConfigError, lambda: find(own, store))
    assert found.where == LOCK
    assert found.message == "this is the lock of ../phos main, the project extends ../phos v2"
    (own / LOCK).write_text("comit: 12\n")
    assert "did you mean 'commit'" in str(error(ConfigError, lambda: find(own, store)).detail)


def test_tags_commits_and_what_is_not_there(tmp_path: Path, git: Git, store: Store) -> None:
    commit = git("rev-parse", "HEAD")
    git("tag", "-am", "a tag with a text", "v1")
    git("commit", "-q", "--allow-empty", "-m", "later")
    for ref in ("v1", commit):
        own = project(tmp_path / ref, f"git: ../phos, ref: {ref}")
        assert relock(own, lambda: store) == [f"locked: ../phos {ref}, commit {commit}"]
    own = project(tmp_path / "own", "git: ../phos, ref: v9")
    found = error(SourceError, lambda: relock(own, lambda: store))
    assert found.message == "there is no branch or tag 'v9'" and found.hint == "it has: main, v1"
    own = project(tmp_path / "none", f"git: ../phos, ref: {'0' * 40}")
    assert "git cannot fetch the commit 000000000000" in error(SourceError, lambda: relock(own, lambda: store)).message


def test_a_checkout_of_git_is_the_same_everywhere(
    tmp_path: Path, git: Git, below: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters, hooks and line endings of the user's own settings have no part in it."""
    (below / ".gitattributes").write_text("*.spec filter=evil\n")
    git("add", "-A")
    git("commit", "-qm", "attributes")
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    relock(own, lambda: store)
    first = (own / LOCK).read_text()
    (own / LOCK).unlink()
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    hook = home / "hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {home}/ran\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[core]\n\tautocrlf = true\n\thooksPath = {home}/hooks\n[filter "evil"]\n\tsmudge = sed s/bash/evil/\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME")
    relock(own, lambda: Store.open(tmp_path / "other"))
    assert (own / LOCK).read_text() == first
    assert not (home / "ran").exists()


def test_links_that_lead_outside_are_refused(tmp_path: Path, git: Git, below: Path, store: Store) -> None:
    (below / "build/images/secret.yaml").symlink_to("/etc/shadow")
    git("add", "-A")
    git("commit", "-qm", "a link")
    own = project(tmp_path / "own", "git: ../phos, ref: main")
    assert "is a link to a place outside" in error(SourceError, lambda: relock(own, lambda: store)).message


def test_a_tree_has_one_digest(tmp_path: Path) -> None:
    def tree(name: str, umask: int) -> Path:
        before = os.umask(umask)
        try:
            for path in ("b/x", "a"):
                (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / path).write_text(path)
        finally:
            os.umask(before)
        return tmp_path / name

    one, other = tree("one", 0o022), tree("other", 0o077)
    os.utime(other / "a", (1, 1))
    assert tree_digest(one) == tree_digest(other)
    seen = {tree_digest(one)}
    (other / "a").chmod(0o755)
    seen.add(tree_digest(other))
    (other / "a").write_text("else")
    seen.add(tree_digest(other))
    (other / "a").rename(other / "c")
    seen.add(tree_digest(other))
    (other / "a").symlink_to("c")
    seen.add(tree_digest(other))
    assert len(seen) == 5
    (other / "d").symlink_to("../one/a")
    with pytest.raises(TreeError, match="link to a place outside"):
        tree_digest(other)
    (other / "d").unlink()
    os.mkfifo(other / "pipe")
    with pytest.raises(TreeError, match="neither a file nor a folder"):
        tree_digest(other)


def test_what_came_with_the_program(tmp_path: Path, below: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    own = project(tmp_path / "own", "installed: true")
    assert "brought no distribution" in error(ConfigError, lambda: relock(own, lambda: store)).message
    archive, built = tmp_path / "distribution.tar.xz", tmp_path / "built.json"
    names = [path.relative_to(below).as_posix() for path in below.rglob("*") if path.is_file()]
    write_archive(below, names, archive)
    built.write_text(json.dumps({"commit": "c" * 40, "distribution": tree_digest(below)}))
    monkeypatch.setattr(version, "ARCHIVE", archive)
    monkeypatch.setattr(version, "BUILT", built)
    relock(own, lambda: store)
    path = find(own, store, offline=True).layers[1].path
    assert tree_digest(path) == tree_digest(below)
    shutil.rmtree(below)
    assert load_config(own, store=store.root).distribution.id == "phos"
    built.write_text(json.dumps({"commit": "d" * 40, "distribution": "ab" * 32}))
    found = error(ConfigError, lambda: find(own, store))
    assert "the lock is of photonbuild" in found.message and "project lock" in str(found.hint)
    (own / LOCK).unlink()
    relock_error = error(SourceError, lambda: relock(own, lambda: store))
    assert "this is not what was locked" in relock_error.message
    assert not list((store.root / "tmp").iterdir())
    assert resolve.FOLDER == "upstream"

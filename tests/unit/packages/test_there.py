"""A build elsewhere: the action that it is, and what of its result is taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from photonbuild.errors import RemoteError
from photonbuild.packages import there as module
from photonbuild.packages import worker
from photonbuild.packages.built import Cost
from photonbuild.packages.there import Home, There
from photonbuild.remote.actions import Action, Again, Result
from photonbuild.remote.digest import Digest, digest_of
from photonbuild.remote.engine import Engine
from tests.support import synthetic
from tests.support.fake_session import fake_session

ARCHIVE = "a" * 64


@pytest.fixture(autouse=True)
def no_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "archive", lambda *_args, **_words: (tmp_path / "archive", ARCHIVE, 250))


def action(folder: Path, *, jobs: int = 1, text: str = "text", mode: int = 0o644, platform: str = "") -> Action:
    (name,) = tree = synthetic.chain(1)
    tree[name] |= {"packages": [], "build_requires": []}
    session = fake_session(folder, tree)
    session.jobs = jobs
    (folder / "SOURCES").mkdir()
    (folder / "SOURCES" / "one.txt").write_text(text, encoding="utf-8")
    (folder / "SOURCES" / "one.txt").chmod(mode)
    engine = cast(Engine, SimpleNamespace(platform={"pool": platform} if platform else {}))
    found = There(engine=engine, priority={}, costs={name: Cost(cpu_seconds=3.0)})
    return found.action(session.builder, session.specs[name], {}, folder / "SOURCES")


def test_an_action_is_the_same_on_every_machine(tmp_path: Path) -> None:
    one, two = action(tmp_path / "one"), action(tmp_path / "two", jobs=7)
    assert one.digest == two.digest and set(one.digests) == set(two.digests)
    assert Digest(ARCHIVE, 250) in one.digests


@pytest.mark.parametrize("change", [{"text": "other"}, {"mode": 0o755}, {"platform": "large"}])
def test_what_is_built_from_makes_another_action(tmp_path: Path, change: Mapping[str, Any]) -> None:
    assert action(tmp_path / "one").digest != action(tmp_path / "two", **change).digest


def home(folder: Path, files: Mapping[str, bytes], code: int = 0) -> tuple[Home, Result]:
    by_digest = {digest_of(data): data for data in files.values()}
    blobs = SimpleNamespace(fetch=lambda digest, target: target.write_bytes(by_digest[digest]))
    result = Result(
        code=code, files={path: digest_of(data) for path, data in files.items()}, worker="ada", stdout=b"why\nno room\n"
    )
    return Home(engine=cast(Engine, SimpleNamespace(blobs=blobs)), folder=folder), result


OUTCOME = json.dumps({"code": 0, "cpu_seconds": 1.5}).encode()


def test_packages_log_and_figures_come_home(tmp_path: Path) -> None:
    files = {"result/outcome.json": OUTCOME, "result/build.log": b"log\n", "result/rpms/a.rpm": b"a"}
    found, result = home(tmp_path, files)
    found.keep(result)
    found.show(tmp_path / "log", result)
    assert found.outcome(result).cpu_seconds == 1.5 and (tmp_path / "rpms" / "a.rpm").read_bytes() == b"a"
    assert (tmp_path / "log").read_text(encoding="utf-8") == "# on worker ada\nlog\n"


@pytest.mark.parametrize(
    "path",
    [
        "result/trees/x",
        "result/rpms/../../x.rpm",
        "result/rpms/x",
        "other/build.log",
        "result",
        "result/meta.json",
        "",
        "/",
        "result/rpms/x\0.rpm",
        f"result/rpms/{'x' * 300}.rpm",
        "result/rpms/-x.rpm",
        "result/./build.log",
    ],
)
def test_nothing_else_does(tmp_path: Path, path: str) -> None:
    found, result = home(tmp_path, {path: b"x"})
    with pytest.raises(RemoteError, match="what is no result"):
        found.keep(result)
    assert not any(tmp_path.rglob("x*"))


def test_a_workers_trouble_is_no_result(tmp_path: Path) -> None:
    found, result = home(tmp_path, {}, code=worker.ELSEWHERE)
    with pytest.raises(Again, match="worker ada: no room"):
        found.keep(result)


@pytest.mark.parametrize("outcome", [b"", b"[]", b'{"code": 1}', b'{"code": 0, "more": 1}'])
def test_what_a_worker_says_must_make_sense(tmp_path: Path, outcome: bytes) -> None:
    found, result = home(tmp_path, {"result/outcome.json": outcome})
    found.keep(result)
    with pytest.raises(RemoteError):
        found.outcome(result)

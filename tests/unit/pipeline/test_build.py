"""Builds beside each other: how many, what is fetched ahead, and another process that builds the same."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.sources import SourceEntry, SourcesFile, Url
from photonbuild.errors import ConfigError
from photonbuild.packages.build import build, lookup
from photonbuild.packages.built import Built
from photonbuild.packages.readspecs import ReadSpecs
from photonbuild.pipeline.build import build_packages, chosen_specs, worker_count
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.sources import prefetch, unfetched
from photonbuild.schedule import Busy
from tests.support import synthetic
from tests.support.fake_session import fake_session

GIB = 1 << 30
TREE = {name: synthetic.chain(3)[name] for name in synthetic.chain(3)}
FIRST, *_, LAST = sorted(TREE)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    found = fake_session(tmp_path, TREE)
    for folder in ("logs", "tmp", "sources"):
        (tmp_path / folder).mkdir(exist_ok=True)
    return found


def with_source(session: Session, name: str, digit: str) -> SourceEntry:
    """The session's spec `name` now has one fetched source."""
    provider = Url(type="url", url="http://127.0.0.1:9/x")
    entry = SourceEntry(file="x.tar", sha512=digit * 128, providers=(provider,))
    specs = {**session.specs, name: replace(session.specs[name], fetched=SourcesFile(sources=(entry,)))}
    session.__dict__["_read"] = ReadSpecs(specs=specs, broken={}, fresh=frozenset())
    return entry


def store_built(session: Session, name: str) -> None:
    key, inputs, _ = lookup(session.builder, session.specs[name], {})
    synthetic.write_built(session.store.package(name, key), TREE[name], inputs)


def test_as_many_builds_as_cores_and_memory_allow() -> None:
    assert worker_count(2, 24 * GIB, 86) == 3
    assert worker_count(64, 512 * GIB, 1100) == 65
    assert worker_count(64, 16 * GIB, 1100) == 16
    assert worker_count(64, 512 * GIB, 4) == 4
    assert worker_count(2, 0, 0) == 1


def test_named_packages_else_a_profile_else_all(session: Session) -> None:
    assert chosen_specs(session, [LAST], "none-such") == {LAST}
    assert chosen_specs(session, [f"{LAST}-libs"]) == {LAST}
    assert chosen_specs(session, []) == set(TREE)
    with pytest.raises(ConfigError, match="none-such"):
        chosen_specs(session, [], "none-such")


def test_the_source_of_a_new_version_is_fetched_ahead(session: Session, tmp_path: Path) -> None:
    entry = with_source(session, FIRST, "a")
    assert [found for _, found in unfetched(session, [FIRST, LAST])] == [entry]
    store_built(session, FIRST)
    assert unfetched(session, [FIRST, LAST]) == []
    newer = with_source(session, FIRST, "b")
    assert [found for _, found in unfetched(session, [FIRST])] == [newer]
    (tmp_path / "sources" / ("b" * 128)).touch()
    assert unfetched(session, [FIRST]) == []


def test_a_full_disk_while_fetching_ahead_is_left_to_the_build(
    session: Session, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = threading.Event()

    def full(*_: Any) -> None:
        asked.set()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("photonbuild.pipeline.sources.fetch", full)
    with_source(session, FIRST, "a")
    with prefetch(session, [FIRST]):
        assert asked.wait(10)
    assert "Traceback" not in capfd.readouterr().err


def test_a_package_that_another_process_builds_keeps_nobody_waiting(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("photonbuild.schedule.PAUSE", 0.05)
    with session.store.lock(f"package-{FIRST}"):
        with pytest.raises(Busy):
            build(session.builder, session.specs[FIRST], {})

        def other() -> None:
            time.sleep(0.3)
            store_built(session, FIRST)

        thread = threading.Thread(target=other)
        thread.start()
        done: dict[str, Built] = build_packages(session, [FIRST])
        thread.join()
    assert list(done) == [FIRST]
    assert capsys.readouterr().err.count(f"{FIRST}: another photonbuild builds it now") == 1

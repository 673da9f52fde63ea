"""Which builds run here, which on an engine's workers, and which on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from photonbuild.cli.options import with_remote
from photonbuild.config.models import Remote
from photonbuild.errors import ConfigError
from photonbuild.packages.buildroot import MOST_LAYERS
from photonbuild.packages.spec import Spec
from photonbuild.pipeline import places
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.places import Both
from photonbuild.run import Completed
from tests.support import synthetic
from tests.support.fake_session import fake_session

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []

    def here(*_: object) -> Completed:
        ran.append("here")
        return Completed(argv=(), returncode=0)

    monkeypatch.setattr(places, "run_here", here)
    monkeypatch.setattr(places, "recheck", lambda *_, worker: ran.append(f"again after {worker}"))
    return ran


def run(tmp_path: Path, ran: list[str], *, installed: int = 0, code: int = 0, **settings: Any) -> list[str]:
    tree = synthetic.chain(1)
    (name,) = tree
    session = fake_session(tmp_path, tree)

    def there(*_: object) -> Completed:
        ran.append("there")
        return Completed(argv=(), returncode=code)

    both = Both(there=there, workers={name: "ada"}, remote=Remote(address="grpc://engine:1", **settings))
    packages = cast(Any, dict.fromkeys(range(installed)))
    spec: Spec = session.specs[name]
    both.run(session.builder, spec, packages, tmp_path, tmp_path / "log")
    return ran


def test_there_unless_something_speaks_for_here(tmp_path: Path, ran: list[str]) -> None:
    assert run(tmp_path, ran) == ["there"]


def test_here_first_where_the_user_wants_some_here(tmp_path: Path, ran: list[str]) -> None:
    assert run(tmp_path, ran, local_jobs=1) == ["here"]


def test_more_packages_than_an_overlay_takes_are_merged_here(tmp_path: Path, ran: list[str]) -> None:
    assert run(tmp_path, ran, installed=MOST_LAYERS) == ["here"]


def test_a_share_is_built_twice(tmp_path: Path, ran: list[str]) -> None:
    assert run(tmp_path, ran, recheck="100%") == ["there", "again after ada"]


def test_what_fails_is_not_built_twice(tmp_path: Path, ran: list[str]) -> None:
    assert run(tmp_path, ran, recheck="100%", code=1) == ["there"]


def test_options_go_before_settings() -> None:
    config = load_config(ROOT)
    nothing: dict[str, Any] = {"remote": None, "remote_jobs": None, "local_jobs": None, "recheck": None}
    assert with_remote(config, **nothing).user.remote is None
    named = with_remote(config, **{**nothing, "remote": "grpcs://engine:1", "recheck": "2.5%"})
    assert named.user.remote is not None and named.user.remote.share == 0.025 and named.user.remote.jobs == 64
    more = with_remote(named, **{**nothing, "remote_jobs": 3}).user.remote
    assert more is not None and (more.jobs, more.address) == (3, "grpcs://engine:1")
    assert with_remote(named, **{**nothing, "remote": "none"}).user.remote is None
    with pytest.raises(ConfigError, match="no engine is named"):
        with_remote(config, **{**nothing, "recheck": "5%"})
    with pytest.raises(ConfigError, match="no share"):
        with_remote(named, **{**nothing, "recheck": "many"})

"""Which check files a machine gets, and what every runtime's check file has to have."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from photonbuild.config.models import Runtime
from photonbuild.machines.checker import CHECKS, check_names, missing_runtimes
from photonbuild.machines.checks.runtime import RuntimeCheck, load
from photonbuild.machines.verify import container_ports
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
RUNTIMES = load_config(ROOT).runtimes
A, B, C = (
    Runtime(name=name, package=f"{name}-package", unit=f"{name}.service", check=f"{name}-check") for name in "abc"
)


def test_the_checks_of_a_machine() -> None:
    assert check_names([A, B]) == ["system", "a-check", "b-check", "side_by_side"]
    assert check_names([A, B, C], cloud=True)[-1] == "side_by_side"
    assert check_names([B]) == ["system", "b-check"]
    assert check_names([], cloud=True) == ["system", "cloud"]


def test_a_runtime_that_the_manifest_lists_must_be_there() -> None:
    (failed,) = missing_runtimes([A, B, C], [A], {"a-package", "b-package", "bash"})
    assert (failed.name, failed.outcome) == ("system: b is installed", "failed")
    assert "b-package" in failed.message


@pytest.mark.parametrize("packages", [None, frozenset({"bash"})])
def test_a_runtime_that_no_manifest_lists_need_not_be_there(packages: frozenset[str] | None) -> None:
    assert missing_runtimes([A, B], [], packages) == ()


def test_each_runtime_has_a_port_of_its_own() -> None:
    assert len(set(container_ports([A, B, C, *RUNTIMES]).values())) == 3 + len(RUNTIMES)
    assert len(container_ports([])) == 2, "some checks publish two"


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: str(runtime.name))
def test_the_check_file_of_each_runtime_has_what_side_by_side_needs(runtime: Runtime) -> None:
    check = load(runtime.check)
    for name in ("start_web_server", "stop_web_server"):
        wanted = list(inspect.signature(getattr(RuntimeCheck, name)).parameters)[1:]
        assert list(inspect.signature(getattr(check, name)).parameters) == wanted


def test_a_check_file_without_it_is_named() -> None:
    with pytest.raises(AssertionError, match=r"test_system.py has no start_web_server: see .*runtime.py"):
        load("system")


def test_no_runtime_is_named_but_in_its_own_check() -> None:
    files = [path for path in CHECKS.parent.rglob("*.py") if path.name not in {f"test_{a.check}.py" for a in RUNTIMES}]
    names = {word for runtime in RUNTIMES for word in (runtime.name, runtime.package, runtime.unit)}
    named = {(path.name, word) for path in files for word in names if f'"{word}"' in path.read_text(encoding="utf-8")}
    # The default user of a cloud's image is in the group that may use Docker.
    assert named - {("test_cloud.py", "docker")} == set()

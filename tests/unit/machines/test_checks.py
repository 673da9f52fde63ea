"""Checks of a machine can fail: each hears the answers of a machine that is right, and of one that is wrong."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from testinfra.host import Host

from photonbuild.machines.checks import test_cloud as cloud_checks
from photonbuild.machines.checks import test_system as system_checks


def machine(answers: Mapping[str, str]) -> Host:
    """A machine that answers to commands which have a word of `answers` in them; 1 is the exit code without output."""

    def run(command: str) -> SimpleNamespace:
        said = next((text for word, text in answers.items() if word in command), "")
        return SimpleNamespace(stdout=said, stderr="", rc=0 if said else 1)

    return cast(Host, SimpleNamespace(run=run, check_output=lambda command: run(command).stdout))


@pytest.mark.parametrize("listed", ["", "[]", "[ None ]", "[ Ec2, GCE, None ]", "[ GCE ]"])
def test_other_sources_of_data(listed: str) -> None:
    status, cloud = {"datasource": "ec2local"}, {"datasource": "Ec2"}
    cloud_checks.test_only_the_wanted_source_of_data(machine({"datasource_list": "[ Ec2, None ]"}), status, cloud)
    with pytest.raises(AssertionError):
        cloud_checks.test_only_the_wanted_source_of_data(machine({"datasource_list": listed}), status, cloud)


def test_an_mtu_that_nobody_took_over() -> None:
    answers = {"addr show": "", "route": "default via 168.0.0.2 dev ens3 proto dhcp", "/mtu": "1460"}
    cloud: dict[str, Any] = {"addresses": [], "mtu": 1460}
    cloud_checks.test_network_configuration(machine(answers), cloud)
    with pytest.raises(AssertionError):
        cloud_checks.test_network_configuration(machine({**answers, "/mtu": "1500"}), cloud)


def test_a_crash() -> None:
    system_checks.test_nothing_has_crashed(machine({}))
    with pytest.raises(AssertionError):
        system_checks.test_nothing_has_crashed(machine({"journalctl": "a[1]: segfault at 0"}))


@pytest.mark.parametrize(("seconds", "right"), [(0, True), (4, True), (60, False), (-60, False), (3600, False)])
def test_a_clock(seconds: float, right: bool) -> None:
    assert system_checks.clock_is_right(machine({"date": f"{time.time() + seconds:.6f}"})) is right


def test_a_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock stands at an hour ahead after the check has set it there."""
    clock = {"ahead": 0.0}

    def check_output(command: str) -> str:
        if "+1 hour" in command:
            clock["ahead"] = 3600.0
        answers = {"date +": f"{time.time() + clock['ahead']:.6f}", "route": "default via 10.0.2.2 dev ens3"}
        return next((text for word, text in answers.items() if word in command), "no")

    host = cast(Host, SimpleNamespace(check_output=check_output, run=lambda command: None))
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(AssertionError):
        system_checks.test_time(host, {"testnet": {"host": "10.0.2.2", "ntp_port": 1}})


@pytest.mark.parametrize(
    ("code", "said", "right"),
    [
        (255, "phos@127.0.0.1: Permission denied (publickey).\r\n", True),
        (255, "phos@127.0.0.1: Permission denied (publickey,password).\r\n", False),
        (255, "Connection closed by 127.0.0.1 port 22\r\n", False),
        (0, "", False),
    ],
)
def test_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str, right: bool) -> None:
    (tmp_path / "known").write_text("Host machine\n  IdentityFile /owner/key\n  BatchMode yes\n")
    used = []

    def run(argv: Sequence[object], **_: object) -> SimpleNamespace:
        used.append(Path(str(argv[2])).read_text())
        return SimpleNamespace(returncode=code, stderr=said, stdout="")

    monkeypatch.setattr(cloud_checks, "run", run)
    # In place of ssh-keygen(1), which is the host's.
    monkeypatch.setattr(cloud_checks, "one_time_key", lambda folder: folder / "key")
    facts, cloud = {"ssh_config": str(tmp_path / "known")}, {"user": "phos"}
    with contextlib.nullcontext() if right else pytest.raises(AssertionError):
        cloud_checks.test_a_stranger_is_not_let_in(facts, cloud, tmp_path, "root")
    assert f"IdentityFile {tmp_path}/key\n" in used[0] and "/owner/key" not in used[0]

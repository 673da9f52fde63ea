"""The sandbox's plan and ids, without starting one."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.errors import SandboxError
from photonbuild.sandbox.ids import sub_ids
from photonbuild.sandbox.sandbox import Bind, Sandbox


def test_sandbox_plan_has_the_seed_last_and_no_host_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    box = Sandbox(layers=[tmp_path / "dep", tmp_path / "seed"], scratch=tmp_path, binds=[Bind(tmp_path, "/out", False)])
    plan = box.plan(["true"], "/")
    assert plan["layers"] == [f"{tmp_path}/dep", f"{tmp_path}/seed"]
    assert plan["binds"] == [[str(tmp_path), "/out", False]]
    assert plan["network"] is False
    assert "SECRET" not in plan["env"] and plan["env"]["LC_ALL"] == "C.UTF-8"


def test_sub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    table = tmp_path / "subuid"
    table.write_text("bob:100000:65536\nalice:165536:100\nalice:200000:65536\n")
    assert sub_ids(table) == 200000
    table.write_text("bob:100000:65536\n")
    with pytest.raises(SandboxError) as error:
        sub_ids(table)
    assert "usermod --add-subuids" in str(error.value.hint)


def test_inputs_of_a_key_hold_no_path_of_the_host(tmp_path: Path) -> None:
    one, two = (
        Sandbox(layers=[tmp_path / name], scratch=tmp_path / name, binds=[Bind(tmp_path / name, "/out")]).inputs(["x"])
        for name in ("one", "two")
    )
    assert one == two
    assert (one["argv"], one["hostname"], one["env"]["LC_ALL"]) == (["x"], "builder", "C.UTF-8")
    changed = Sandbox(layers=[], scratch=tmp_path, env={"LC_ALL": "C"}).inputs(["x"])
    assert changed != one

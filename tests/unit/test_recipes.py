"""The recipes for pipelines: they parse, call commands that exist, and have the flags that the page explains."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from photonbuild.cli.main import main

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "use" / "ci"
FLAGS = ("--cap-add SYS_ADMIN", "seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
CALL = re.compile(r"(?:bin/)?photonbuild ((?:doctor|ci|gc|report|verify|completion|manual)\b[^'\n&|>`#]*)")


def calls(path: Path) -> list[str]:
    """With what the page gives to the container's."""
    return CALL.findall(path.read_text(encoding="utf-8").replace('"$@"', "ci iso"))


@pytest.mark.parametrize("name", ["github.yaml", "gitlab-ci.yml", "Jenkinsfile", "container.sh"])
def test_recipes_call_what_exists(name: str) -> None:
    found = calls(RECIPES / name)
    assert {call.split()[0] for call in found} >= {"doctor", "ci"}
    for call in found:
        command, *words = shlex.split(call)
        parent = click.Context(main)
        found_command = main.get_command(parent, command)
        assert found_command is not None
        with found_command.make_context(command, words, parent=parent):
            pass


def test_the_workflow_is_one_of_github() -> None:
    text = (RECIPES / "github.yaml").read_text(encoding="utf-8")
    workflow: dict[Any, Any] = yaml.safe_load(text)
    # YAML 1.1 takes the key `on` for a boolean; GitHub does not.
    assert workflow.keys() == {"name", True, "permissions", "jobs"}
    for job in workflow["jobs"].values():
        assert job.keys() <= {"runs-on", "timeout-minutes", "steps"} and job["timeout-minutes"] <= 360
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert step.keys() <= {"name", "uses", "run", "with", "if"}
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            script = step.get("run", "")
            assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in text


def test_the_pipeline_is_one_of_gitlab() -> None:
    pipeline = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text(encoding="utf-8"))
    assert pipeline.keys() == {"default", "variables", "build-image"}
    job = pipeline["build-image"]
    assert job.keys() <= {"timeout", "before_script", "script", "after_script", "cache", "artifacts"}
    assert job["artifacts"]["reports"]["junit"] == "stage/report/junit.xml"
    for line in job["before_script"] + job["script"] + job["after_script"]:
        assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0


def test_the_jenkinsfile_has_the_flags_and_is_closed() -> None:
    text = (RECIPES / "Jenkinsfile").read_text(encoding="utf-8")
    assert all(flag in text for flag in FLAGS)
    bare = re.sub(r"'[^'\n]*'|//[^\n]*", "", text)
    assert "'" not in bare and all(bare.count(one) == bare.count(other) for one, other in ("{}", "()"))
    blocks = re.findall(r"^    (\w+) \{", text, re.MULTILINE)
    assert blocks == ["agent", "environment", "options", "stages", "post"]


@pytest.mark.parametrize(("engine", "paths"), [("docker", "systempaths=unconfined"), ("podman", "unmask=ALL")])
def test_the_container_gets_the_flags(engine: str, paths: str, tmp_path: Path) -> None:
    fake = tmp_path / engine
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ENGINE": engine}
    argv = [str(RECIPES / "container.sh"), "ci", "iso", "two words"]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=tmp_path, check=True)
    words = done.stdout.splitlines()
    assert words[:6] == ["run", "--rm", "--user", "root", "--cap-add", "SYS_ADMIN"]
    given = [words[place + 1] for place, word in enumerate(words) if word == "--security-opt"]
    assert given == ["seccomp=unconfined", "apparmor=unconfined", paths]
    assert words[-3:] == ["ci", "iso", "two words"] and f"{tmp_path}:/work" in words
    script = "\n".join(words[words.index("-c") + 1 : -4])
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def test_the_page_names_the_same_flags() -> None:
    page = (ROOT / "docs" / "use" / "ci.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("| `docker run`, as root")]
    assert all(flag in row for flag in FLAGS)

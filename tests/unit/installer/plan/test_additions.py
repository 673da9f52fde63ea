"""Container images, and where they are loaded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.model import ContainerImage
from photonbuild.installer.machine.facts import LocalFile
from photonbuild.installer.plan.additions import load_lines
from photonbuild.installer.plan.make import make_plan
from tests.support.installer import facts, kickstart

# What docker says of an archive: with a name, and of one that has none.
DOCKER = """#!/bin/sh
echo "docker $*" >>"$0.calls"
case $1 in load) echo "Loaded image%s" ;; esac
"""


@pytest.mark.parametrize(("said", "name"), [(": app:7", "app:7"), (" ID: sha256:ab", "sha256:ab")])
def test_the_script_takes_the_name_that_docker_says(tmp_path: Path, said: str, name: str) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER % said)
    docker.chmod(0o755)
    file = LocalFile(source="app.tar", path=Path("/x"))
    image = ContainerImage(method="load", filename="app.tar", tags=("app:it's",), drop_tag=True)
    lines = load_lines(image, file, "/images/0.tar")
    done = subprocess.run(["sh", "-ec", "\n".join(lines)], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    assert done.returncode == 0
    assert (tmp_path / "docker.calls").read_text().splitlines() == [
        "docker load --input /images/0.tar", f"docker tag {name} app:it's", f"docker rmi {name}",
    ]  # fmt: skip


def test_a_system_without_docker() -> None:
    found = kickstart(docker={"images": [{"method": "pull", "name": "a:1"}]})
    with pytest.raises(KickstartError, match=r"container images need docker\.service, and the system has none"):
        make_plan(found, facts(images=(None,)))

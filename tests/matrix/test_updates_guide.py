"""docs/use/updates.md, followed word by word: its commands, in its order, on a checkout and on a host.

Only the folder and the address of the web server are other ones.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from photonbuild.store import Store
from tests.support.faulty_web import web
from tests.support.updates import Hosts

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "use" / "updates.md"
FOLDER, ADDRESS = "/srv/www/phos", "https://packages.example.org/phos"
BLOCK = re.compile(r"^## (?P<heading>.+)$|^```(?P<kind>sh|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BUILDER = ("A key and a publication", "Images that know it", "The next publication")
HOST = ("On a host", "By themselves")


def blocks() -> list[tuple[str, str, str]]:
    """Heading, kind and text of every block of the page."""
    found, heading = [], ""
    for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        heading = match["heading"] or heading
        if match["kind"]:
            found.append((heading, match["kind"], match["text"]))
    return found


def follow(checkout: Path, kind: str, text: str, env: Mapping[str, str]) -> None:
    """What a reader does with a block on the machine that builds."""
    if kind == "yaml":
        with (checkout / "build/images/qcow2.yaml").open("a", encoding="utf-8") as file:
            file.write(text)
        return
    done = subprocess.run(
        ["bash", "-euxc", text], cwd=checkout, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of this checkout, with what is not committed yet."""
    place = tmp_path / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in files.stdout.decode().split("\0"):
        if name and (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    for argv in (["init", "-q"], ["config", "user.name", "A Maintainer"], ["config", "user.email", "a@example"]):
        subprocess.run(["git", *argv], cwd=place, check=True)
    return place


def test_the_guide(checkout: Path, store: Store, machine_seed: Path, tmp_path: Path) -> None:
    page = blocks()
    assert {heading for heading, _, _ in page} == {*BUILDER, *HOST}, "a heading that this test does not know"
    www = tmp_path / "www"
    www.mkdir()
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PHOTONBUILD_STORE": str(store.root)}
    with web(www) as served:
        address = f"{served.url.replace('127.0.0.1', '10.0.2.2')}/phos"
        steps = [
            (heading, kind, text.replace(FOLDER, f"{www}/phos").replace(ADDRESS, address))
            for heading, kind, text in page
        ]
        for heading, kind, text in steps:
            if heading in BUILDER[:2]:
                follow(checkout, kind, text, env)
        image = next((checkout / "stage/images").glob("*.qcow2"))
        hosts = Hosts(image=image, seed=machine_seed, scratch=store.scratch, folder=tmp_path)
        with hosts.running(hosts.disk("host")) as host:
            host.up()
            before = host.ssh("rpm -q tzdata")
            for heading, kind, text in steps:
                if heading == BUILDER[2]:
                    follow(checkout, kind, text, env)
            for heading, _, text in steps:
                if heading not in HOST:
                    continue
                first, restarts, _ = text.partition("systemctl reboot\n")
                host.ssh(f"set -eux\n{first}", timeout=1800)
                if restarts:
                    host.restart()
            assert host.ssh("rpm -q tzdata") != before
            assert host.ssh("systemctl is-active tdnf-automatic.timer") == "active\n"

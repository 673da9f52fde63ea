"""docs/use/updates.md, followed word by word: its commands, in its order, on a checkout and on a host.

Only the folder and the address of the web server are other ones. What is published then is every package there is:
Debian's dnf judges it as a whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST
from photonbuild.store import Store
from tests.support.dnf import Dnf
from tests.support.faulty_web import web
from tests.support.roots import root_of
from tests.support.updates import Hosts

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "use" / "updates.md"
FOLDER, ADDRESS = "/srv/www/phos", "https://packages.example.org/phos"
BLOCK = re.compile(r"^## (?P<heading>[^\n]+)$|^```(?P<kind>sh|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
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


@dataclass(frozen=True)
class Guide:
    """A checkout in which the page was followed up to its images, the folder of the web server, and its address."""

    checkout: Path
    www: Path
    url: str
    env: Mapping[str, str]

    def steps(self, *headings: str) -> list[tuple[str, str]]:
        """Kind and text of the blocks below these headings."""
        address = f"{self.url.replace('127.0.0.1', HOST_SEEN_BY_GUEST)}/phos"
        return [
            (kind, text.replace(FOLDER, f"{self.www}/phos").replace(ADDRESS, address))
            for heading, kind, text in blocks()
            if heading in headings
        ]

    def follow(self, *headings: str) -> None:
        for kind, text in self.steps(*headings):
            follow(self.checkout, kind, text, self.env)


def copy_of_this_checkout(place: Path) -> Path:
    """A clone, with what is not committed yet."""
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


@pytest.fixture(scope="module")
def guide(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    assert {heading for heading, _, _ in blocks()} == {*BUILDER, *HOST}, "a heading that this test does not know"
    folder = tmp_path_factory.mktemp("guide")
    (folder / "www").mkdir()
    env = {"XDG_CONFIG_HOME": str(folder / "config"), "PHOTONBUILD_STORE": str(store.root)}
    before = set((store.root / "signed").iterdir())
    with web(folder / "www") as served:
        guide = Guide(copy_of_this_checkout(folder / "checkout"), folder / "www", served.url, env)
        guide.follow(*BUILDER[:2])
        yield guide
    # The signed copies are those of a key that is gone with this test.
    for signed in set((store.root / "signed").iterdir()) - before:
        shutil.rmtree(signed)


def test_the_guide(guide: Guide, store: Store, machine_seed: Path, tmp_path: Path) -> None:
    image = next((guide.checkout / "stage/images").glob("*.qcow2"))
    hosts = Hosts(image=image, seed=machine_seed, scratch=store.scratch, folder=tmp_path)
    with hosts.running(hosts.disk("host")) as host:
        host.up()
        before = host.ssh("rpm -q tzdata")
        guide.follow(BUILDER[2])
        for _, text in guide.steps(*HOST):
            first, restarts, _ = text.partition("systemctl reboot\n")
            host.ssh(f"set -eux\n{first}", timeout=1800)
            if restarts:
                host.restart()
        assert host.ssh("rpm -q tzdata") != before
        assert host.ssh("systemctl is-active tdnf-automatic.timer") == "active\n"


def test_what_is_published_has_all_that_it_requires(
    guide: Guide, configuration: Config, store: Store, tmp_path: Path
) -> None:
    """By dnf's repoclosure; and dnf installs the packages of the default profile into an empty root."""
    dnf = Dnf(root_of(configuration, store, "clients"), store.scratch, tmp_path / "dnf")
    url = f"{guide.url}/phos"
    done = dnf.closure(url)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    profile = configuration.profile("default").packages
    done = dnf.run(url, "install", *profile)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    assert {line.rsplit("-", 2)[0] for line in dnf.installed()} >= set(profile)

"""The shell programs of the package tdnf, other programs faked: tdnf-automatic, and what follows an undone update."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SPEC = Path(__file__).parents[3] / "specs" / "tdnf"
FAKES = {
    "tdnf": 'echo "tdnf $*" >> $LOG\ncase "$*" in *check-update*) printf "$UPDATES"; exit ${CODE:-100};; esac\n',
    "rpm": 'printf "$RPM"\n',
    "uname": "echo 6.1-1\n",
    "boot-assessment": 'printf "$STATUS"\n',
    "restart": 'echo "restart" >> $LOG\n',
}


@dataclass
class Place:
    """A folder in place of the system's."""

    folder: Path

    def automatic(self, *argv: str, settings: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        conf = self.folder / "automatic.conf"
        conf.write_text(
            settings or "[commands]\nupgrade_type = default\napply_updates = yes\nreboot_command = restart\n"
        )
        text = (SPEC / "tdnf-automatic").read_text()
        for path in ("/var/lib/tdnf", "/run/motd.d", "/usr/lib/tdnf/reboot-needed.d", "/etc/tdnf/reboot-needed.d"):
            text = text.replace(path, f"{self.folder}/{path.rpartition('/')[2]}")
        program = self.folder / "tdnf-automatic"
        program.write_text(text)
        fakes = self.folder / "fakes"
        return subprocess.run(
            ["bash", str(program), str(conf), *argv], capture_output=True, text=True, check=False,
            env={"PATH": f"{fakes}:{os.environ['PATH']}", "LOG": str(self.log), "UPDATES": "app.x86_64 2 fleet\n",
                 "STATUS": "kernels=6.1-1\n", "RPM": "", **env},
        )  # fmt: skip

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def motd(self) -> str:
        file = self.folder / "motd.d/70-tdnf-automatic"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for folder in ("fakes", "tdnf", "reboot-needed.d"):
        (tmp_path / folder).mkdir()
    for name, text in FAKES.items():
        (tmp_path / "fakes" / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / "fakes" / name).chmod(0o755)
    (tmp_path / "reboot-needed.d/base.conf").write_text("# these\nglibc\n")
    (tmp_path / "log").touch()
    return Place(tmp_path)


def test_the_shipped_settings_only_download_what_is_of_security(place: Place) -> None:
    shipped = (SPEC / "automatic.conf").read_text()
    assert place.automatic(settings=shipped).returncode == 0
    asked, fetched = place.log.read_text().splitlines()
    assert asked == "tdnf -q -y --refresh check-update --security"
    assert fetched == "tdnf -q -y --setopt=keepcache=1 --downloadonly upgrade --security"
    assert place.motd == "1 updates are there: tdnf upgrade --security\n"


def test_nothing_to_do(place: Place) -> None:
    done = place.automatic(CODE="0", UPDATES="")
    assert (done.returncode, done.stdout) == (0, "no updates\n")
    assert len(place.log.read_text().splitlines()) == 1 and place.motd == ""


def test_repositories_that_cannot_be_asked(place: Place) -> None:
    done = place.automatic(CODE="1")
    assert done.returncode == 1 and "cannot be asked" in done.stderr


@pytest.mark.parametrize(
    ("reboot", "env", "restarts"),
    [
        ("never", {"RPM": "99999999999 glibc\n"}, False),
        ("when-changed", {}, True),
        ("when-needed", {}, False),
        ("when-needed", {"RPM": "99999999999 glibc\n"}, True),
        ("when-needed", {"RPM": "1 glibc\n"}, False),
        ("when-needed", {"STATUS": "kernels=6.2-1 6.1-1\n"}, True),
    ],
)
def test_restarts(place: Place, reboot: str, env: dict[str, str], restarts: bool) -> None:
    settings = f"[commands]\napply_updates=yes\nreboot = {reboot}\nreboot_command=restart\n"
    assert place.automatic(settings=settings, **env).returncode == 0
    assert place.log.read_text().endswith("restart\n") is restarts
    assert "1 updates were applied" in place.motd
    assert ("a restart is needed for" in place.motd) is bool(env.get("RPM", "").startswith("9") or env.get("STATUS"))


def test_what_did_not_start_is_not_applied_again(place: Place) -> None:
    assert place.automatic().returncode == 0
    before = place.log.read_text()
    undone = {"STATUS": "kernels=6.1-1\nupdate_undone=1\n"}
    done = place.automatic(**undone)
    assert "the system did not start" in done.stdout and "upgrade" not in place.log.read_text()[len(before) :]
    assert "with them the system did not start" in place.motd
    place.automatic(UPDATES="app.x86_64 3 fleet\n", **undone)
    assert place.log.read_text().count("-y upgrade") == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[command]\n", ":1: no such section [command]"),
        ("[commands]\nreboots = never\n", ":2: no such setting 'reboots'"),
        ("a = b\n", ":1: a setting before the first section"),
        ("[commands]\nword\n", ":2: neither a section nor a setting"),
        ("[commands]\nreboot = always\n", "reboot is 'always'"),
        ("[commands]\nrandom_sleep = 1h\n", "random_sleep is a number of seconds"),
    ],
)
def test_settings_that_are_wrong(place: Place, settings: str, message: str) -> None:
    done = place.automatic(settings=settings)
    assert done.returncode == 2 and message in done.stderr and place.log.read_text() == ""


def test_the_history_of_an_undone_update(tmp_path: Path) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    for folder, count in ((before, 1), (now, 3)):
        (folder / "history").mkdir(parents=True)
        for number in range(1, count + 1):
            text = f"time 1\ncommand x\nstatus done\n+ new{number}\nautomatic old{number}\n- old{number}\n"
            (folder / f"history/{number}").write_text(text)
        (folder / "automatic").write_text(f"{folder.name}\n")
    (now / "transaction").touch()
    text = (SPEC / "undone").read_text().replace("/var/lib/tdnf", str(now))
    subprocess.run(["bash", "-c", text, "undone", str(before)], check=True)
    lines = (now / "history/4").read_text().splitlines()
    assert lines[1:3] == ["command (undone: the system did not start)", "status done"]
    assert lines[3:] == ["- new3", "+ old3", "- new2", "+ old2"]
    assert not (now / "transaction").exists() and (now / "automatic").read_text() == "before\n"
    subprocess.run(["bash", "-c", text, "undone", str(now)], check=True)
    assert not (now / "history/5").exists()

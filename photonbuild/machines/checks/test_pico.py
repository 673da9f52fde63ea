"""A container in a pico machine: what it finds there, what reaches it, how it ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from photonbuild.machines.checks.pico import run_pico

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def run(facts: dict[str, Any]) -> Run:
    """One life of a machine without a network: ``run(IMAGE, WORD…)`` gives exit code and output."""

    def start(image: str, *words: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        alone = ("--rm", "--network", "none", *options)
        done = run_pico(facts["pico"], "run", *alone, facts["images"][image], *words)
        return done.returncode, done.stdout.decode()

    return start


def test_root_is_the_image_with_a_layer_to_write_to(host: Host, facts: dict[str, Any]) -> None:
    assert host.mount_point("/").filesystem == "overlay"
    assert host.user(facts["user"]["name"]).uid == facts["user"]["uid"]
    host.check_output("echo new >/bin/new && rm /bin/yes")
    assert not host.file("/bin/yes").exists
    assert host.file("/bin/new").content_string == "new\n"


def test_file_systems_and_devices(host: Host) -> None:
    kinds = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs", "/sys/fs/cgroup": "cgroup2"}
    for place, kind in kinds.items():
        assert host.mount_point(place).filesystem == kind, place
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        assert host.run("test -c %s", f"/dev/{name}").rc == 0, name
    assert host.check_output("echo a >/dev/null; head -c 2 /dev/zero | wc -c") == "2"


def test_identity(host: Host, facts: dict[str, Any]) -> None:
    assert host.check_output("hostname") == facts["hostname"]
    assert host.file("/etc/hostname").content_string.strip() == facts["hostname"]
    assert facts["hostname"] in host.file("/etc/hosts").content_string
    assert len(host.file("/etc/machine-id").content_string.strip()) == 32


def test_environment_of_the_image_and_of_the_caller(host: Host, facts: dict[str, Any]) -> None:
    assert {"FROM_IMAGE=yes", facts["variable"]} <= set(host.check_output("env").splitlines())


def test_clock(host: Host) -> None:
    assert abs(float(host.check_output("date +%s")) - time.time()) < 10


def test_network(host: Host) -> None:
    assert "inet 10.0.2.15/24" in host.check_output("ip -4 addr show dev eth0")
    assert "default via 10.0.2.2" in host.check_output("ip route")
    assert "nameserver 10.0.2.3" in host.file("/etc/resolv.conf").content_string
    assert "inet 127.0.0.1/8" in host.check_output("ip -4 addr show dev lo")


def test_published_port(host: Host, fetch: Callable[..., str], ports: list[int]) -> None:
    host.check_output(f"mkdir -p /tmp/www && echo served >/tmp/www/index.html && httpd -p {ports[0]} -h /tmp/www")
    assert fetch(ports[0]) == "served\n"


def test_volumes(host: Host, facts: dict[str, Any]) -> None:
    shared = Path(facts["shared"])
    (shared / "given").write_text("given\n")
    assert host.file("/shared/given").content_string == "given\n"
    assert host.file("/fixed/given").content_string == "given\n"
    host.check_output("echo made >/shared/made")
    assert (shared / "made").read_text() == "made\n"
    assert (shared / "made").stat().st_uid == os.geteuid()
    assert host.run("echo x >/fixed/other").rc != 0
    assert not (shared / "other").exists()


def test_processes(host: Host) -> None:
    """The agent is first, main is its child, and each has a control group of its own."""
    assert len(host.check_output("grep -l '^Name:.sleep$' /proc/[0-9]*/status").split()) == 1
    assert host.check_output("cat /proc/self/cgroup") != host.check_output("cat /proc/1/cgroup")
    assert host.run("exit 42").rc == 42


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 0), (("/bin/true",), 0), (("/bin/false",), 1), (("/none",), 127), (("/work",), 126)],
    ids=["image's", "true", "false", "missing", "folder"],
)
def test_exit_codes_without_a_shell(run: Run, words: tuple[str, ...], code: int) -> None:
    options = ("--entrypoint", words[0]) if words else ()
    assert run("plain", options=options)[0] == code


def test_entrypoint_user_and_folder_of_the_image(run: Run, facts: dict[str, Any]) -> None:
    uid = facts["user"]["uid"]
    assert run("plain") == (0, "entry default\n")
    assert run("plain", "given") == (0, "entry given\n")
    assert run("plain", "file", options=("--entrypoint", "cat")) == (0, "content\n")
    code, text = run("plain", options=("--entrypoint", "/bin/id"))
    assert (code, text.split()[:2]) == (0, [f"uid={uid}", f"gid={uid}"])


def test_clones_have_random_bytes_of_their_own(run: Run, facts: dict[str, Any]) -> None:
    script = "head -c 32 /dev/urandom >/shared/random-$NAME; cat /etc/machine-id /proc/sys/kernel/random/uuid"
    shared = Path(facts["shared"])
    lives = []
    for name in ("one", "two", "three"):
        options = ("--volume", f"{shared}:/shared", "--env", f"NAME={name}")
        lives.append(run("box", "sh", "-c", script, options=options))
    assert [code for code, _ in lives] == [0, 0, 0]
    assert len({line for _, text in lives for line in text.split()}) == 6
    drawn = {path.read_bytes() for path in shared.glob("random-*")}
    assert [len(each) for each in drawn] == [32, 32, 32]


def test_a_cold_boot_runs_it_as_well(run: Run) -> None:
    assert run("plain", "cold", options=("--cold",)) == (0, "entry cold\n")


def test_nothing_else_is_left(facts: dict[str, Any]) -> None:
    rows = json.loads(run_pico(facts["pico"], "ps", "--all", "--json").stdout)
    assert [row["name"] for row in rows if row["state"] != "spare"] == [facts["pico"]["name"]]

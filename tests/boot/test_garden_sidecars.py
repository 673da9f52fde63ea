"""Garden's processes with a root file system or limits of their own: what they share with their container, what not.

``container.go`` of Garden's Go interface, ProcessSpec.Image, .BindMounts and .OverrideContainerLimits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from photonbuild.machines.guest import BOX, UID, USER
from tests.support.garden_client import Process
from tests.support.garden_lab import MIB, Lab, refused, until

pytestmark = [pytest.mark.boot, pytest.mark.long]

OTHER = f"{BOX}/sidecar"
NAMESPACES = "net ipc uts pid user"
LINKS = f"for n in {NAMESPACES} mnt; do readlink /proc/self/ns/$n; done; hostname; cat /etc/hosts; ip -4 -o addr"
SCOPES = "ls -d /run/gdn/runc/*-* /sys/fs/cgroup/gdn.slice/gdn-*-*.scope 2>/dev/null | grep -v gdn-shim-"
FOLDERS = "find /var/lib/gdn/depot/*/sidecars -mindepth 1 -maxdepth 1 2>/dev/null"
OWN: tuple[Mapping[str, Any], ...] = (
    {"image": {"uri": OTHER}},
    {"limits": {"memory_limits": {"limit_in_bytes": 64 * MIB}}},
    {"image": {"uri": OTHER}, "limits": {"cpu_limits": {"weight": 512}}},
)


@pytest.fixture(autouse=True)
def other(lab: Lab) -> Iterator[None]:
    """A second root file system with a user of its own; afterwards nothing of the processes is left."""
    lab.guest.ssh(
        f"rm -rf {OTHER} && cp -a {lab.rootfs} {OTHER} && echo other > {OTHER}/etc/which && mkdir {OTHER}/home/own"
        f" && echo 'own:x:1234:1234::/home/own:/bin/sh' >> {OTHER}/etc/passwd && chown 1234:1234 {OTHER}/home/own"
    )
    yield
    until(lambda: left(lab) == "")
    lab.close()
    assert lab.guest.out("find /var/lib/gdn/depot -mindepth 2 -maxdepth 2 -name sidecars") == ""


def left(lab: Lab) -> str:
    """Scopes, runc's state, mounts and folders of such processes."""
    return lab.guest.out(f"{{ {SCOPES}; {FOLDERS}; grep sidecars /proc/mounts; }} || true")


def ready(process: Process, text: bytes = b"ready") -> None:
    until(lambda: text in process.stdout)


def test_namespaces_of_the_container(lab: Lab) -> None:
    handle = lab.create()
    here, there = (lab.out(handle, LINKS, **own).splitlines() for own in ({}, OWN[0]))
    mounts = len(NAMESPACES.split())
    assert here[mounts] != there[mounts] and here[mounts].startswith("mnt:")
    assert here[:mounts] + here[mounts + 1 :] == there[:mounts] + there[mounts + 1 :]
    with lab.start(handle, "echo ready; exec sleep 1000", **OWN[0]) as process:
        ready(process)
        assert "sleep 1000" in lab.out(handle, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        process.kill()
        assert process.wait() == 137


@pytest.mark.parametrize("own", OWN)
def test_streams_and_signals(lab: Lab, own: Mapping[str, Any]) -> None:
    handle = lab.create()
    with lab.start(handle, "cat; echo err >&2; exit 7", **own) as process:
        process.write("in ü\n")
        process.close_stdin()
        assert (process.wait(), process.stdout.decode(), process.stderr) == (7, "in ü\n", b"err\n")
    window = {"window_size": {"columns": 100, "rows": 40}}
    script = "tty; stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done"
    with lab.start(handle, script, tty=window, **own) as process:
        ready(process)
        process.set_tty(80, 24)
        assert process.wait() == 0
        lines = process.stdout.decode().replace("\r\n", "\n").splitlines()
    assert lines[0].startswith("/dev/") and lines[1:] == ["40 100", "ready", "24 80"]
    with lab.start(handle, "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done", **own) as process:
        ready(process)
        process.terminate()
        assert process.wait() == 4


@pytest.mark.parametrize("own", OWN)
def test_survives_the_server(lab: Lab, own: Mapping[str, Any]) -> None:
    handle = lab.create()
    with lab.start(handle, "echo ready; read line; echo got $line; exit 9", id="stays", **own) as process:
        ready(process)
    lab.restart()
    assert lab.garden.info(handle)["ProcessIDs"] == ["stays"]
    with lab.garden.attach(handle, "stays") as process:
        process.write("it\n")
        ready(process, b"got it")
        assert process.wait() == 9


def test_user_folder_and_environment(lab: Lab) -> None:
    handle = lab.create(env=["A=container", "B=container"])
    script = "id -u; id -g; pwd; echo $A $B $HOME $USER"
    own = lab.out(handle, script, user="own", env=["B=process"], **OWN[0])
    assert own.splitlines() == ["1234", "1234", "/", "container process /home/own own"]
    refused(lambda: lab.start(handle, "true", user="own"))
    refused(lambda: lab.start(handle, "true", user="own", **OWN[1]))
    refused(lambda: lab.start(handle, "true", user="nobody-here", **OWN[0]))
    for spec in OWN:
        made = lab.out(handle, "pwd; touch mine; ls -n mine", user=USER, dir="/new/folder", **spec).split()
        assert made[0] == "/new/folder" and made[3:5] == [str(UID), str(UID)]


def test_umask(lab: Lab) -> None:
    handle = lab.create()
    assert {lab.out(handle, "umask", **own) for own in ({}, *OWN)} == {"0022"}


def test_files(lab: Lab) -> None:
    """An image of its own is the process's alone; without one it has the container's files and mounts."""
    lab.guest.ssh(f"mkdir -p {BOX}/shared && echo shared > {BOX}/shared/file")
    handle = lab.create(bind_mounts=[{"src_path": f"{BOX}/shared", "dst_path": "/shared"}])
    script = "cat /etc/which; echo x > /etc/which; test -e /shared || echo none"
    assert lab.out(handle, script, **OWN[0]) == "other\nnone"
    assert lab.out(handle, "cat /etc/which", **OWN[0]) == "other"
    assert lab.out(handle, "cat /shared/file; echo seen > /tmp/seen", **OWN[1]) == "shared"
    assert lab.out(handle, "cat /tmp/seen") == "seen"
    mount = {"src_path": "/tmp", "dst_path": "/of", "origin": 1}
    script = "cat /of/seen; touch /of/no 2>/dev/null || echo read-only"
    assert lab.out(handle, script, bind_mounts=[mount], **OWN[0]) == "seen\nread-only"
    lab.out(handle, "echo new > /of/new", bind_mounts=[{**mount, "mode": 1}], **OWN[0])
    assert lab.out(handle, "ls /tmp; ls -n /tmp/new").split()[:2] == ["new", "seen"]


def test_no_link_leads_to_the_host(lab: Lab) -> None:
    """A container that puts a link in the place of a source of its own gets nothing of the host's."""
    mount = {"src_path": "/var", "dst_path": "/of", "origin": 1}
    handle = lab.create(bind_mounts=[mount])
    lab.out(handle, f"rm -r /var && ln -s {BOX} /var")
    refused(lambda: lab.start(handle, "ls /of", **OWN[1]))
    refused(lambda: lab.start(handle, "ls /of", bind_mounts=[mount], **OWN[0]))
    lab.out(handle, f"mkdir -p {BOX} && echo inside > {BOX}/file")
    assert lab.out(handle, "ls /of", **OWN[1]) == "file"
    assert lab.out(handle, "ls /of", bind_mounts=[mount], **OWN[0]) == "file"


def test_cgroup(lab: Lab) -> None:
    """With limits of its own, though they be none, a process is counted for itself, else with the container."""
    handle = lab.create(limits={"memory_limits": {"limit_in_bytes": 48 * MIB}, "pid_limits": {"max": 100}})
    read = "cd /sys/fs/cgroup; cat memory.max cpu.weight"
    assert lab.out(handle, read, **OWN[0]).splitlines()[0] == str(48 * MIB)
    assert lab.out(handle, read, **OWN[1]).splitlines()[0] == str(64 * MIB)
    assert lab.out(handle, read, **OWN[2]).splitlines()[0] == "max"
    assert lab.out(handle, read, **OWN[0], limits={}).splitlines()[0] == "max"
    assert lab.out(handle, read, **OWN[2]).splitlines()[1] != lab.out(handle, read).splitlines()[1]
    for own in OWN[:2]:
        assert lab.sh(handle, "exec tail /dev/zero", **own).code == 137
    assert lab.out(handle, "echo alive") == "alive"
    assert lab.sh(handle, "exec tail /dev/zero", limits={"memory_limits": {"limit_in_bytes": 24 * MIB}}).code == 137
    refused(lambda: lab.start(handle, "true", limits={"cpu_limits": {"weight": 1}}))


def test_disk_limit_of_the_container(lab: Lab) -> None:
    handle = lab.create(limits={"disk_limits": {"byte_hard": 24 * MIB, "scope": 1}})
    ran = lab.sh(handle, "dd if=/dev/zero of=/tmp/big bs=1M count=40", **OWN[0])
    assert ran.code != 0 and "No space left" in ran.stderr


def test_privileged(lab: Lab) -> None:
    handle = lab.create(privileged=True)
    for own in ({}, *OWN):
        output = lab.out(handle, "grep CapEff /proc/self/status; cat /proc/self/uid_map", **own).split()
        assert int(output[1], 16).bit_count() > 30 and output[2:4] == ["0", "0"]


def test_what_cannot_be(lab: Lab) -> None:
    handle = lab.create()
    mount = {"src_path": "/no/such/source", "dst_path": "/x"}
    for own in OWN:
        error = refused(lambda own=own: lab.garden.run(handle, {"path": "/no/such/program", **own}))  # type: ignore[misc]
        assert error.kind == "ExecutableNotFoundError" and "/no/such/program" in error.message
        refused(lambda own=own: lab.garden.run(handle, {"path": "/etc/passwd", **own}))  # type: ignore[misc]
    for spec in (
        {"image": {"uri": "/no/such/root"}}, {"image": {"uri": "ftp://x"}}, {"bind_mounts": [mount]},
        {"image": {"uri": OTHER}, "bind_mounts": [mount]}, {"image": {"uri": OTHER, "username": "u"}},
        {"image": {"uri": OTHER}, "bind_mounts": [{"src_path": "/tmp", "dst_path": "/"}]},
    ):  # fmt: skip
        refused(lambda spec=spec: lab.start(handle, "true", **spec))  # type: ignore[misc]
    assert left(lab) == "" and lab.garden.info(handle)["ProcessIDs"] == []


def test_what_it_left_behind_goes_with_it(lab: Lab) -> None:
    handle = lab.create()
    for number, own in enumerate(OWN):
        lab.out(handle, f"sleep 100{number} >/dev/null 2>&1 & echo started", **own)
        assert f"sleep\x00100{number}" not in lab.out(handle, "cat /proc/[0-9]*/cmdline")


@pytest.mark.parametrize("kill", [True, False])
def test_stop(lab: Lab, kill: bool) -> None:
    handle = lab.create()
    running = [lab.start(handle, "echo ready; exec sleep 1000", **own) for own in OWN]
    for process in running:
        ready(process)
    lab.garden.stop(handle, kill)
    for process in running:
        with process:
            assert process.wait() == (137 if kill else 143)
    until(lambda: left(lab) == "")


def test_destroy(lab: Lab) -> None:
    handle = lab.create()
    running = [lab.start(handle, "echo ready; exec sleep 1000", **own) for own in OWN]
    for process in running:
        ready(process)
    lab.garden.destroy(handle)
    assert left(lab) == ""
    for process in running:
        process.close()


def test_destroy_while_it_ends(lab: Lab) -> None:
    for _ in range(3):
        handle = lab.create()
        running = [lab.start(handle, "echo ready; read line", **own) for own in OWN]
        for process in running:
            process.close_stdin()
        assert [process.wait() for process in running] == [1] * len(OWN)
        lab.garden.destroy(handle)
        assert left(lab) == ""


def test_what_is_stale_goes_when_the_server_starts(lab: Lab) -> None:
    """The program that keeps a process and then the process are killed: nobody but the next server can take it away."""
    handle = lab.create()
    for own in OWN:
        with lab.start(handle, "echo ready; exec sleep 4321", **own) as process:
            ready(process)
    lab.guest.ssh("pkill -KILL -f '^/usr/bin/gdn shim'; pkill -KILL -f '^sleep 4321'")
    assert left(lab) != ""
    lab.restart()
    assert left(lab) == "" and lab.garden.info(handle)["State"] == "active"
    assert lab.out(handle, "echo alive", **OWN[0]) == "alive"
    lab.garden.destroy(handle)
    assert lab.guest.out("ls /run/gdn/s") == ""

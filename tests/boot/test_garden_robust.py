"""Garden under stress: limits that stop, a server that restarts or dies, clients that vanish, nothing left behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket

import pytest

from photonbuild.machines.guest import left_behind, traces
from tests.support import garden_fixtures as api
from tests.support.garden_client import Garden, GardenError, Process
from tests.support.garden_lab import HTTPD, MIB, UNIT, Lab, from_outside, refused, tar_of, until
from tests.support.machines import Guest

pytestmark = [pytest.mark.boot, pytest.mark.long]

TICK = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.5; done"


def pid_of(guest: Guest) -> str:
    return guest.out(f"systemctl show -P MainPID {UNIT}")


def reconnect(lab: Lab, handle: str, pid: str) -> Process:
    process = lab.garden.attach(handle, pid)
    until(lambda: process.stdout.count(b"tick") >= 2)
    return process


@pytest.mark.parametrize("command", [f"systemctl restart {UNIT}", f"systemctl kill --kill-whom=main -s KILL {UNIT}"])
def test_the_server_comes_back(lab: Lab, guest: Guest, command: str) -> None:
    """Containers, their processes, ports, limits and properties are as before; a process is attached to again."""
    port = min(int(port) for port in guest.facts["published"] if port != "22")
    handle = lab.create(properties={"a": "1"}, env=["KEPT=yes"], limits={"memory_limits": {"limit_in_bytes": 99 * MIB}})
    lab.garden.net_in(handle, port, 80)
    lab.out(handle, HTTPD, env=["HOSTNAME_OF=kept"])
    process = lab.start(handle, f"trap 'exit 12' TERM; {TICK}", id="ticker")
    until(lambda: b"tick 2" in process.stdout)
    before, old = lab.garden.info(handle), pid_of(guest)
    guest.ssh(command)
    until(lambda: pid_of(guest) not in (old, "0"), 60)
    lab.ready()
    process.close()
    assert lab.garden.info(handle) == before
    assert lab.garden.limits(handle, "memory") == {"limit_in_bytes": 99 * MIB}
    assert from_outside(guest, port) == "hello from kept\n"
    assert lab.out(handle, "echo $KEPT") == "yes"
    with reconnect(lab, handle, "ticker") as again:
        again.terminate()
        assert again.wait() == 12
    other = lab.create()
    assert lab.garden.info(other)["ContainerIP"] != before["ContainerIP"]


def test_a_process_that_ends_while_the_server_is_away(lab: Lab, guest: Guest) -> None:
    handle = lab.create()
    process = lab.start(handle, "exec sleep 86398", id="short")
    guest.ssh(f"systemctl stop {UNIT}")
    process.close()
    guest.ssh("pkill -xf 'sleep 86398'")
    guest.ssh(f"systemctl start {UNIT}")
    lab.ready()
    until(lambda: "short" not in lab.garden.info(handle)["ProcessIDs"])
    assert lab.out(handle, "echo alive") == "alive"


def test_stale_state_is_cleaned_at_the_start(lab: Lab, guest: Guest) -> None:
    """A container all of whose processes died while the server was away, as after a power cut, goes completely."""
    before = traces(guest.config)
    handle = lab.create(netin=[{"container_port": 80}], limits={"disk_limits": {"byte_hard": 24 * MIB}})
    process = lab.start(handle, "exec sleep 86397")
    inside = until(lambda: guest.ssh("pgrep -xf 'sleep 86397'", check=False).stdout.strip())
    guest.ssh(f"systemctl stop {UNIT}")
    process.close()
    # Everything in the container's PID namespace.
    guest.ssh(
        f"space=$(readlink /proc/{inside}/ns/pid); for place in /proc/[0-9]*; do "
        '[ "$(readlink $place/ns/pid)" = "$space" ] && kill -9 ${place#/proc/}; done; true'
    )
    assert guest.ssh("pgrep -xf 'sleep 86397'", check=False).stdout == ""
    guest.ssh(f"systemctl start {UNIT}")
    lab.ready()
    lab.close()
    assert handle not in lab.garden.containers()
    assert left_behind(guest.config, before) == []


def test_ten_at_once(lab: Lab, guest: Guest) -> None:
    before = traces(guest.config)

    def make(number: int) -> tuple[str, str, str]:
        handle = lab.create(handle=f"parallel-{number}")
        return handle, lab.out(handle, f"echo {number}"), lab.garden.info(handle)["ContainerIP"]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        made = list(pool.map(make, range(10)))
    assert [output for _, output, _ in made] == [str(number) for number in range(10)]
    assert len({ip for _, _, ip in made}) == 10
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(lab.garden.destroy, [handle for handle, _, _ in made]))
    assert left_behind(guest.config, before) == []


def test_one_handle_ten_times_at_once(lab: Lab) -> None:
    def make(number: int) -> str:
        try:
            return lab.create(handle="contested", properties={"n": str(number)})
        except Exception as error:
            assert "contested" in str(error)
            return ""

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(make, range(10))) == [""] * 9 + ["contested"]
    assert lab.out("contested", "echo alive") == "alive"


def test_disk_quota_stops_a_writer(lab: Lab) -> None:
    handle = lab.create(limits={"disk_limits": {"byte_hard": 24 * MIB, "scope": 1}})
    ran = lab.sh(handle, "dd if=/dev/zero of=/file bs=1M count=40", timeout=180)
    assert ran.code != 0 and ("No space left" in ran.stderr or "quota exceeded" in ran.stderr.lower())
    assert lab.garden.metrics(handle)["DiskStat"]["ExclusiveBytesUsed"] <= 24 * MIB
    refused(lambda: lab.garden.stream_in(handle, "/tmp", tar_of(("big", b"x" * (30 * MIB)))))
    assert lab.out(handle, "rm -f /file /tmp/big && dd if=/dev/zero of=/file bs=1M count=8 && echo fits") == "fits"
    # Another one's quota is its own.
    assert lab.out(lab.create(), "dd if=/dev/zero of=/file bs=1M count=40 && echo fits") == "fits"


def test_disk_quota_of_files(lab: Lab) -> None:
    handle = lab.create(limits={"disk_limits": {"byte_hard": 64 * MIB, "inode_hard": 400}})
    ran = lab.sh(handle, "i=0; while [ $i -lt 600 ]; do : > /tmp/$i || exit 1; i=$((i+1)); done")
    assert ran.code != 0


def test_memory_limit_kills_and_says_so(lab: Lab) -> None:
    handle = lab.create(limits={"memory_limits": {"limit_in_bytes": 48 * MIB}})
    assert lab.garden.info(handle)["Events"] in ([], None)
    assert lab.sh(handle, "tail /dev/zero & wait $!").code == 137
    until(lambda: "oom" in (lab.garden.info(handle)["Events"] or []))
    assert lab.out(handle, "echo alive") == "alive"


def vanish(garden: Garden, method: str, target: str, head: str, part: bytes) -> None:
    """Begin a request and go."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(garden.path)
        sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: api\r\n{head}\r\n".encode() + part)


def test_clients_that_vanish(lab: Lab, guest: Guest) -> None:
    handle, server = lab.create(), pid_of(guest)
    files = lab.garden.target("StreamIn", {"destination": "/tmp", "user": ""}, handle=handle)
    half = tar_of(("half", b"x" * 200_000))[:100_000]
    chunk = b"%x\r\n%s\r\n" % (len(half), half)
    for _ in range(3):
        vanish(lab.garden, "PUT", files, "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n", chunk)
        vanish(lab.garden, "POST", "/containers", "Content-Type: application/json\r\nContent-Length: 100\r\n", b'{"han')
        vanish(lab.garden, "GET", lab.garden.target("StreamOut", {"source": "/"}, handle=handle), "", b"")
        vanish(lab.garden, "GET", "/ping", "X: " + "y" * 10_000, b"")
    # The process stays when all who watch it go.
    process = lab.start(handle, TICK, id="watched")
    watcher = lab.garden.attach(handle, "watched")
    until(lambda: b"tick 2" in watcher.stdout)
    process.close()
    watcher.close()
    with reconnect(lab, handle, "watched") as again:
        again.kill()
        assert again.wait() == 137
    assert lab.out(handle, "echo alive") == "alive"
    assert pid_of(guest) == server
    until(lambda: lab.garden.info(handle)["ProcessIDs"] == [])
    until(lambda: guest.ssh("pgrep -x tar", check=False).stdout == "")


def test_a_client_that_vanishes_before_it_reads_the_answer(lab: Lab) -> None:
    """A container whose creator went is there or is not; there is no third."""
    body = b'{"handle": "orphan", "image": {"uri": "' + lab.rootfs.encode() + b'"}}'
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    vanish(lab.garden, "POST", "/containers", head, body)

    def again() -> str:
        with contextlib.suppress(GardenError):
            lab.garden.destroy("orphan")
        try:
            return lab.create(handle="orphan")
        except GardenError as error:
            assert "orphan" in error.message
            return ""

    assert lab.out(until(again, 60), "echo again") == "again"


def test_nothing_is_left_after_destroy(lab: Lab, guest: Guest) -> None:
    before = traces(guest.config)
    everything = {
        "limits": {
            "memory_limits": {"limit_in_bytes": 64 * MIB},
            "disk_limits": {"byte_hard": 24 * MIB},
            "pid_limits": {"max": 30},
        },
        "bind_mounts": [{"src_path": "/etc", "dst_path": "/mnt/etc"}],
        "netout_rules": [{"protocol": api.TCP, "log": True}],
        "netin": [{"container_port": 80}],
        "network": "10.250.0.0/24",
    }
    handles = [lab.create(**everything), lab.create(privileged=True), lab.create(network="10.250.0.0/24")]
    processes = [lab.start(handle, "sleep 1000 & sleep 1000 & wait") for handle in handles]
    for handle in handles:
        lab.garden.stream_in(handle, "/tmp", tar_of(("file", "x")))
        assert lab.garden.stream_out(handle, "/tmp")
        lab.garden.net_in(handle)
    paths = [lab.garden.info(handle)["ContainerPath"] for handle in handles]
    assert traces(guest.config) - before
    for handle, process in zip(handles, processes, strict=True):
        lab.garden.destroy(handle)
        process.close()
    assert left_behind(guest.config, before) == []
    assert guest.ssh(f"ls -d {' '.join(paths)}", check=False).stdout == ""


def test_a_create_that_fails_leaves_nothing(lab: Lab, guest: Guest) -> None:
    before = traces(guest.config)
    refused(lambda: lab.create(bind_mounts=[{"src_path": "/no/such/source", "dst_path": "/d"}]))
    refused(lambda: lab.create(network="10.250.1.255/24"))
    refused(lambda: lab.create(image={"uri": "/no/such/root"}, limits={"disk_limits": {"byte_hard": 24 * MIB}}))
    refused(lambda: lab.create(netin=[{"host_port": 70000, "container_port": 80}]))
    assert left_behind(guest.config, before) == []

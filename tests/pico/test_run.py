"""What ``pico run``, ``exec``, ``logs`` and ``stop`` promise, with real guests."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.store import Store
from tests.support.pico_command import ROOT, PicoCommand, until

pytestmark = pytest.mark.boot


def test_verify(store: Store, configuration: Config, tmp_path: Path) -> None:
    (kernel,) = (configuration.stage_dir / "images").glob("*-pico.vmlinux")
    words = [sys.executable, "-m", "photonbuild", "verify", "--report", str(tmp_path / "report"), str(kernel)]
    env = {**os.environ, "PHOTONBUILD_STORE": str(store.root), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    (boot,) = json.loads((tmp_path / "report").read_text())["boots"]
    assert {check["outcome"] for check in boot["checks"]} == {"passed"}
    print(done.stdout.decode())


def test_output_and_exit_code(pico: PicoCommand, box: Path) -> None:
    done = pico.call("run", "--rm", box, "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.code, done.out, done.err.splitlines()[-1]) == (42, "out\n", "err")
    assert pico.call("run", "--rm", box, "sh", "-c", "kill -9 $$").code == 137


def test_entrypoint_user_and_folder_of_the_image(pico: PicoCommand, box: Path, images: Path) -> None:
    entry = images / "entry"
    assert pico.ok("run", "--rm", entry) == "entry default\n"
    assert pico.ok("run", "--rm", entry, "other") == "entry other\n"
    assert pico.ok("run", "--rm", "--entrypoint", "/bin/pwd", entry) == "/home/user\n"
    assert pico.ok("run", "--rm", "--entrypoint", "cat", entry, "own") == "mine\n"
    who = pico.ok("run", "--rm", "--entrypoint", "id", entry)
    assert who.startswith("uid=1000(user) gid=1000(user)")
    assert "44(extra)" in who
    assert pico.ok("run", "--rm", "-u", "0:44", "-w", "/etc", box, "sh", "-c", "id -u; id -g; pwd").split() == [
        "0",
        "44",
        "/etc",
    ]


def test_environment(pico: PicoCommand, box: Path, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FILED=1\nGIVEN=file\n")
    text = pico.ok("run", "--rm", "--env-file", tmp_path / "env", "-e", "GIVEN=a b", "--hostname", "named", box, "env")
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert values["FROM_IMAGE"] == "yes"
    assert values["GIVEN"] == "a b"
    assert values["FILED"] == "1"
    assert values["HOSTNAME"] == "named"


def test_commands_that_cannot_be_run(pico: PicoCommand, box: Path, images: Path) -> None:
    assert "/none" in pico.fails(127, "run", "--rm", box, "/none")
    assert "/etc/passwd" in pico.fails(126, "run", "--rm", box, "/etc/passwd")
    assert "no entrypoint and no command" in pico.fails(127, "run", "--rm", images / "nothing")
    assert all(row["state"] == "spare" for row in pico.ps().values())


def test_standard_input(pico: PicoCommand, box: Path) -> None:
    data = os.urandom(3_000_000)
    done = subprocess.run(
        pico.argv("run", "--rm", "-i", box, "cat"), env=pico.env, input=data, capture_output=True, check=True
    )
    assert done.stdout == data
    assert pico.ok("run", "--rm", box, "cat", input=b"nobody reads this") == ""


def test_everything_can_be_written_but_not_with_read_only(pico: PicoCommand, box: Path) -> None:
    script = "echo new >/etc/second && cat /etc/second && rm /bin/yes && ! test -e /bin/yes"
    assert pico.ok("run", "--rm", box, "sh", "-c", script) == "new\n"
    assert pico.ok("run", "--rm", box, "cat", "/etc/second") == "of the second layer\n"
    done = pico.call("run", "--rm", "--read-only", "--tmpfs", "/tmp", box, "sh", "-c", "echo t >/tmp/x; echo x >/etc/y")
    assert done.code != 0
    assert "Read-only file system" in done.err


def test_volumes(pico: PicoCommand, box: Path, tmp_path: Path) -> None:
    (tmp_path / "rw").mkdir()
    (tmp_path / "ro").mkdir()
    (tmp_path / "rw").chmod(0o700)
    (tmp_path / "ro/given").write_text("given\n")
    script = "cat /ro/given; echo made >/data/new; chmod 640 /data/new; mkdir /data/d; touch /ro/x"
    done = pico.call(
        "run", "--rm", "-v", f"{tmp_path}/rw:/data", "-v", f"{tmp_path}/ro:/ro:ro", box, "sh", "-c", script
    )
    assert (done.out, done.code) == ("given\n", 1)
    assert (tmp_path / "rw/new").read_text() == "made\n"
    found = (tmp_path / "rw/new").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (os.geteuid(), 0o640)
    assert (tmp_path / "rw/d").is_dir()
    assert sorted(path.name for path in (tmp_path / "ro").iterdir()) == ["given"]
    file = tmp_path / "ro/given"
    file.chmod(0o600)
    text = pico.ok(
        "run", "--rm", "-v", f"{file}:/etc/second", box, "sh", "-c", "cat /etc/second; echo more >>/etc/second"
    )
    assert (text, file.read_text()) == ("given\n", "given\nmore\n")
    assert pico.call("run", "--rm", "-v", f"{file}:/etc/second:ro", box, "sh", "-c", "echo x >>/etc/second").code == 1


def fetch(port: int, path: str = "/") -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return b"".join(iter(lambda: sock.recv(65536), b""))
    except OSError:
        return b""


def test_published_ports(pico: PicoCommand, box: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    serve = "echo served >/tmp/index.html; httpd -f -p 80 -h /tmp"
    pico.ok("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", box, "sh", "-c", serve)
    assert until(lambda: b"served" in fetch(port))
    assert pico.ps()["web"]["ports"] == [f"127.0.0.1:{port}->80/tcp"]
    taken = pico.fails(125, "run", "--rm", "--name", "second", "-p", f"127.0.0.1:{port}:80", box, "true")
    assert "cannot publish" in taken
    assert pico.state("second") == "gone"
    pico.ok("rm", "-f", "web")
    assert fetch(port) == b""


def test_networks(pico: PicoCommand, box: Path) -> None:
    """A machine reaches this host where the network does, at its address; a name is looked up as this host does it."""
    with socket.create_server(("", 0)) as server:
        server.settimeout(60)
        address, port = own_address(), server.getsockname()[1]
        command = ["sh", "-c", f"echo from the machine | nc {address} {port}"]
        with pico.start("run", "--rm", box, *command) as running:
            connection, _ = server.accept()
            with connection:
                assert connection.makefile().readline() == "from the machine\n"
            running.wait(60)
        links = pico.ok("run", "--rm", "--network", "none", box, "sh", "-c", "ip -o -4 address; ip route")
        assert "10.0.2" not in links
        assert pico.call("run", "--rm", "--network", "none", box, *command).code != 0
    assert "no ports to publish" in pico.fails(125, "run", "--rm", "--network", "none", "-p", "80", box)


def own_address() -> str:
    """An IPv4 address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))
        return str(sock.getsockname()[0])


@pytest.mark.parametrize("birth", ["copy", "clone", "cold"])
def test_no_machine_reaches_the_loopback_of_this_host(pico: PicoCommand, box: Path, birth: str) -> None:
    """By none of its names: the gateway, the name server, 0.0.0.0, nor by frames to 127.0.0.1 itself."""
    how = {"copy": [], "clone": ["--no-spare"], "cold": ["--cold"]}[birth]
    pico.ok("template")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", server.getsockname()[1]))
        port = server.getsockname()[1]
        around = "ip route add 127.0.0.1/32 via 10.0.2.2 dev eth0; ip address del 127.0.0.1/8 dev lo"
        around += "; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip route del table local 127.0.0.1"
        tries = "; ".join(
            f"echo tcp | nc -w 3 {name} {port} && echo reached" for name in ("10.0.2.2", "10.0.2.3", "127.0.0.1")
        )
        done = pico.call("run", "--rm", *how, box, "sh", "-c", f"{around}; ip route get 127.0.0.1; {tries}; echo over")
        assert done.out.splitlines()[-1] == "over", done
        assert "reached" not in done.out
        server.setblocking(False)
        datagrams.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
        with pytest.raises(BlockingIOError):
            datagrams.recv(1)


def test_qemu_itself_has_no_network(pico: PicoCommand, box: Path) -> None:
    for name, how in (("copied", []), ("cloned", ["--no-spare"])):
        pico.ok("run", "-d", "--name", name, *how, box, "sleep", "600")
        pid = pico.ps()[name]["pid"]
        assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


def test_the_process_of_the_network_is_confined_and_ends_with_its_machine(pico: PicoCommand, box: Path) -> None:
    before = set(networks())
    pico.ok("run", "-d", "--name", "netted", box, "sleep", "600")
    (pid,) = set(networks()) - before
    status = Path(f"/proc/{pid}/status").read_text()
    for field, value in (("Seccomp", "2"), ("NoNewPrivs", "1"), ("CapEff", "0+"), ("CapBnd", "0+")):
        assert re.search(rf"^{field}:\s+{value}$", status, re.MULTILINE), field
    assert not re.search(r"^Uid:\s+0\b", status, re.MULTILINE)
    pico.ok("rm", "-f", "netted")
    assert until(lambda: not Path(f"/proc/{pid}").exists())


def networks() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"/run/pico-net" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_names_are_looked_up(pico: PicoCommand, box: Path) -> None:
    """By the name server of this host, which must have one that answers."""
    try:
        socket.getaddrinfo("localhost.invalid", None)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            pytest.fail(f"this host has no name server that answers: {error}")
    done = pico.call("run", "--rm", box, "nslookup", "localhost.invalid.")
    assert "NXDOMAIN" in done.out + done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="ports below 1024 are root's")
def test_root_publishes_low_ports(pico: PicoCommand, box: Path) -> None:
    low = next(port for port in range(1023, 600, -1) if free(port))
    pico.ok("run", "-d", "--name", "low", "-p", f"127.0.0.1:{low}:80", box, "httpd", "-f", "-p", "80", "-h", "/etc")
    assert until(lambda: b"second layer" in fetch(low, "/second"))


def free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_terminal(pico: PicoCommand, box: Path) -> None:
    main, side = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=side, capture_output=True, check=True).stdout
    subprocess.run(["stty", "rows", "33", "cols", "111"], stdin=side, check=True)
    with pico.start(
        "run", "--rm", "-it", box, "sh", stdin=side, stdout=side, stderr=side, start_new_session=True
    ) as run:
        seen = b""

        def saw(pattern: bytes) -> bool:
            nonlocal seen
            if select.select([main], [], [], 0)[0]:
                seen += os.read(main, 65536)
            return re.search(pattern, seen) is not None

        assert until(lambda: saw(b"# ")), seen
        os.write(main, b"stty size; tty; echo $TERM\n")
        assert until(lambda: saw(rb"33 111\r\n/dev/pts/0\r\nxterm")), seen
        subprocess.run(["stty", "rows", "44", "cols", "99"], stdin=side, check=True)
        os.kill(run.pid, signal.SIGWINCH)
        time.sleep(0.5)
        os.write(main, b"stty size; sleep 600\n")
        assert until(lambda: saw(b"44 99")), seen
        time.sleep(0.3)
        os.write(main, b"\x03exit 7\n")
        assert run.wait(60) == 7
    after = subprocess.run(["stty", "-g"], stdin=side, capture_output=True, check=True).stdout
    assert after == before
    os.close(main)
    os.close(side)


def test_detached_exec_logs_and_stop(pico: PicoCommand, box: Path) -> None:
    script = "trap 'echo ending; exit 5' TERM; echo started; while true; do sleep 0.1; done"
    identity = pico.ok("run", "-d", "--name", "work", "-e", "KEY=value", box, "sh", "-c", script).strip()
    assert pico.ps()["work"]["id"] == identity
    assert until(lambda: pico.ok("logs", "work") == "started\n")
    assert pico.ok("exec", "work", "sh", "-c", "echo $KEY $EXTRA; hostname") == f"value\n{identity}\n"
    assert pico.ok(
        "exec", "-e", "EXTRA=more", "-w", "/tmp", "-u", "user", "work", "sh", "-c", "echo $EXTRA; pwd; id -un"
    ) == ("more\n/tmp\nuser\n")
    assert pico.ok("exec", "-i", "work", "cat", input=b"through\n") == "through\n"
    assert pico.call("exec", "work", "sh", "-c", "exit 9").code == 9
    assert pico.call("exec", "work", "/none").code == 127
    assert pico.ok("stop", "work") == "work\n"
    row = pico.ps()["work"]
    assert (row["state"], row["exit_code"]) == ("exited", 5)
    assert pico.ok("logs", "--timestamps", "--tail", "1", "work").endswith("Z ending\n")
    assert "does not run" in pico.fails(125, "exec", "work", "true")
    pico.ok("rm", "work")
    assert pico.state("work") == "gone"


def test_signals_of_the_caller_are_passed_on(pico: PicoCommand, box: Path) -> None:
    script = "trap 'echo got; exit 3' INT; echo ready; while true; do sleep 0.1; done"
    with pico.start("run", "--rm", box, "sh", "-c", script, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGINT)
        assert run.stdout.read() == b"got\n"
        assert run.wait(60) == 3


def test_limits(pico: PicoCommand, box: Path) -> None:
    text = pico.ok(
        "run",
        "--rm",
        "--memory",
        "96m",
        "--cpus",
        "2",
        box,
        "sh",
        "-c",
        "head -1 /proc/meminfo; grep -c ^processor /proc/cpuinfo",
    )
    total = int(text.split()[1])
    assert 60_000 < total < 96 << 10
    assert text.splitlines()[-1] == "2"
    done = pico.call(
        "run",
        "--rm",
        "--memory",
        "64m",
        "--network",
        "none",
        box,
        "sh",
        "-c",
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=63; tail /dev/zero",
    )
    assert done.code not in (0, 125)

"""Containers as machines: what ``pico run`` promises, with real guests."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from photonbuild.config import Config
from photonbuild.pico import limits, state
from photonbuild.pico.options import MOST_MEMORY
from photonbuild.store import Store

from ..boot.registry import box_repository, registry
from ..pico_images import busybox_layer, configuration, docker_archive, file, layer, oci_layout
from .pico_machines import ROOT, Pico, processes_in, until

pytestmark = pytest.mark.boot

WORDS = """
    sh cat chmod chown cut date dd echo env false free grep head hostname httpd id ip kill ln ls md5sum mkdir mount nc
    od ps pwd rm seq sleep sort stat stty tail tee touch tr trap true tty uname wc wget yes
"""
APPLETS = WORDS.split()
CONFIG: dict[str, Any] = {
    "Cmd": ["/bin/sh"],
    "Env": ["PATH=/bin", "FROM_IMAGE=yes"],
    "Labels": {"a": "b"},
}


@pytest.fixture(scope="module")
def images(machine_seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the image ``box`` as an OCI layout and as a docker archive."""
    folder = tmp_path_factory.mktemp("images")
    layers = [
        busybox_layer((machine_seed / "usr/bin/busybox").read_bytes(), APPLETS),
        layer([file("etc/second", b"of the second layer\n"), file("home/user/own", b"mine\n", uid=1000, gid=1000)]),
    ]
    oci_layout(folder / "box", layers, configuration(layers, **CONFIG))
    docker_archive(folder / "box.tar", layers, configuration(layers, **CONFIG), name="box:latest")
    with_entry = configuration(
        layers, Entrypoint=["/bin/echo", "entry"], Cmd=["default"], User="user", WorkingDir="/home/user"
    )
    oci_layout(folder / "entry", layers, with_entry)
    oci_layout(folder / "nothing", layers, configuration(layers))
    return folder


@pytest.fixture(scope="module")
def pico(store: Store, configuration: Config) -> Iterator[Pico]:
    if not any((configuration.stage_dir / "images").glob("*-pico.vmlinux")):
        pytest.fail("there is no pico kernel: make pico", pytrace=False)
    with store.staging() as work:
        made = Pico(work / "pico", store.root)
        yield made
        made.end()


@pytest.fixture
def box(pico: Pico, images: Path) -> Iterator[Path]:
    """The image; machines of a test are gone afterwards."""
    before = set(pico.ps())
    yield images / "box"
    for name, row in pico.ps().items():
        if name not in before and row["state"] != "spare":
            pico.call("rm", "-f", row["id"])


def test_verify(store: Store, configuration: Config, tmp_path: Path) -> None:
    (kernel,) = (configuration.stage_dir / "images").glob("*-pico.vmlinux")
    words = [sys.executable, "-m", "photonbuild", "verify", "--report", str(tmp_path / "report"), str(kernel)]
    env = {**os.environ, "PHOTONBUILD_STORE": str(store.root), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    (boot,) = json.loads((tmp_path / "report").read_text())["boots"]
    assert {check["outcome"] for check in boot["checks"]} == {"passed"}
    print(done.stdout.decode())


def test_output_and_exit_code(pico: Pico, box: Path) -> None:
    done = pico.call("run", "--rm", box, "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.code, done.out, done.err.splitlines()[-1]) == (42, "out\n", "err")
    assert pico.call("run", "--rm", box, "sh", "-c", "kill -9 $$").code == 137


def test_both_forms_of_an_image_are_one(pico: Pico, box: Path, images: Path) -> None:
    pico.ok("pull", box)
    assert pico.ok("run", "--rm", images / "box.tar", "cat", "/etc/second") == "of the second layer\n"
    assert len({line.split()[0] for line in pico.ok("images").splitlines()[1:] if "box" in line}) == 1
    assert pico.ok("run", "--rm", "box", "echo", "by name") == "by name\n"


def test_entrypoint_user_and_folder_of_the_image(pico: Pico, box: Path, images: Path) -> None:
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


def test_environment(pico: Pico, box: Path, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FILED=1\nGIVEN=file\n")
    text = pico.ok("run", "--rm", "--env-file", tmp_path / "env", "-e", "GIVEN=a b", "--hostname", "named", box, "env")
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert values["FROM_IMAGE"] == "yes"
    assert values["GIVEN"] == "a b"
    assert values["FILED"] == "1"
    assert values["HOSTNAME"] == "named"


def test_commands_that_cannot_be_run(pico: Pico, box: Path, images: Path) -> None:
    assert "/none" in pico.fails(127, "run", "--rm", box, "/none")
    assert "/etc/passwd" in pico.fails(126, "run", "--rm", box, "/etc/passwd")
    assert "no entrypoint and no command" in pico.fails(127, "run", "--rm", images / "nothing")
    assert all(row["state"] == "spare" for row in pico.ps().values())


def test_standard_input(pico: Pico, box: Path) -> None:
    data = os.urandom(3_000_000)
    done = subprocess.run(
        pico.argv("run", "--rm", "-i", box, "cat"), env=pico.env, input=data, capture_output=True, check=True
    )
    assert done.stdout == data
    assert pico.ok("run", "--rm", box, "cat", input=b"nobody reads this") == ""


def test_everything_can_be_written_but_not_with_read_only(pico: Pico, box: Path) -> None:
    script = "echo new >/etc/second && cat /etc/second && rm /bin/yes && ! test -e /bin/yes"
    assert pico.ok("run", "--rm", box, "sh", "-c", script) == "new\n"
    assert pico.ok("run", "--rm", box, "cat", "/etc/second") == "of the second layer\n"
    done = pico.call("run", "--rm", "--read-only", "--tmpfs", "/tmp", box, "sh", "-c", "echo t >/tmp/x; echo x >/etc/y")
    assert done.code != 0
    assert "Read-only file system" in done.err


def test_volumes(pico: Pico, box: Path, tmp_path: Path) -> None:
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


def test_published_ports(pico: Pico, box: Path) -> None:
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


def test_networks(pico: Pico, box: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        command = ["sh", "-c", f"echo from the machine | nc 10.0.2.2 {port}"]
        with pico.start("run", "--rm", box, *command) as running:
            connection, _ = server.accept()
            with connection:
                assert connection.makefile().readline() == "from the machine\n"
            running.wait(60)
        links = pico.ok("run", "--rm", "--network", "none", box, "sh", "-c", "ip -o -4 address; ip route")
        assert "10.0.2" not in links
        assert pico.call("run", "--rm", "--network", "none", box, *command).code != 0
    assert "no ports to publish" in pico.fails(125, "run", "--rm", "--network", "none", "-p", "80", box)


def test_terminal(pico: Pico, box: Path) -> None:
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


def test_detached_exec_logs_and_stop(pico: Pico, box: Path) -> None:
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


def test_stop_ends_what_does_not_listen(pico: Pico, box: Path) -> None:
    pico.ok("run", "-d", "--name", "deaf", box, "sh", "-c", "trap '' TERM; while true; do sleep 1; done")
    begun = time.monotonic()
    pico.ok("stop", "-t", "1", "deaf")
    assert time.monotonic() - begun < 20
    assert pico.ps()["deaf"]["exit_code"] == 137


def test_signals_of_the_caller_are_passed_on(pico: Pico, box: Path) -> None:
    script = "trap 'echo got; exit 3' INT; echo ready; while true; do sleep 0.1; done"
    with pico.start("run", "--rm", box, "sh", "-c", script, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGINT)
        assert run.stdout.read() == b"got\n"
        assert run.wait(60) == 3


def test_limits(pico: Pico, box: Path) -> None:
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


def test_clones_differ(pico: Pico, box: Path) -> None:
    """Fifty machines alive at once, out of one frozen memory: nothing of what they are made unique by is shared."""
    script = (
        "head -c 16 /dev/urandom | md5sum; cat /proc/sys/kernel/random/uuid; hostname; ip link; cat /etc/machine-id"
    )
    script += "; sleep 600"
    pico.ok("pull", box)
    pico.ok("template")
    running = [pico.start("run", "-d", "--name", f"clone{number}", box, "sh", "-c", script) for number in range(2)]
    for number in range(2, 50):
        while sum(each.poll() is None for each in running) >= 2:
            time.sleep(0.02)
        running.append(
            pico.start("run", "-d", "--name", f"clone{number}", box, "sh", "-c", script, stdout=subprocess.DEVNULL)
        )
    assert [each.wait(120) for each in running] == [0] * 50
    assert sum(row["state"] == "running" for name, row in pico.ps().items() if name.startswith("clone")) == 50

    def said(number: int) -> list[str]:
        return pico.ok("logs", f"clone{number}").split()

    assert until(lambda: all(len(said(number)) > 10 for number in (0, 25, 49)), 60)
    texts = [pico.ok("logs", f"clone{number}") for number in range(50)]
    for pattern in (
        r"^[0-9a-f]{32}  -$",
        r"^[0-9a-f-]{36}$",
        r"^[0-9a-f]{12}$",
        r"ether (52[0-9a-f:]+)",
        r"^[0-9a-f]{32}$",
    ):
        found = [tuple(re.findall(pattern, text, re.MULTILINE)) for text in texts]
        assert all(found), pattern
        assert len(set(found)) == 50, pattern
    before = time.time()
    clock = float(pico.ok("exec", "clone7", "date", "+%s"))
    assert before - 5 < clock < time.time() + 5


def test_a_machine_that_is_killed(pico: Pico, box: Path) -> None:
    pico.ok("run", "-d", "--name", "victim", box, "sleep", "600")
    os.kill(pico.ps()["victim"]["pid"], signal.SIGKILL)
    assert until(lambda: pico.state("victim") == "exited")
    assert pico.ps()["victim"]["exit_code"] == 137
    with pico.start("run", "--name", "other", box, "sleep", "600") as attached:
        assert until(lambda: pico.state("other") == "running")
        assert until(lambda: pico.ps()["other"]["pid"] not in (None, 0))
        time.sleep(1)
        os.kill(pico.ps()["other"]["pid"], signal.SIGKILL)
        assert attached.wait(60) == 137


def test_a_killed_command_leaves_a_machine_that_is_seen(pico: Pico, box: Path) -> None:
    run = pico.start("run", "--rm", "--name", "left", box, "sh", "-c", "echo on; sleep 600", stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"on\n"
    run.kill()
    run.wait()
    assert pico.state("left") == "running"
    assert pico.ok("exec", "left", "echo", "alive") == "alive\n"
    pico.ok("stop", "-t", "0", "left")
    assert pico.state("left") == "gone"


def test_a_command_killed_at_any_moment_leaves_no_orphan(pico: Pico, box: Path) -> None:
    for step in range(12):
        run = pico.start("run", "--name", f"step{step}", "--no-spare", box, "sleep", "600")
        time.sleep(0.1 + step * 0.05)
        run.kill()
        run.wait()
    time.sleep(0.5)
    known = {row["pid"] for row in pico.ps().values() if row["pid"]}
    assert processes_in(pico.folder) <= known
    for row in pico.ps().values():
        if row["state"] != "spare":
            pico.ok("rm", "-f", row["id"])
    assert processes_in(pico.folder) <= {row["pid"] for row in pico.ps().values()}


def test_two_commands_want_one_name(pico: Pico, box: Path) -> None:
    runs = [pico.start("run", "-d", "--name", "same", box, "sleep", "600", stderr=subprocess.PIPE) for _ in range(3)]
    codes = sorted(run.wait(120) for run in runs)
    assert codes == [0, 125, 125]
    for run in runs:
        assert run.stderr is not None
        text = run.stderr.read().decode()
        assert run.returncode == 0 or "the name 'same' is taken" in text
        run.stderr.close()


def test_no_guest_can_write_template_or_image(pico: Pico, box: Path) -> None:
    """Neither by what it is given nor by what its QEMU has open."""
    pico.ok("run", "-d", "--name", "prisoner", box, "sleep", "600")
    folder = Path(pico.ok("template", "--no-spare").strip())
    image = Path(pico.folder / "images") / state.Machine(Path(pico.ps()["prisoner"]["folder"])).record().digest / "disk"  # type: ignore[union-attr]
    before = [(path, beginning(path), path.stat().st_mtime_ns) for path in (folder / "ram", folder / "state", image)]
    script = "mkdir -p /x; dd if=/dev/zero of=/dev/vda bs=4096 count=1; mount -o rw,remount /image; echo x > /x/y"
    pico.call("exec", "prisoner", "sh", "-c", script)
    pico.ok(
        "exec",
        "prisoner",
        "sh",
        "-c",
        "dd if=/dev/urandom of=/dev/shm/fill bs=1M count=30 2>/dev/null; rm /dev/shm/fill",
    )
    pid = pico.ps()["prisoner"]["pid"]
    opened: dict[str, int] = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        flags = re.search(r"flags:\s+([0-7]+)", (link.parent.parent / "fdinfo" / link.name).read_text())
        assert flags
        opened[str(link.readlink())] = int(flags[1], 8) & os.O_ACCMODE
    assert opened[str(image)] == os.O_RDONLY
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("/ram"):
            assert line.split()[1].endswith("p"), "a private mapping"
    for path, content, changed in before:
        assert beginning(path) == content
        assert path.stat().st_mtime_ns == changed
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"Seccomp:\s+2$", status, re.MULTILINE)
    assert re.search(r"NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert int(re.search(r"Uid:\s+(\d+)", status)[1]) not in ({0} if os.geteuid() == 0 else set())  # type: ignore[index]
    for name in ("user", "mnt", "pid", "ipc", "uts"):
        assert Path(f"/proc/{pid}/ns/{name}").readlink() != Path(f"/proc/self/ns/{name}").readlink()
    mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    for line in mounts.splitlines():
        place, options = line.split()[4:6]
        assert options.startswith("ro") or place in ("/dev/null", "/dev/urandom", "/dev/kvm"), line


def beginning(path: Path) -> bytes:
    """Of a file that may have 64 GiB."""
    with path.open("rb") as handle:
        return handle.read(1 << 20)


def test_a_stale_template_is_replaced(pico: Pico, box: Path) -> None:
    folder = Path(pico.ok("template", "--no-spare").strip())
    (folder / "ram").chmod(0o644)
    with (folder / "ram").open("r+b") as handle:
        handle.truncate(4096)
    assert pico.ok("run", "--rm", box, "echo", "well") == "well\n"
    assert (folder / "ram").stat().st_size > 4096
    (folder / "template.json").write_text((folder / "template.json").read_text().replace('"host": "', '"host": "0'))
    assert folder.name in pico.ok("gc")
    assert not folder.exists()
    assert until(lambda: all(row["state"] != "spare" for row in pico.ps().values()))


def test_a_template_belongs_to_kernel_agent_and_settings(pico: Pico, configuration: Config, tmp_path: Path) -> None:
    ours = pico.ok("template", "--no-spare").strip()
    stem = f"{configuration.distribution.prefix}-pico"
    for suffix in (".vmlinux", ".initrd"):
        shutil.copy(configuration.stage_dir / "images" / f"{stem}{suffix}", tmp_path / f"copy{suffix}")
    given = ("--kernel", tmp_path / "copy.vmlinux", "template", "--no-spare")
    assert pico.ok(*given).strip() == ours, "content counts, not the name"
    with (tmp_path / "copy.initrd").open("ab") as handle:
        handle.write(bytes(512))
    agent = pico.ok(*given).strip()
    shutil.copytree(ROOT / "build", tmp_path / "build", symlinks=True)
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    settings = yaml.safe_load((tmp_path / "build/pico.yaml").read_text())
    (tmp_path / "build/pico.yaml").write_text(yaml.safe_dump({**settings, "disk": "63 GiB"}))
    setting = pico.ok("--root", tmp_path, *given).strip()
    assert len({ours, agent, setting}) == 3
    assert pico.ok("gc").count("made with another kernel, agent, QEMU or setting") == 2
    assert [Path(path).exists() for path in (ours, agent, setting)] == [True, False, False]


def test_gc_removes_leftovers(pico: Pico, box: Path) -> None:
    pico.ok("run", "--name", "done", box, "true")
    assert pico.state("done") == "exited"
    pico.ok("gc")
    assert pico.state("done") == "exited"
    assert "it has ended" in pico.ok("gc", "--exited")
    assert pico.state("done") == "gone"


def test_images_are_removed(pico: Pico, box: Path, images: Path) -> None:
    pico.ok("run", "-d", "--name", "holder", "--entrypoint", "sleep", images / "entry", "600")
    assert "is run by holder" in pico.fails(125, "rmi", images / "entry")
    pico.ok("rm", "-f", "holder")
    assert "entry" in pico.ok("rmi", images / "entry")
    assert "/entry" not in pico.ok("images")


def test_bad_input(pico: Pico, box: Path, tmp_path: Path) -> None:
    tar = layer([file("a", b"a")])
    oci_layout(tmp_path / "arm", [tar], configuration([tar], architecture="arm64"))
    assert "is for linux/arm64" in pico.fails(125, "run", tmp_path / "arm")
    oci_layout(tmp_path / "damaged", [tar], configuration([tar], Cmd=["a"]))
    for blob in (tmp_path / "damaged/blobs/sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(blob.read_bytes()[:-9])
    assert "damaged layer" in pico.fails(125, "run", tmp_path / "damaged")
    assert "no such file" in pico.fails(125, "run", "./missing")
    assert "there is no image" in pico.fails(125, "run", "missing")
    assert "no size of memory" in pico.fails(125, "run", "--memory", "lots", box)
    assert "40 to 65536 MiB" in pico.fails(125, "run", "--memory", "1m", box)
    assert "there is no machine" in pico.fails(125, "logs", "missing")
    assert "error:" in pico.fails(125, "run")
    (index,) = json.loads((tmp_path / "arm/index.json").read_text())["manifests"]
    manifest = tmp_path / "arm/blobs" / index["digest"].replace(":", "/")
    without = json.dumps({key: value for key, value in json.loads(manifest.read_text()).items() if key != "config"})
    digest = hashlib.sha256(without.encode()).hexdigest()
    manifest.with_name(digest).write_text(without)
    index["digest"] = f"sha256:{digest}"
    (tmp_path / "arm/index.json").write_text(json.dumps({"manifests": [index]}))
    assert "the image has no configuration" in pico.fails(125, "run", tmp_path / "arm")
    assert not list((pico.folder / "machines").iterdir())


def test_no_memory(pico: Pico, box: Path) -> None:
    total, _ = limits.memory()
    if total < MOST_MEMORY:
        assert "no memory for a machine of" in pico.fails(125, "run", "--memory", f"{total + 1}m", box)
    # The host gives QEMU less than the machine is to have.
    words = pico.argv("run", "--cold", "--memory", "2g", box)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 1500000; exec "$@"', "sh", *words], env=pico.env, capture_output=True, check=False
    )
    assert done.returncode == 125
    assert b"Cannot allocate memory" in done.stderr
    assert all(row["state"] == "spare" for row in pico.ps().values())
    assert not list((pico.folder / "machines").iterdir())


def test_no_qemu(pico: Pico, box: Path, tmp_path: Path) -> None:
    pico.ok("pull", box)
    pico.ok("template")
    (known,) = pico.folder.glob("host-*.json")
    before = known.read_text()
    known.write_text(json.dumps({**json.loads(before), "seed": str(tmp_path)}))
    said = pico.fails(125, "run", "--no-spare", box, "true")
    known.write_text(before)
    assert "there is no QEMU in the machine seed" in said
    assert "hint: photonbuild seed build machine" in said
    assert not list((pico.folder / "machines").iterdir())


def test_no_kernel(pico: Pico, box: Path, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "build").symlink_to(Path(__file__).resolve().parents[2] / "build")
    (root / "specs").symlink_to(Path(__file__).resolve().parents[2] / "specs")
    said = pico.fails(125, "--root", root, "run", box)
    assert "there is no kernel for pico machines" in said
    assert "hint: make pico" in said


def test_pulled_from_a_registry(pico: Pico, box: Path, machine_seed: Path) -> None:
    repository = box_repository(machine_seed / "usr/bin/busybox", APPLETS)
    with registry({"box": repository}) as served:
        name = f"127.0.0.1:{served.port}/box:{next(tag for tag in repository.manifests if ':' not in tag)}"
        assert "--tls-verify=false" in pico.fails(125, "pull", name)
        pico.ok("pull", "--tls-verify", "false", name)
        assert pico.ok("run", "--rm", name, "echo", "pulled") == "pulled\n"
        asked = len(served.asked)
        pico.ok("run", "--rm", "--pull", "missing", name, "true")
        assert len(served.asked) == asked, "what is here is not asked for again"
        layers = [path.name for path in (pico.folder / "blobs/sha256").iterdir() if path.stat().st_size > 1 << 16]
        assert layers
        pico.ok("run", "--rm", "--pull", "always", "--tls-verify", "false", name, "true")
        again = " ".join(map(str, served.asked[asked:]))
        assert "/manifests/" in again
        assert not [digest for digest in layers if f"GET /v2/box/blobs/sha256:{digest}" in again], "layers are kept"
        missing = f"127.0.0.1:{served.port}/none:1"
        assert "cannot pull" in pico.fails(125, "run", "--tls-verify", "false", missing)
    assert "never" not in pico.ok("run", "--rm", "--pull", "never", name, "echo", "kept")
    pico.ok("rmi", name)
    assert "layers of images that are gone" in pico.ok("gc")


def test_the_distributions_own_image(pico: Pico, box: Path, configuration: Config) -> None:
    image = configuration.stage_dir / "images" / f"{configuration.distribution.prefix}.oci.tar"
    if not image.is_file():
        pytest.fail(f"{image} does not exist: make oci", pytrace=False)
    text = pico.ok("run", "--rm", image, "bash", "-c", ". /etc/os-release; echo $ID $VERSION_ID; exit 0")
    assert text.split() == [configuration.distribution.id, configuration.distribution.version]
    assert pico.call("run", "--rm", image, "bash", "-c", "exit 12").code == 12


def test_cold_boot(pico: Pico, box: Path) -> None:
    pico.ok("run", "--cold", "--name", "cold", box, "echo", "well")
    assert pico.ps()["cold"]["birth"] == "cold"
    assert pico.ok("logs", "cold") == "well\n"

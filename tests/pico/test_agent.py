"""The agent in a real machine: pico kernel, QEMU's microvm, a busybox root; every machine here is a cold boot."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.pipeline.session import Session as BuildSession
from photonbuild.store import Store
from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.messages import Process, Volume
from pico.guest.protocol import Exit, Frame, LogEntry, Type, encode
from pico.guest.session import Session
from tests.support.agent_machine import TIMEOUT, AgentMachine, Plugged, Result, lived, make_root, pumped, settings

pytestmark = [pytest.mark.boot, pytest.mark.long]
Boot = Callable[..., AgentMachine]


@pytest.fixture(scope="module")
def plugged(
    configuration: Config, store: Store, machine_seed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Plugged:
    """Kernel and initramfs of this checkout, and a root made of the machine seed's busybox."""
    images = configuration.stage_dir / "images"
    kernel, initrd = (images / f"{configuration.distribution.prefix}-pico.{part}" for part in ("vmlinux", "initrd"))
    if not kernel.is_file() or not initrd.is_file():
        pytest.fail(f"{kernel} does not exist: photonbuild image pico", pytrace=False)
    root = tmp_path_factory.mktemp("pico") / "root.erofs"
    seed = BuildSession(config=configuration, store=store, reporter=Reporter()).seed.root
    make_root(machine_seed / "usr/bin/busybox", seed, store.scratch, root)
    return Plugged(kernel=kernel, initrd=initrd, root=root)


@pytest.fixture
def boot(plugged: Plugged, machine_seed: Path, store: Store) -> Iterator[Boot]:
    """Boot a machine, which is gone after the test."""
    machines: list[AgentMachine] = []

    def start(**more: object) -> AgentMachine:
        chosen = Plugged(**{**plugged.__dict__, **more})
        machines.append(AgentMachine(chosen, seed=machine_seed, scratch=store.scratch).__enter__())
        return machines[-1]

    yield start
    for machine in machines:
        machine.__exit__()


def shell(script: str, **more: object) -> Process:
    return Process(args=["sh", "-c", script], **more)  # type: ignore[arg-type]


def texts(log: list[LogEntry], kind: str) -> bytes:
    return b"".join(entry.frame.payload for entry in log if entry.kind == kind)


def begun(machine: AgentMachine, process: Process, **more: object) -> Session:
    """A machine whose main process runs, attached to port 0."""
    session = machine.connect()
    session.hello(TIMEOUT)
    session.setup(settings(**more))
    session.start(process)
    session.ready(TIMEOUT)
    session.started(TIMEOUT)
    return session


def wait_for(machine: AgentMachine, output: bytes) -> None:
    """Main has written this."""
    deadline = time.monotonic() + TIMEOUT
    while output not in texts(machine.log(), "stdout"):
        assert time.monotonic() < deadline, machine.said()
        time.sleep(0.02)


WORLD = """
echo "greeting=$GREETING path=$PATH home=$HOME hostname=$HOSTNAME cwd=$(pwd)"
id; hostname; cat /etc/hostname /etc/machine-id /etc/resolv.conf; grep box /etc/hosts; date +%s; cat /proc/1/comm
cat /proc/self/cgroup; ls /sys/fs/cgroup/main/memory.max; uname -r; grep -c . /proc/mounts
stat -c %a /tmp /dev/shm /dev/null; test -w /; touch /new && echo written; ip addr show eth0; ip route
head -c 16 /dev/urandom | od -An -tx1; cat /sys/class/net/eth0/address; echo error >&2; exit 42
"""


@pytest.fixture(scope="module")
def world(plugged: Plugged, machine_seed: Path, store: Store) -> tuple[Result, float]:
    """One whole life that several tests look at, and when it began."""
    before = time.time()
    process = shell(WORLD, env=["GREETING=hello world"], cwd="/made/here", user="0")
    setup = settings(network="dhcp", mac="52:54:00:ab:cd:ef")
    with AgentMachine(plugged, seed=machine_seed, scratch=store.scratch) as machine:
        return lived(machine, setup, process), before


def test_exit_code_and_streams(world: tuple[Result, float]) -> None:
    result, _ = world
    assert result.exit == Exit(code=42)
    assert result.stderr == b"error\n"
    assert result.welcome.state == "waiting"
    assert result.welcome.kernel.endswith("phos1")


def test_what_the_process_finds(world: tuple[Result, float]) -> None:
    lines = world[0].stdout.decode().splitlines()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines[0] == f"greeting=hello world path={path} home=/root hostname=box cwd=/made/here"
    assert lines[1].startswith("uid=0(root) gid=0(root)")
    assert lines[2:5] == ["box", "box", "0123456789abcdef" * 2]
    assert "init" in lines
    assert "0::/main" in lines
    assert "/sys/fs/cgroup/main/memory.max" in lines
    assert lines.count("1777") == 2
    assert "666" in lines
    assert "written" in lines


def test_clock(world: tuple[Result, float]) -> None:
    result, before = world
    seconds = [int(line) for line in result.stdout.decode().splitlines() if re.fullmatch(r"\d{10}", line)]
    assert len(seconds) == 1
    assert int(before) <= seconds[0] <= time.time()


def test_address_by_dhcp(world: tuple[Result, float]) -> None:
    result, _ = world
    out = result.stdout.decode()
    assert result.ready == {"address": "10.0.2.15/24", "gateway": "10.0.2.2"}
    assert "inet 10.0.2.15/24" in out
    assert "default via 10.0.2.2 dev eth0" in out
    assert "nameserver 10.0.2.3" in out
    assert "10.0.2.15\tbox" in out
    assert "52:54:00:ab:cd:ef" in out


def test_log(world: tuple[Result, float]) -> None:
    result, before = world
    kinds = [entry.kind for entry in result.log]
    assert kinds[:2] == ["ready", "started"]
    assert kinds[-1] == "exited"
    assert Exit.of(result.log[-1].frame) == Exit(code=42)
    assert texts(result.log, "stdout") == result.stdout
    assert texts(result.log, "stderr") == b"error\n"
    assert all(before - 1 <= entry.clock / 1e9 <= time.time() + 1 for entry in result.log)


def test_megabytes_through_a_process(boot: Boot) -> None:
    data = random.Random(1).randbytes(10 << 20)
    result = lived(boot(), settings(), Process(args=["cat"], stdin=True), stdin=data)
    assert result.exit == Exit(code=0)
    assert result.stdout == data
    assert texts(result.log, "stdout") == data


def test_stdin_that_ends_while_output_goes_on(boot: Boot) -> None:
    process = shell("cat >/dev/null; sleep 0.5; echo after the end", stdin=True)
    assert lived(boot(), settings(), process, stdin=b"x" * 100).stdout == b"after the end\n"


def test_a_process_that_does_not_read_its_stdin(boot: Boot) -> None:
    result = lived(boot(), settings(), shell("exec <&-; sleep 1; echo done", stdin=True), stdin=bytes(2 << 20))
    assert (result.exit, result.stdout) == (Exit(code=0), b"done\n")


def test_a_slow_reader_gets_everything(boot: Boot) -> None:
    session = begun(boot(), shell("head -c 3000000 /dev/zero"))
    read, write = os.pipe()
    got = 0

    def drain() -> None:
        nonlocal got
        time.sleep(2)
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while part := pipe.read(20000):
                got += len(part)
                time.sleep(0.002)

    thread = threading.Thread(target=drain)
    thread.start()
    assert session.pump(None, write, write) == Exit(code=0)
    os.close(write)
    thread.join(TIMEOUT)
    assert got == 3000000


def test_terminal(boot: Boot) -> None:
    script = "tty; stty size; read word; echo word=$word; stty size; test -c /dev/console && echo console; cat"
    session = begun(boot(), shell(script, tty=True, stdin=True, rows=33, columns=99))
    read, write = os.pipe()
    typed = os.pipe()
    wakeup = os.pipe()
    seen = b""

    def user() -> None:
        nonlocal seen

        def see(mark: bytes) -> None:
            nonlocal seen
            while mark not in seen:
                seen += os.read(read, 4096)

        see(b"33 99")
        os.write(wakeup[1], b"w")
        os.write(typed[1], b"hello\n")
        see(b"console")
        os.write(typed[1], b"again\n")
        see(b"again\r\nagain\r\n")
        os.write(typed[1], b"\x03")

    thread = threading.Thread(target=user)
    thread.start()
    ended = session.pump(typed[0], write, write, wakeup_fd=wakeup[0], on_wakeup=lambda _: session.resize(50, 132))
    thread.join(TIMEOUT)
    for fd in (read, write, *typed, *wakeup):
        os.close(fd)
    assert ended == Exit(signal=2)
    assert seen.startswith(b"/dev/pts/0\r\n33 99\r\n")
    assert b"word=hello\r\n50 132\r\nconsole\r\n" in seen


def test_signals_and_a_second_process(boot: Boot) -> None:
    machine = boot()
    main = begun(machine, shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"))
    wait_for(machine, b"up")
    other = machine.connect(1)
    assert other.hello(TIMEOUT).state == "ready"
    other.start(Process(args=["sh", "-c", "id -u; id -G; cat; exit 4"], main=False, stdin=True, user="user"), 7)
    assert pumped(other, b"to the second") == (Exit(code=4), b"1000\n1000 44\nto the second", b"")
    third = machine.connect(2)
    third.hello(TIMEOUT)
    third.start(Process(args=["sleep", "1000"], main=False), 8)
    third.started(TIMEOUT)
    main.signal(15)
    assert pumped(main)[0] == Exit(code=9)
    assert pumped(third)[0] == Exit(signal=9)
    machine.wait_off()
    assert [entry.kind for entry in machine.log()] == ["ready", "started", "stdout", "exited"]


def test_kill_of_main_switches_the_machine_off(boot: Boot) -> None:
    machine = boot()
    session = begun(machine, shell("sleep 1000"))
    session.signal(9)
    assert pumped(session)[0] == Exit(signal=9)
    assert machine.wait_off() == 0


def test_shutdown(boot: Boot) -> None:
    machine = boot()
    session = begun(machine, shell("trap '' TERM; echo up; while :; do sleep 0.1; done"))
    wait_for(machine, b"up")
    other = machine.connect(1)
    other.hello(TIMEOUT)
    other.shutdown(seconds=0.5)
    ended, out, _ = pumped(session)
    assert (ended, out) == (Exit(signal=9), b"up\n")
    machine.wait_off()
    assert Exit.of(machine.log()[-1].frame) == Exit(signal=9)


def test_a_host_that_is_gone_and_comes_back(boot: Boot) -> None:
    machine = boot()
    session = begun(
        machine, shell("i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.05; done; cat", stdin=True)
    )
    # Half a frame, then nothing: as when a host is killed.
    session._sock.send(encode(Frame(Type.STDIN, 1, b"never"))[:-2])
    session.close()
    time.sleep(1)
    again = machine.greeted()
    again.attach()
    assert again.started(TIMEOUT)["main"] == "yes"
    ended, out, _ = pumped(again, b"last\n")
    assert ended == Exit(code=0)
    assert out.endswith(b"line 59\nlast\n")
    machine.wait_off()
    assert texts(machine.log(), "stdout") == b"".join(b"line %d\n" % n for n in range(60)) + b"last\n"


def test_volumes(boot: Boot, tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    data = random.Random(3).randbytes(1 << 20)
    (tmp_path / "in/file").write_bytes(data)
    volumes = [
        Volume(tag="volume0", target="/made/by/agent", readonly=True),
        Volume(tag="volume1", target="/out"),
    ]
    script = (
        "cp() { cat $1 > $2; }; cp /made/by/agent/file /out/copy; sync; touch /made/by/agent/no || echo read only; "
        "ls /out; mkdir /out/folder; echo text > /out/folder/file"
    )
    result = lived(boot(volumes=[tmp_path / "in", tmp_path / "out"]), settings(volumes=volumes), shell(script))
    assert result.exit == Exit(code=0), result.stderr
    assert result.stdout == b"read only\ncopy\n"
    assert (tmp_path / "out/copy").read_bytes() == data
    assert (tmp_path / "out/folder/file").read_text() == "text\n"
    assert not (tmp_path / "in/no").exists()


def test_one_file_as_a_volume(boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("configured\n")
    (tmp_path / "secret").write_text("not to be seen")
    volumes = [Volume(tag="volume0", target="/etc/app/app.conf", part="file", readonly=True)]
    script = "cat /etc/app/app.conf; ls -A /etc/app; touch /etc/app/app.conf || echo read only; ls -A / | grep share"
    result = lived(boot(volumes=[tmp_path]), settings(volumes=volumes), shell(script))
    assert result.stdout == b"configured\napp.conf\nread only\n"


def test_static_address_readonly_root_and_tmpfs(boot: Boot) -> None:
    setup = settings(
        network="static", address="10.0.2.99/24", gateway="10.0.2.2", dns=["10.0.2.3"], readonly=True,
        tmpfs=["/scratch:size=1m"],
    )  # fmt: skip
    script = "ip addr show eth0; touch /no || echo read only; touch /scratch/yes; cat /etc/resolv.conf; df -k /scratch"
    result = lived(boot(), setup, shell(script))
    assert result.exit == Exit(code=0)
    out = result.stdout.decode()
    assert "inet 10.0.2.99/24" in out
    assert "read only\nnameserver 10.0.2.3\n" in out
    assert "1024" in out
    assert result.ready["address"] == "10.0.2.99/24"


def test_several_processors(boot: Boot) -> None:
    script = "grep -c ^processor /proc/cpuinfo; cat /sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert lived(boot(cpus=3), settings(), shell(script)).stdout.split()[0] == b"3"


def test_no_network(boot: Boot) -> None:
    result = lived(boot(), settings(), shell("ip addr show eth0; ip addr show lo"))
    assert b"inet 127.0.0.1/8" in result.stdout
    assert b"inet 10." not in result.stdout


def test_random_state_is_what_the_host_gave_and_never_the_same(boot: Boot) -> None:
    draw = shell("head -c 32 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid")
    outs = {lived(boot(), settings(entropy=bytes([number]) * 32), draw).stdout for number in (1, 2)}
    assert len(outs) == 2


@pytest.mark.parametrize(
    ("more", "process", "what", "message"),
    [
        ({}, Process(args=["/no/such/program"]), "start", "cannot start /no/such/program: No such file or directory"),
        ({}, Process(args=["true"], user="nobody"), "start", "unknown user nobody"),
        ({"volumes": [Volume(tag="nosuch", target="/v")]}, Process(args=["true"]), "setup", "cannot mount nosuch"),
        ({"rootfs": "squashfs"}, Process(args=["true"]), "setup", "cannot mount /dev/vda"),
        ({"entropy": bytes(31)}, Process(args=["true"]), "setup", "32 bytes of entropy"),
    ],
)
def test_what_cannot_be_done(boot: Boot, more: dict[str, object], process: Process, what: str, message: str) -> None:
    machine = boot()
    session = machine.connect()
    session.hello(TIMEOUT)
    session.setup(settings(**more))
    session.start(process)
    with pytest.raises(GuestError, match=message) as caught:
        session.pump(None, 1, 2)
    assert caught.value.what == what
    assert machine.wait_off() == 0
    last = machine.log()[-1]
    assert last.kind == "error"
    assert message in last.frame.fields["message"]


def test_no_dhcp_server(boot: Boot) -> None:
    machine = boot(card=False)
    session = machine.connect()
    session.hello(TIMEOUT)
    session.setup(settings(network="dhcp"))
    with pytest.raises(GuestError, match="eth0"):
        session.ready(TIMEOUT)
    machine.wait_off()


def test_a_machine_that_is_killed_is_told_of(boot: Boot) -> None:
    machine = boot()
    session = begun(machine, shell("echo before; sleep 1000"))
    wait_for(machine, b"before")
    machine.process.kill()
    with pytest.raises(GuestGoneError):
        session.pump(None, os.open(os.devnull, os.O_WRONLY), 2)
    assert [entry.kind for entry in machine.log()] == ["ready", "started", "stdout"]


def test_kernel_says_nothing_of_trouble(boot: Boot) -> None:
    machine = boot(memory=40)
    lived(machine, settings(network="dhcp"), Process(args=["true"]))
    said = (machine.folder / "console.log").read_text()
    trouble = [
        line for line in said.splitlines() if re.search("BUG|WARNING|Oops|panic|rror|fail|Unable|Call Trace", line)
    ]
    assert trouble == []

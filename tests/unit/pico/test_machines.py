"""Pico's command line, QEMU's, and machines as folders."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from photonbuild.config.validation import load
from pico import control, listing, options, parser, state, tidy
from pico.errors import PicoError
from pico.hardware import Descriptors, Hardware, qemu_argv
from pico.protocol import Frame, Type, encode, payload
from pico.settings import PicoSettings
from pico.state import Machine, Record

ROOT = Path(__file__).resolve().parents[3]
HARDWARE = Hardware(
    memory=64, cpus=1, volumes=0, accel="tcg", machine="microvm", cpu="qemu64", append="console=hvc0 quiet"
)
FDS = Descriptors(qmp=10, ports=[11, 12, 13, 14], log=15, console=16, image=17)


def argv(birth: str, *, volumes: int = 0, network: bool = True, readonly: tuple[bool, ...] = ()) -> str:
    hardware = replace(HARDWARE, volumes=volumes)
    return " ".join(qemu_argv(hardware, FDS, birth=birth, network=network, readonly=readonly))  # type: ignore[arg-type]


def test_a_clone_cannot_write_template_or_image() -> None:
    line = argv("clone")
    assert "mem-path=/run/template/ram,share=off,readonly=on,rom=off" in line
    assert "filename=/dev/fdset/3,read-only=on" in line
    assert "driver=raw,node-name=disk,file=file0,read-only=on" in line
    assert line.endswith("-incoming defer")
    assert "-kernel" not in line


def test_template_and_clone_have_the_same_devices() -> None:
    def devices(line: str) -> list[str]:
        words = line.split()
        found = [after for before, after in pairwise(words) if before == "-device"]
        return [device.replace(",netdev=net", "") for device in found]

    assert all("guest_announce=off" in line for line in (argv("template", network=False), argv("clone")))
    assert devices(argv("template", network=False, volumes=4)) == devices(argv("clone", volumes=4, readonly=(True,)))


def test_only_volumes_that_are_given_can_be_written() -> None:
    line = argv("clone", volumes=4, readonly=(False, True))
    assert "id=volume0,path=/run/volume0,security_model=none,multidevs=remap -device" in line
    assert line.count("readonly=on -device") == 3


def test_qemu_is_confined() -> None:
    for birth in ("template", "clone", "cold"):
        words = argv(birth).split()
        sandbox = words[words.index("-sandbox") + 1]
        assert sandbox == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def test_a_zygote_is_a_clone_that_leaves_the_filter_to_its_copies() -> None:
    words = argv("clone").split()
    at = words.index("-sandbox")
    assert argv("zygote").split() == words[:at] + words[at + 2 :]


@pytest.mark.parametrize(
    ("accel", "volumes", "copied"), [("tcg,tb-size=32", 0, True), ("tcg", 4, False), ("kvm", 0, False)]
)
def test_who_is_copied(accel: str, volumes: int, copied: bool) -> None:
    assert replace(HARDWARE, accel=accel, volumes=volumes).copied is copied


def test_a_network_only_when_asked() -> None:
    assert "-netdev" not in argv("clone", network=False)
    assert "-netdev user,id=net" in argv("clone")


def test_settings_of_the_checkout() -> None:
    settings = load(ROOT / "build/pico.yaml", PicoSettings)
    assert settings.disk % (1 << 30) == 0
    assert settings.memory >> 20 >= options.LEAST_MEMORY


@pytest.mark.parametrize(("text", "size"), [("64m", 64), ("1g", 1024), ("67108864", 64), ("65537k", 65), ("64MB", 64)])
def test_memory(text: str, size: int) -> None:
    assert options.memory(text) == size


@pytest.mark.parametrize("text", ["", "m", "64x", "-1m", "1m", "1000g", "1.5g"])
def test_bad_memory(text: str) -> None:
    with pytest.raises(PicoError):
        options.memory(text)


@pytest.mark.parametrize(
    ("text", "forward"),
    [
        ("8080:80", "tcp::8080-:80"),
        ("127.0.0.1:8080:80", "tcp:127.0.0.1:8080-:80"),
        ("5353:53/udp", "udp::5353-:53"),
    ],
)
def test_ports(text: str, forward: str) -> None:
    assert options.port(text).forward == forward


def test_a_free_port_is_found() -> None:
    for text in ("80", "127.0.0.1::80"):
        found = options.port(text)
        assert found.there == 80
        assert found.here > 0


@pytest.mark.parametrize("text", ["", "a:80", "80:70000", "0:0", "1:2:3:4", "80/sctp", "[::1]:80:80"])
def test_bad_ports(text: str) -> None:
    with pytest.raises(PicoError):
        options.port(text)


def test_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    share = options.shares(["./new:/data/../data/:ro"])[0]
    assert (share.source, share.target, share.readonly) == (tmp_path / "new", "/data", True)
    assert (tmp_path / "new").is_dir()
    assert (share.part, options.shares(["./file:/etc/file"])[0].part) == (None, "file")
    for wrong in ("/data", "name:/data", "./a:data", "./a:/data:xx", "./a:/", "./file/below:/data"):
        with pytest.raises(PicoError):
            options.shares([wrong])
    with pytest.raises(PicoError, match="at most 4 volumes"):
        options.shares(["./a:/a"] * 5)


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("# comment\nA=1\n\nB= two words \nHERE\n")
    monkeypatch.setenv("HERE", "x")
    monkeypatch.delenv("THERE", raising=False)
    assert options.environment(["A=2", "THERE"], [str(tmp_path / "env")]) == ["A=1", "B= two words ", "HERE=x", "A=2"]
    with pytest.raises(PicoError):
        options.environment(["=x"], [])
    with pytest.raises(PicoError):
        options.environment([], [str(tmp_path / "missing")])


def test_what_follows_the_image_is_the_commands() -> None:
    found = parser.parser().parse_args(["run", "-it", "--rm", "-e", "A=b", "box", "ls", "-l", "--rm", "-e"])
    assert (found.interactive, found.tty, found.rm, found.env) == (True, True, True, ["A=b"])
    assert (found.image, found.command) == ("box", ["ls", "-l", "--rm", "-e"])


def test_misuse_has_dockers_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parser().parse_args(["run", "--nonsense", "box"])
    assert ended.value.code == 125
    assert "error:" in capsys.readouterr().err


def record(identity: str = "0123456789ab", name: str = "one", **more: object) -> Record:
    plain = Record(
        id=identity,
        name=name,
        image="box",
        digest="d",
        args=["/bin/sh"],
        env=[],
        cwd="/",
        user="",
        stop_signal=15,
        created=1.0,
        hostname="",
        birth="clone",
        template="t",
        memory=64,
        cpus=1,
        network="user",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[Machine, subprocess.Popen[bytes]]]:
    """A machine whose QEMU is a process that holds the lock and sleeps."""
    machine = state.create(tmp_path, record())
    alive = os.open(machine.folder / "alive", os.O_CREAT | os.O_RDWR)
    fcntl.flock(alive, fcntl.LOCK_EX)
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], pass_fds=[alive])
    os.pwrite(alive, str(process.pid).encode(), 0)
    os.close(alive)
    yield machine, process
    process.kill()
    process.wait()


def test_a_machine_lives_as_long_as_its_lock_is_held(sleeper: tuple[Machine, subprocess.Popen[bytes]]) -> None:
    machine, process = sleeper
    assert (machine.state(), machine.pid()) == ("running", process.pid)
    assert not machine.wait(0.01)
    process.kill()
    process.wait()
    assert machine.wait(5)
    assert machine.pid() is None


def test_kill_ends_it(sleeper: tuple[Machine, subprocess.Popen[bytes]]) -> None:
    machine, process = sleeper
    machine.kill()
    assert process.wait(5) == -9


def test_a_process_id_alone_is_no_sign_of_life(tmp_path: Path) -> None:
    machine = state.create(tmp_path, record())
    (machine.folder / "alive").write_text(str(os.getpid()))
    assert machine.pid() is None
    machine.kill()
    assert machine.state() == "created"


def log(machine: Machine, *frames: Frame) -> None:
    machine.log.write_bytes(b"".join(map(encode, frames)))


def test_exit_codes_come_from_the_log(tmp_path: Path) -> None:
    machine = state.create(tmp_path, record())
    log(machine, Frame(Type.STARTED, 1), Frame(Type.EXITED, 2, payload([("code", "9")])))
    assert (machine.state(), machine.exit_code()) == ("exited", 137)
    log(machine, Frame(Type.EXITED, 1, payload([("code", "3")])))
    assert machine.exit_code() == 3
    log(machine, Frame(Type.EXITED, 1, payload([("signal", "15")])))
    assert machine.exit_code() == 143
    machine.log.write_bytes(machine.log.read_bytes()[:-3])
    assert machine.exit_code() == 137


def test_logs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    machine = state.create(tmp_path, record())
    log(
        machine,
        Frame(Type.TIME, 0, payload([("clock", "1000000000")])),
        Frame(Type.STDOUT, 1, b"one\ntwo\n"),
        Frame(Type.STDOUT, 2, b"of another process\n"),
        Frame(Type.STDERR, 1, b"three\n"),
    )
    control.logs(machine, follow=False, timestamps=False, tail=None)
    assert capfd.readouterr() == ("one\ntwo\n", "three\n")
    control.logs(machine, follow=True, timestamps=False, tail=2)
    assert capfd.readouterr() == ("two\n", "three\n")
    control.logs(machine, follow=False, timestamps=True, tail=1)
    assert capfd.readouterr().err == "1970-01-01T00:00:01.000000Z three\n"


def test_names_are_taken_once(tmp_path: Path) -> None:
    first = state.create(tmp_path, record())
    with pytest.raises(PicoError, match="the name 'one' is taken"):
        state.create(tmp_path, record("ba9876543210"))
    assert not (tmp_path / "machines/ba9876543210").exists()
    first.remove()
    state.create(tmp_path, record("ba9876543210"))


def test_machines_are_found_by_name_id_and_its_beginning(tmp_path: Path) -> None:
    one = state.create(tmp_path, record())
    two = state.create(tmp_path, record("0129876543ab", "two"))
    assert state.find(tmp_path, "one") == one
    assert state.find(tmp_path, "0123") == one
    assert state.find(tmp_path, "0129876543ab") == two
    for wrong in ("012", "three", "", "../names/one"):
        with pytest.raises(PicoError):
            state.find(tmp_path, wrong)


def test_machines_to_be_removed_go_when_they_have_ended(tmp_path: Path) -> None:
    kept = state.create(tmp_path, record())
    gone = state.create(tmp_path, record("ba9876543210", "two", remove=True))
    for machine in (kept, gone):
        log(machine, Frame(Type.EXITED, 1, payload([("code", "0")])))
    assert tidy.ended(tmp_path) == [gone.id]
    assert [machine.id for machine in state.machines(tmp_path)] == [kept.id]


def test_the_table_of_machines(tmp_path: Path) -> None:
    machine = state.create(tmp_path, record())
    log(machine, Frame(Type.EXITED, 1, payload([("code", "3")])))
    assert listing.machines_of(tmp_path, all_of_them=False) == []
    lines = listing.machine_table(listing.machines_of(tmp_path, all_of_them=True)).splitlines()
    assert lines[0].split() == ["ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAME"]
    assert "exited (3)" in lines[1]


def test_a_port_is_used_by_one(tmp_path: Path) -> None:
    machine = state.create(tmp_path, record())
    held = control.port_lock(machine, 1)
    assert held is not None
    assert control.port_lock(machine, 1) is None
    os.close(held)
    again = control.port_lock(machine, 1)
    assert again is not None
    os.close(again)

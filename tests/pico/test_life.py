"""Machines in numbers, killed at any moment, stale templates, and what no guest can do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from photonbuild.config.load import Config
from pico.vm import state
from tests.support.pico_command import ROOT, WAITING, PicoCommand, processes_in, until

pytestmark = pytest.mark.boot

LARGEST_LOG = 65 << 20  # what the agent writes of a container's output, and what is around it


def test_clones_differ(pico: PicoCommand, box: Path) -> None:
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


def test_a_machine_that_is_killed(pico: PicoCommand, box: Path) -> None:
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


def test_a_killed_command_leaves_a_machine_that_is_seen(pico: PicoCommand, box: Path) -> None:
    run = pico.start("run", "--rm", "--name", "left", box, "sh", "-c", "echo on; sleep 600", stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"on\n"
    run.kill()
    run.wait()
    assert pico.state("left") == "running"
    assert pico.ok("exec", "left", "echo", "alive") == "alive\n"
    pico.ok("stop", "-t", "0", "left")
    assert pico.state("left") == "gone"


@pytest.mark.long
def test_a_command_killed_at_any_moment_leaves_no_orphan(pico: PicoCommand, box: Path) -> None:
    for step in range(12):
        run = pico.start("run", "--name", f"step{step}", "--no-spare", box, "sleep", "600")
        time.sleep(0.1 + step * 0.05)
        run.kill()
        run.wait()
    time.sleep(0.5)
    known = {row["pid"] for row in pico.ps().values() if row["pid"]}
    assert processes_in(pico.folder) <= known
    for row in pico.ps().values():
        if row["state"] not in WAITING:
            pico.ok("rm", "-f", row["id"])
    pico.ok("gc")
    assert "template" not in [row["state"] for row in pico.ps().values()]
    assert processes_in(pico.folder) <= {row["pid"] for row in pico.ps().values()}


def test_two_commands_want_one_name(pico: PicoCommand, box: Path) -> None:
    runs = [pico.start("run", "-d", "--name", "same", box, "sleep", "600", stderr=subprocess.PIPE) for _ in range(3)]
    codes = sorted(run.wait(120) for run in runs)
    assert codes == [0, 125, 125]
    for run in runs:
        assert run.stderr is not None
        text = run.stderr.read().decode()
        assert run.returncode == 0 or "the name 'same' is taken" in text
        run.stderr.close()


def test_no_guest_can_write_template_or_image(pico: PicoCommand, box: Path) -> None:
    """Neither by what it is given nor by what its QEMU has open."""
    pico.ok("run", "-d", "--name", "prisoner", box, "sleep", "600")
    folder = Path(pico.ok("template", "--no-spare").strip())
    record = state.Machine(Path(pico.ps()["prisoner"]["folder"])).record()
    assert record is not None
    image = pico.folder / "images" / record.digest / "disk"
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
    user = re.search(r"Uid:\s+(\d+)", status)
    assert user is not None and (int(user[1]) != 0 or os.geteuid() != 0)
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


def test_a_stale_template_is_replaced(pico: PicoCommand, box: Path) -> None:
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


def test_a_template_belongs_to_kernel_agent_and_settings(
    pico: PicoCommand, configuration: Config, tmp_path: Path
) -> None:
    ours = pico.ok("template", "--no-spare").strip()
    stem = f"{configuration.distribution.prefix}-pico"
    for suffix in (".vmlinux", ".initrd", ".zygote.so", ".rehearsal", ".net"):
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


def test_gc_removes_leftovers(pico: PicoCommand, box: Path) -> None:
    pico.ok("run", "--name", "done", box, "true")
    assert pico.state("done") == "exited"
    pico.ok("gc")
    assert pico.state("done") == "exited"
    assert "it has ended" in pico.ok("gc", "--exited")
    assert pico.state("done") == "gone"


@pytest.mark.long
@pytest.mark.parametrize("birth", ["copy", "clone"])
def test_no_start_hangs(pico: PicoCommand, box: Path, birth: str) -> None:
    """What comes in the first milliseconds of a machine may meet the taking down of its card."""
    pico.ok("template")
    words = ("--rm", "--network", "none", *(["--no-spare"] if birth == "clone" else []))
    for number in range(30):
        assert pico.ok("run", *words, box, "echo", number, timeout=30) == f"{number}\n"


def test_cold_boot(pico: PicoCommand, box: Path) -> None:
    pico.ok("run", "--cold", "--name", "cold", box, "echo", "well")
    assert pico.ps()["cold"]["birth"] == "cold"
    assert pico.ok("logs", "cold") == "well\n"


def test_stop_ends_what_does_not_listen(pico: PicoCommand, box: Path) -> None:
    pico.ok("run", "-d", "--name", "deaf", box, "sh", "-c", "trap '' TERM; while true; do sleep 1; done")
    begun = time.monotonic()
    pico.ok("stop", "-t", "1", "deaf")
    assert time.monotonic() - begun < 20
    assert pico.ps()["deaf"]["exit_code"] == 137


@pytest.mark.parametrize("birth", ["copy", "clone"])
def test_a_machine_has_its_callers_priority(pico: PicoCommand, box: Path, birth: str) -> None:
    """And not that at which machines are made ahead, in the background."""
    pico.ok("template")
    pico.ok("run", "-d", "--name", "work", *(["--no-spare"] if birth == "clone" else []), box, "sleep", "600")
    row = pico.ps()["work"]
    assert row["birth"] == birth
    assert os.getpriority(os.PRIO_PROCESS, row["pid"]) == os.getpriority(os.PRIO_PROCESS, 0)


def test_a_container_that_writes_without_end_fills_no_disk(pico: PicoCommand, box: Path) -> None:
    pico.ok("run", "-d", "--name", "loud", box, "sh", "-c", "dd if=/dev/zero bs=1M count=72; exit 7")
    assert until(lambda: pico.state("loud") == "exited", 90)
    assert pico.ps()["loud"]["exit_code"] == 7
    log = max(path.stat().st_size for path in Path(pico.ps()["loud"]["folder"]).iterdir() if path.is_file())
    assert 60 << 20 < log <= LARGEST_LOG
    assert pico.ok("logs", "--tail", "0", "loud") == ""


def test_three_commands_at_once_in_one_machine(pico: PicoCommand, box: Path) -> None:
    pico.ok("run", "-d", "--name", "work", box, "sleep", "600")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            other = stack.enter_context(
                pico.start("exec", "work", "sh", "-c", "echo on; sleep 20", stdout=subprocess.PIPE)
            )
            stack.callback(other.kill)
            assert other.stdout is not None and other.stdout.readline() == b"on\n"
        begun = time.monotonic()
        assert pico.ok("exec", "work", "echo", "third") == "third\n"
        assert time.monotonic() - begun < 10


def test_a_caller_without_standard_input(pico: PicoCommand, box: Path) -> None:
    """The number of a stream that is closed is another file's then."""
    argv = ["sh", "-c", 'exec "$@" <&-', "sh", *pico.argv("run", "--name", "work", "-i", box, "echo", "well")]
    done = subprocess.run(argv, env=pico.env, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, b"well\n"), done.stderr
    assert pico.ps()["work"]["exit_code"] == 0

"""Hostile code in a sandbox, as a spec, a source or a scriptlet may bring it: each attempt is made, and refused.

The attempts are in tests/data/escape/probe.py and run in a real sandbox of the build seed; what they could leave on the
host is looked at from the host. docs/internals/security.md says which promise each of them tries.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photonbuild.errors import BuildError, SandboxError
from photonbuild.pipeline.configuration import load_config
from photonbuild.sandbox.ids import IDS, first_id
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, Checkout

PROBE = PROJECT / "tests" / "data" / "escape" / "probe.py"
SECRET = "token-that-no-build-may-see"


@pytest.fixture(scope="module")
def seed_root(seeded_store: Path) -> Path:
    store = Store.open(seeded_store)
    return seed.build(load_config(PROJECT), store, "build", print, locked=False, offline=False).root


@pytest.fixture
def sandbox(seed_root: Path, tmp_path: Path) -> Sandbox:
    """As a build has it: /out to write to, /code to read, a root on disk."""
    for name in ("out", "code", "upper", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "code" / "secret").write_text("the host's")
    (tmp_path / "code" / "secret").chmod(0o600)
    return Sandbox(
        layers=[seed_root],
        scratch=tmp_path / "scratch",
        upper=tmp_path / "upper",
        binds=[
            Bind(PROBE, "/probe.py"),
            Bind(tmp_path / "code", "/code"),
            Bind(tmp_path / "out", "/out", readonly=False),
        ],
    )


def attempt(sandbox: Sandbox, name: str, *arguments: str) -> dict[str, Any]:
    done = sandbox.run(["python3", "-I", "/probe.py", name, *arguments])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    "name",
    [
        "kernel_settings",
        "kernel_memory",
        "host_devices",
        "mounts",
        "read_only_binds",
        "namespaces",
        "first_process",
        "keyrings",
        "descriptors",
        "network",
        "control_groups",
        "kernel_calls",
        "kill_outside",
        "privileges",
    ],
)
def test_refused(sandbox: Sandbox, name: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text(), os.stat("/dev/null").st_mode
    answer = attempt(sandbox, name)
    assert answer["refused"], answer["seen"]
    assert before == (Path("/proc/sys/kernel/core_pattern").read_text(), os.stat("/dev/null").st_mode)


def test_device_nodes(sandbox: Sandbox, tmp_path: Path) -> None:
    answer = attempt(sandbox, "device_nodes", "/out", "/tmp", "/dev", "/dev/shm", "/build")
    assert answer["refused"], answer["seen"]
    assert not list((tmp_path / "out").iterdir())


def test_the_holder_of_the_ids_ends_with_who_made_it() -> None:
    code = (
        "import os, signal; from photonbuild.sandbox import init; read = os.read\n"
        "def wait(*arguments):\n"
        "    read(*arguments)\n"
        "    print(open(f'/proc/self/task/{os.getpid()}/children').read(), flush=True)\n"
        "    signal.pause()\n"
        "os.read = wait; init.user_namespace(0)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=PROJECT) as maker:
        assert maker.stdout is not None
        holder = int(maker.stdout.readline())
        maker.kill()
    deadline = time.monotonic() + 10
    try:
        while Path(f"/proc/{holder}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGKILL)


def test_what_is_the_sandboxs_own_is_so_behind_a_read_only_bind_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """One sandbox's results are another's input, and a file there may be its owner's alone."""
    sandbox.run(["sh", "-c", "umask 077; mkdir /out/folder; echo kept > /out/folder/file"])
    box = replace(
        sandbox,
        upper=None,
        binds=[
            Bind(tmp_path / "out/folder", "/folder"),
            Bind(tmp_path / "out/folder/file", "/file"),
            Bind(tmp_path / "code", "/code"),
        ],
    )
    done = box.run(["sh", "-c", "cat /folder/file /file /code/secret; stat -c %u /folder/file /file /code/secret"])
    assert done.stdout == "kept\nkept\nthe host's0\n0\n0\n"


def test_setuid_programs_are_nobodys_on_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    """In what is bound and in the root on disk; file capabilities are the namespace's own: capabilities(7)."""
    attempt(sandbox, "setuid", "/out", "/build", "/usr/bin")
    found = [path for path in tmp_path.rglob("*") if path.name in ("su", "capable") and path.is_file()]
    assert len(found) == 6
    for path in found:
        first = first_id() if os.geteuid() == 0 else os.geteuid()
        assert first <= path.stat().st_uid < first + IDS and path.stat().st_uid != 0
        if path.name == "capable":
            magic, *_sets, owner = struct.unpack("<6I", os.getxattr(path, "security.capability"))
            assert (magic >> 24, owner) == (3, first)


def test_no_file_of_a_seed_or_a_tree_is_roots(seed_root: Path) -> None:
    if os.geteuid() == 0:
        found = [path for path in seed_root.rglob("*") if path.lstat().st_uid < IDS]
        assert not found
    privileged = [
        path for path in seed_root.rglob("*") if stat.S_ISREG(path.lstat().st_mode) and path.stat().st_mode & 0o6000
    ]
    assert privileged  # there is something that the promise is about


def test_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_TOKEN", SECRET)
    monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@proxy")
    answer = attempt(sandbox, "environment", SECRET)
    assert answer["refused"], answer["seen"]


def test_inherited_descriptors(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = os.open(tmp_path / "code" / "secret", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        answer = attempt(sandbox, "descriptors")
    finally:
        os.close(secret)
    assert answer["refused"], answer["seen"]


@pytest.fixture
def listeners() -> Iterator[tuple[str, int]]:
    """(abstract name, port on the loopback) of sockets of the host that accept whoever comes."""
    name = f"photonbuild-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as unix, socket.create_server(("127.0.0.1", 0)) as inet:
        unix.bind(f"\0{name}")
        unix.listen()
        yield name, inet.getsockname()[1]


def test_sockets_of_the_host(sandbox: Sandbox, listeners: tuple[str, int]) -> None:
    name, port = listeners
    for kind, address in (("abstract", name), ("loopback", str(port))):
        answer = attempt(sandbox, "connect", kind, address)
        assert answer["refused"], (kind, answer["seen"])


def test_the_callers_terminal(sandbox: Sandbox) -> None:
    """As `photonbuild shell` has it: the command shares the terminal."""
    ours, theirs = pty.openpty()
    try:
        read, write = os.pipe()
        with os.fdopen(read) as stream:
            process = sandbox.popen(
                ["python3", "-I", "/probe.py", "terminal"], stdin=theirs, stdout=write, new_session=False
            )
            os.close(write)
            answer = json.load(stream)
        assert process.wait() == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert answer["refused"], answer["seen"]


def test_a_link_in_a_layer_leads_nowhere(seed_root: Path, tmp_path: Path) -> None:
    """A package's tree is a layer: where it has a link, a bind mount must not be made behind it on the host."""
    outside, layer = tmp_path / "outside", tmp_path / "layer"
    for folder in (outside, layer, tmp_path / "scratch"):
        folder.mkdir()
    (layer / "out").symlink_to(outside)
    (layer / "sources").symlink_to(f"../../../../../../../../{outside}")
    (tmp_path / "file").write_text("x")
    binds = [Bind(tmp_path / "file", "/out/new"), Bind(tmp_path / "file", "/sources/new")]
    sandbox = Sandbox(layers=[layer, seed_root], scratch=tmp_path / "scratch", binds=binds)
    with contextlib.suppress(SandboxError):  # a link that leads nowhere in the sandbox
        sandbox.run(["true"], check=False)
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        "ln -s {victim} /out/build.log",
        "ln -s {victim} /out/inputs.json",
        "ln -s {victim} /out/build.json",
        "mkdir -p /out/rpms; ln -s {victim} /out/rpms/x.rpm",
        "ln -s /etc /out/srpms",
        "mkfifo /out/rpms.fifo",
    ],
)
def test_links_among_the_results_of_a_build(checkout: Checkout, tmp_path: Path, command: str) -> None:
    """What a build leaves is read and written on the host: nothing of it may lead to the host's files."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    text = checkout.spec("mini-data").read_text(encoding="utf-8")
    checkout.spec("mini-data").write_text(text.replace("%install\n", f"%install\n{command.format(victim=victim)}\n", 1))
    done = checkout.run("build", "mini-data", code=BuildError.exit_code)
    assert victim.read_text() == "untouched"
    assert "left what is no result" in done.stderr or "does not build" in done.stderr
    assert checkout.leftovers() == []


def test_a_scriptlet_leaves_no_link_for_the_host(seed_root: Path, tmp_path: Path) -> None:
    """The folder of an image's step is read on the host as well."""
    folder = tmp_path / "work"
    folder.mkdir()
    bind = Bind(folder, "/work", readonly=False)
    (tmp_path / "scratch").mkdir()
    sandbox = Sandbox(layers=[seed_root], scratch=tmp_path / "scratch", binds=[bind])
    with pytest.raises(BuildError, match="left links that lead out of /work: result"):
        sandbox.run(["ln", "-s", "/etc/passwd", "/work/result.json"], error=BuildError)

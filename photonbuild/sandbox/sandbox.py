"""One sandbox for everything: a user namespace with a range of 65,536 ids, an overlay root, and one command.

PID, mount, IPC, UTS and (unless asked otherwise) network namespaces are private. It unwinds by itself when the command
or we end.

The same user namespace is used as root and as an ordinary user: root maps the range to itself; an ordinary user maps
id 0 to himself and 1…65535 to his sub-ids through newuidmap(1) and newgidmap(1), see user_namespaces(7).
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from photonbuild.errors import Interrupted, PhotonbuildError, SandboxError
from photonbuild.run import Completed, tail_of

IDS = 65536
FREE = f"100000-{100000 + IDS - 1}"
INIT = Path(__file__).parent / "init.py"
PATH_INSIDE = "/usr/bin:/usr/sbin:/bin:/sbin"


@dataclass(frozen=True)
class Bind:
    """A host path made visible at an absolute path inside."""

    source: Path
    target: str
    readonly: bool = True


_guard = threading.Lock()
_running: dict[int, subprocess.Popen[bytes]] = {}
_closed = threading.Event()


def end_all() -> None:
    """End every sandbox of this process and start no more: for Ctrl-C, when threads still wait for theirs."""
    with _guard:
        _closed.set()
        for child in _running.values():
            child.kill()


def ended() -> bool:
    """Has `end_all` been called? For work outside sandboxes that should end as well."""
    return _closed.is_set()


@dataclass(kw_only=True)
class Process:
    """A running sandbox. `wait` returns the command's exit code; `kill` ends everything inside at once."""

    popen: subprocess.Popen[bytes]
    status: IO[bytes]
    done: dict[str, Any] = field(default_factory=dict)

    def wait(self, timeout: float | None = None) -> int:
        """The command's exit code. Raises SandboxError when the sandbox itself failed, TimeoutExpired in time."""
        self.popen.wait(timeout)
        _running.pop(self.popen.pid, None)
        if not self.done:
            self._read_done()
        return int(self.done["code"])

    def _read_done(self) -> None:
        text = self.status.read()
        self.status.close()
        for line in text.splitlines():
            message = json.loads(line)
            if "error" in message:
                raise SandboxError(f"cannot set up the sandbox: {message['error']}", hint="photonbuild doctor")
            self.done = message.get("done", self.done)
        if not self.done:
            self.done = {"code": 128 + signal.SIGKILL, "cpu": 0.0, "rss": 0, "scratch": 0}

    def kill(self) -> None:
        """End the sandbox and everything in it; returns when it is gone."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        _running.pop(self.popen.pid, None)
        if not self.status.closed:
            self.status.close()
        self.done = self.done or {"code": 128 + signal.SIGKILL, "cpu": 0.0, "rss": 0, "scratch": 0}


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A root made of `layers` (top first, the seed last) with a discarded tmpfs, or the directory `upper`, on top.

    `scratch` is an existing directory on the host that serves as a mount point in the private namespace. With
    `readonly` the root is read-only for the command; /tmp is not.
    """

    layers: Sequence[Path]
    scratch: Path
    upper: Path | None = None
    binds: Sequence[Bind] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    readonly: bool = False
    hostname: str = "builder"
    tmpfs_size: str = "80%"

    def plan(self, argv: Sequence[str], cwd: str) -> dict[str, Any]:
        """The JSON plan for the first process: pure, so that tests can read it."""
        return {
            "layers": [str(layer.absolute()) for layer in self.layers],
            "scratch": str(self.scratch.absolute()),
            "upper": str(self.upper.absolute()) if self.upper else None,
            "readonly": self.readonly,
            "binds": [[str(b.source.absolute()), b.target, b.readonly] for b in self.binds],
            "env": {"PATH": PATH_INSIDE, "HOME": "/root", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb", **self.env},
            "network": self.network,
            "hostname": self.hostname,
            "tmpfs_size": self.tmpfs_size,
            "argv": list(argv),
            "cwd": cwd,
        }

    def popen(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/",
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        new_session: bool = True,
    ) -> Process:
        """Start `argv` inside. With `new_session` a Ctrl-C reaches only us, and we kill the sandbox."""
        status_read, status_write = os.pipe()
        go_read, go_write = os.pipe()
        try:
            with _guard:
                if _closed.is_set():
                    raise Interrupted("interrupted")
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(INIT), str(status_write), str(go_read)],
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    pass_fds=(status_write, go_read),
                    start_new_session=new_session,
                )
                _running[child.pid] = child
        except BaseException:
            for fd in (status_read, go_write):
                os.close(fd)
            raise
        finally:
            os.close(status_write)
            os.close(go_read)
        status = os.fdopen(status_read, "rb", buffering=0)
        process = Process(popen=child, status=status)
        try:
            first = json.loads(_read_line(status) or "{}")
            if "map" not in first:
                raise _no_namespace(str(first.get("error", "the sandbox's first process died")))
            write_id_maps(child.pid)
            with os.fdopen(go_write, "w", encoding="utf-8") as go:
                go_write = -1
                json.dump(self.plan(argv, cwd), go)
        except BaseException:
            process.kill()
            raise
        finally:
            if go_write >= 0:
                os.close(go_write)
        return process

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/",
        log: Path | None = None,
        input: bytes | None = None,
        timeout: float | None = None,
        silence: float | None = None,
        check: bool = True,
        error: type[PhotonbuildError] = SandboxError,
    ) -> Completed:
        """Run `argv` inside to its end. With `log` its output is appended there, else captured.

        `timeout` bounds the whole run, `silence` the time for which the log may stand still (seconds). Raises `error`
        with the last lines of output when the command fails (with `check`) or is stopped.
        """
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            out: IO[bytes] = stack.enter_context(log.open("ab") if log else _temporary())
            err: IO[bytes] = out if log else stack.enter_context(_temporary())
            stdin: IO[bytes] | int = subprocess.DEVNULL
            if input is not None:
                stdin = stack.enter_context(_temporary())
                stdin.write(input)
                stdin.seek(0)
            process = self.popen(argv, cwd=cwd, stdin=stdin, stdout=out, stderr=err)
            try:
                code, stopped = _watch(process, log, timeout, silence)
            except BaseException:
                process.kill()
                raise
            text = ["", ""] if log else [_text(out), _text(err)]
        result = Completed(
            argv=tuple(argv),
            returncode=code,
            stdout=text[0],
            stderr=text[1],
            seconds=time.monotonic() - started,
            cpu_seconds=float(process.done["cpu"]),
            peak_rss=int(process.done["rss"]),
            scratch_bytes=int(process.done["scratch"]),
        )
        if stopped or (check and code):
            detail = tail_of(log) if log else (text[1] or text[0]).strip()[-4000:]
            raise error(stopped or f"{argv[0]} failed with exit code {code}", detail=detail)
        return result


def write_id_maps(pid: int) -> None:
    """Give the user namespace of `pid` its 65,536 ids. Raises SandboxError when the user has no sub-ids."""
    if os.geteuid() == 0:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 0 {IDS}\n", encoding="ascii")
        return
    for tool, path, own in (("newuidmap", "/etc/subuid", os.getuid()), ("newgidmap", "/etc/subgid", os.getgid())):
        start = sub_ids(Path(path))
        argv = [tool, str(pid), "0", str(own), "1", "1", str(start), str(IDS - 1)]
        try:
            done = subprocess.run(argv, capture_output=True, check=False)
        except FileNotFoundError as exc:
            raise SandboxError(f"{tool} is missing", hint="install the package uidmap") from exc
        if done.returncode:
            raise SandboxError(f"{tool} failed: {done.stderr.decode().strip()}", where=path, hint="photonbuild doctor")


def sub_ids(path: Path) -> int:
    """First id of the calling user's range in subuid(5) or subgid(5); the range must hold 65,535 ids."""
    names = {getpass.getuser(), str(os.getuid())}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        user, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if user in names and int(count or 0) >= IDS - 1:
            return int(start)
    raise SandboxError(
        f"user {getpass.getuser()} has no range of {IDS - 1} sub-ids",
        where=str(path),
        hint=f"usermod --add-subuids {FREE} --add-subgids {FREE} {getpass.getuser()}",
    )


def _watch(process: Process, log: Path | None, timeout: float | None, silence: float | None) -> tuple[int, str | None]:
    started = time.monotonic()
    while True:
        try:
            return process.wait(None if timeout is None and silence is None else 2.0), None
        except subprocess.TimeoutExpired:
            if timeout is not None and time.monotonic() - started > timeout:
                process.kill()
                return 124, f"stopped: it ran longer than {timeout:.0f} s"
            if log is not None and silence is not None and time.time() - log.stat().st_mtime > silence:
                process.kill()
                return 124, f"stopped: it printed nothing for {silence:.0f} s"


@contextlib.contextmanager
def _temporary() -> Iterator[IO[bytes]]:
    fd = os.memfd_create("photonbuild")
    with os.fdopen(fd, "w+b") as handle:
        yield handle


def _text(handle: IO[bytes]) -> str:
    handle.seek(0)
    return handle.read().decode(errors="replace")


def _read_line(handle: IO[bytes]) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = handle.read(1)
        if not byte:
            break
        line += byte
    return line


def _no_namespace(reason: str) -> SandboxError:
    return SandboxError(
        f"cannot make a user namespace: {reason}",
        hint="sysctl user.max_user_namespaces=65536; on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0",
    )

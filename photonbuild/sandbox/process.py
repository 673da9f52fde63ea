"""The process of a sandbox: started by our first program in it, ended with everything inside, also by Ctrl-C."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from photonbuild.errors import Interrupted, SandboxError
from photonbuild.sandbox.cgroups import Group, create
from photonbuild.sandbox.ids import first_id, give, write_id_maps

# Nothing of the caller's Python but its standard library; no compiled files are left beside ours.
INIT = "photonbuild.sandbox.init"
RUN_INIT = f"import sys; sys.path.append(sys.argv.pop(1)); from {INIT} import main; main()"
FIRST = (sys.executable, "-I", "-S", "-B", "-c", RUN_INIT, str(Path(__file__).parents[2]))

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
    """A running sandbox. `wait` returns the command's exit code; `kill` ends everything inside at once.

    `out_of_memory` is known when it has ended.
    """

    popen: subprocess.Popen[bytes]
    status: IO[bytes]
    group: Group | None = None
    out_of_memory: bool = False
    done: dict[str, Any] = field(default_factory=dict)

    def wait(self, timeout: float | None = None) -> int:
        """The command's exit code. Raises SandboxError when the sandbox itself failed, TimeoutExpired in time."""
        if timeout is not None and not self._ends_within(timeout):
            raise subprocess.TimeoutExpired(self.popen.args, timeout)
        self.popen.wait()
        self._ended()
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

    def _ends_within(self, seconds: float) -> bool:
        """Without looking again and again, as subprocess does."""
        if self.popen.poll() is not None:
            return True
        descriptor = os.pidfd_open(self.popen.pid)
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)

    def _ended(self) -> None:
        _running.pop(self.popen.pid, None)
        if self.group is not None:
            self.out_of_memory = self.group.ran_out_of_memory()
            self.group.remove()
            self.group = None

    def end_others(self) -> None:
        """End all that the command has started, so that it can put something by; it is still to be waited for."""
        if self.popen.poll() is None:
            self.popen.terminate()

    def kill(self) -> None:
        """End the sandbox and everything in it; returns when it is gone."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._ended()
        if not self.status.closed:
            self.status.close()
        self.done = self.done or {"code": 128 + signal.SIGKILL, "cpu": 0.0, "rss": 0, "scratch": 0}


def start(
    plan: Mapping[str, Any],
    *,
    stdin: int | IO[bytes] | None,
    stdout: int | IO[bytes] | None,
    stderr: int | IO[bytes] | None,
    new_session: bool,
    memory: int | None = None,
) -> Process:
    """Start what `Sandbox.plan` describes, with `memory` bytes at the most where that can be bounded.

    Raises SandboxError, and Interrupted after `end_all`.
    """
    first = first_id()
    for source in (*plan["given"], plan["upper"]):
        if source is not None:
            give(Path(source), first)
    status_read, status_write = os.pipe()
    go_read, go_write = os.pipe()
    try:
        with _guard:
            if _closed.is_set():
                raise Interrupted("interrupted")
            child = subprocess.Popen(
                [*FIRST, str(status_write), str(go_read)],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(status_write, go_read),
                start_new_session=new_session,
                env={},
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
    process = Process(popen=child, status=status, group=create(memory) if memory is not None else None)
    try:
        with os.fdopen(go_write, "w", encoding="utf-8") as go:
            _hand_over(process, go, {**plan, "first": first})
    except BaseException:
        process.kill()
        raise
    return process


def _hand_over(process: Process, go: IO[str], plan: Mapping[str, Any]) -> None:
    """Put the first process where it is bounded, give it the plan and, for an ordinary user, its ids."""
    if process.group is not None:
        process.group.add(process.popen.pid)
    print(json.dumps(plan), file=go, flush=True)
    if os.geteuid() != 0:
        answer = json.loads(_read_line(process.status) or "{}")
        if "map" not in answer:
            raise _no_namespace(str(answer.get("error", "the sandbox's first process died")))
        write_id_maps(process.popen.pid)
        print(file=go, flush=True)


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

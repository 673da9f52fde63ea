"""One sandbox for everything: a user namespace with a range of 65,536 ids, an overlay root, and one command.

PID, mount, IPC, UTS and (unless asked otherwise) network namespaces are private. It unwinds by itself when the command
or we end.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from photonbuild.errors import PhotonbuildError, SandboxError
from photonbuild.run import Completed, tail_of
from photonbuild.sandbox.process import Process, start

PATH_INSIDE = "/usr/bin:/usr/sbin:/bin:/sbin"


@dataclass(frozen=True)
class Bind:
    """A host path made visible at an absolute path inside."""

    source: Path
    target: str
    readonly: bool = True


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A root made of `layers` (top first, the seed last) with a discarded tmpfs, or the directory `upper`, on top.

    `scratch` is an existing directory on the host that serves as a mount point in the private namespace. With
    `readonly` the root is read-only for the command; /tmp is not. `target` is a path inside at which a command builds a
    root: a tmpfs, or what `binds` has there, with /proc and /dev; no command can mount anything itself.
    """

    layers: Sequence[Path]
    scratch: Path
    upper: Path | None = None
    binds: Sequence[Bind] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    readonly: bool = False
    hostname: str = "builder"
    target: str | None = None
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
            "target": self.target,
            "tmpfs_size": self.tmpfs_size,
            "argv": list(argv),
            "cwd": cwd,
        }

    def inputs(self, argv: Sequence[str], cwd: str = "/") -> dict[str, Any]:
        """What of `plan` is the same on every machine, for the key of what is made inside: all but the host's paths."""
        plan = self.plan(argv, cwd)
        return {name: plan[name] for name in ("argv", "cwd", "env", "hostname", "network", "readonly", "target")}

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
        plan = self.plan(argv, cwd)
        return start(plan, stdin=stdin, stdout=stdout, stderr=stderr, new_session=new_session)

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

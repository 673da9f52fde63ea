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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from photonbuild.errors import PhotonbuildError, SandboxError, StoreError
from photonbuild.run import Completed, tail_of
from photonbuild.sandbox.cgroups import memory_of_machine
from photonbuild.sandbox.process import Process, start

LONGEST = 3600.0  # seconds that a command may take unless its caller says how many
MOST_OUTPUT = 256 << 20  # bytes that one may print
LEAST_ROOM = 256 << 20  # bytes that stay free on the disk of its upper folder and its log
SHARE = 0.9  # of the machine's memory that one sandbox may take
GRACE = 120.0  # seconds that a stopped command has for putting something by
PATH_INSIDE = "/usr/bin:/usr/sbin:/bin:/sbin"


@dataclass(frozen=True)
class Bind:
    """A host path made visible at an absolute path inside.

    Without `links` no command may leave a symbolic link in it that leads out of it: what is read there afterwards is
    read on the host, where the link would lead to the host's files. What is writable and root's becomes the sandbox's,
    unless `give` is false.
    """

    source: Path
    target: str
    readonly: bool = True
    links: bool = False
    give: bool = True

    def stray_links(self) -> list[str]:
        """Links in the folder, relative to it, that lead out of it or to an absolute path."""
        found = []
        for top, folders, names, place in os.fwalk(self.source, follow_symlinks=False):
            depth = len(Path(top).relative_to(self.source).parts)
            for name in (*folders, *names):
                with contextlib.suppress(OSError):  # no link
                    target = os.readlink(name, dir_fd=place)
                    if os.path.isabs(target) or os.path.normpath(f"{'x/' * depth}{target}").startswith(".."):
                        found.append(str(Path(top, name).relative_to(self.source)))
        return sorted(found)


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
            "given": [str(bind.source.absolute()) for bind in self.binds if bind.give and not bind.readonly],
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
        memory: int | None = None,
    ) -> Process:
        """Start `argv` inside. With `new_session` a Ctrl-C reaches only us, and we kill the sandbox."""
        plan = self.plan(argv, cwd)
        return start(plan, stdin=stdin, stdout=stdout, stderr=stderr, new_session=new_session, memory=memory)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/",
        log: Path | None = None,
        input: bytes | None = None,
        timeout: float | None = LONGEST,
        silence: float | None = None,
        memory: int | None = None,
        keeps: bool = False,
        check: bool = True,
        error: type[PhotonbuildError] = SandboxError,
    ) -> Completed:
        """Run `argv` inside to its end. With `log` its output is appended there, else captured.

        `timeout` bounds the whole run, `silence` the time for which the log may stand still (seconds), `memory` what it
        may take with its files in memory (bytes; most of the machine's unless given). A command that `keeps` puts
        something by when what it has started dies, and is let do so when it is stopped. Raises `error` with the last
        lines of output when the command fails (with `check`); when it is stopped, also without `check`.
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
            most = round(SHARE * memory_of_machine()) if memory is None else memory
            process = self.popen(argv, cwd=cwd, stdin=stdin, stdout=out, stderr=err, memory=most)
            bounds = Bounds(
                seconds=timeout, silence=silence, outputs=(out, err), disks=tuple(filter(None, (log, self.upper)))
            )
            try:
                code, stopped = bounds.watch(process, keeps=keeps)
            except BaseException:
                process.kill()
                raise
            if code and process.out_of_memory:
                stopped = stopped or f"stopped: it needs more than {most >> 20} MiB of memory"
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
            out_of_memory=process.out_of_memory,
        )
        for bind in self.binds:
            if not bind.links and not bind.readonly and (stray := bind.stray_links()):
                raise error(f"{argv[0]} left links that lead out of {bind.target}: {', '.join(stray[:5])}")
        if (stopped and not keeps) or (check and code):
            detail = tail_of(log) if log else (text[1] or text[0]).strip()[-4000:]
            raise error(stopped or f"{argv[0]} failed with exit code {code}", detail=detail)
        return replace(result, stopped=stopped)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a command may take: seconds in all and without output, bytes of `outputs`, room on the `disks` of paths."""

    seconds: float | None
    silence: float | None
    outputs: Sequence[IO[bytes]]
    disks: Sequence[Path]

    def watch(self, process: Process, *, keeps: bool) -> tuple[int, str | None]:
        """(exit code, why it was stopped or None). By a clock that neither jumps nor runs while the machine sleeps."""
        started = heard = time.monotonic()
        size = 0
        while True:
            try:
                return process.wait(0.5), None
            except subprocess.TimeoutExpired:
                now, before = time.monotonic(), size
                size = sum(os.fstat(output.fileno()).st_size for output in self.outputs)
                heard = now if size != before else heard
                self.check_disks()
                reason = self.reason(now - started, now - heard, size)
            if reason is not None:
                return self.stop(process, keeps=keeps), f"stopped: {reason}"

    def reason(self, seconds: float, silent: float, size: int) -> str | None:
        """Why a command that took and printed this much is stopped, or None."""
        if self.seconds is not None and seconds > self.seconds:
            return f"it ran longer than {self.seconds:.0f} s"
        if self.silence is not None and silent > self.silence:
            return f"it printed nothing for {self.silence:.0f} s"
        if size > MOST_OUTPUT:
            return f"it printed more than {MOST_OUTPUT >> 20} MiB"
        return None

    def check_disks(self) -> None:
        """Raise StoreError when hardly anything is free where the command writes: others need some room, too."""
        for path in self.disks:
            room = os.statvfs(path)
            if room.f_bavail * room.f_frsize < LEAST_ROOM:
                hint = f"it has to have {LEAST_ROOM >> 20} MiB; what was built is kept: run the same command again"
                raise StoreError("no space left", where=str(path.parent), hint=hint)

    @staticmethod
    def stop(process: Process, *, keeps: bool) -> int:
        if keeps:
            process.end_others()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        process.kill()
        return 124


@contextlib.contextmanager
def _temporary() -> Iterator[IO[bytes]]:
    fd = os.memfd_create("photonbuild")
    with os.fdopen(fd, "w+b") as handle:
        yield handle


def _text(handle: IO[bytes]) -> str:
    handle.seek(0)
    return handle.read().decode(errors="replace")

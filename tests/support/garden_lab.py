"""What the tests of Garden share: containers that go away with their test, scripts in them, tar streams, waiting."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.garden_client import Garden, GardenError, Process
from tests.support.machines import Guest

Entry = tarfile.TarInfo | tuple[str, str | bytes]

SOCKET = "/run/gdn/gdn.sock"
UNIT = "gdn.service"
HTTPD = "echo hello from $HOSTNAME_OF > /www/index.html; httpd -p 80 -h /www"
MIB = 1 << 20


@dataclass(frozen=True)
class Ran:
    """A process that ended."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Lab:
    """Garden's server, the machine around it, and the containers made so far; `close` destroys them."""

    guest: Guest
    garden: Garden
    rootfs: str
    made: list[str] = field(default_factory=list)

    def create(self, **spec: Any) -> str:
        """A container of the box, unless `spec` says another image. Raises GardenError."""
        if "rootfs" not in spec:
            spec = {"image": {"uri": self.rootfs}, **spec}
        handle = self.garden.create(spec)
        self.made.append(handle)
        return handle

    def start(self, handle: str, script: str, **spec: Any) -> Process:
        """A shell script as a process. Raises GardenError."""
        return self.garden.run(handle, {"path": "/bin/sh", "args": ["-c", script], "user": "root", **spec})

    def sh(self, handle: str, script: str, *, timeout: float = 90, **spec: Any) -> Ran:
        """A shell script to its end. Raises GardenError, StreamError."""
        with self.start(handle, script, **spec) as process:
            code = process.wait(timeout)
            return Ran(code, process.stdout.decode(errors="replace"), process.stderr.decode(errors="replace"))

    def out(self, handle: str, script: str, **spec: Any) -> str:
        """What a script that must succeed prints, without the last line's end."""
        ran = self.sh(handle, script, **spec)
        assert ran.code == 0, ran
        return ran.stdout.removesuffix("\n")

    def close(self) -> None:
        for handle in reversed(self.made):
            with contextlib.suppress(GardenError):
                self.garden.destroy(handle)
        self.made.clear()

    def restart(self) -> None:
        self.guest.ssh(f"systemctl restart {UNIT}")
        self.ready()

    def ready(self) -> None:
        """Wait until the server answers again."""
        until(self.answers, 60)

    def answers(self) -> bool:
        try:
            self.garden.ping()
        except (OSError, ValueError, GardenError):
            return False
        return True

    @contextlib.contextmanager
    def server_options(self, *options: str) -> Iterator[None]:
        """The server with more options on its command line, as a drop-in of its unit."""
        folder = f"/run/systemd/system/{UNIT}.d"
        command = self.guest.out(f"systemctl cat {UNIT} | sed -n 's/^ExecStart=//p' | tail -n 1")
        self.guest.ssh(f"mkdir -p {folder}")
        self.guest.write(f"{folder}/test.conf", f"[Service]\nExecStart=\nExecStart={' '.join([command, *options])}\n")
        try:
            self.guest.ssh("systemctl daemon-reload")
            self.restart()
            yield
        finally:
            self.guest.ssh(f"rm -r {folder} && systemctl daemon-reload")
            self.restart()


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """The first value of `condition` that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)
    return value


def refused(action: Callable[[], object]) -> GardenError:
    """The error of an action that must fail, as documented: JSON with a message; 404 only for what is not there."""
    with pytest.raises(GardenError) as caught:
        action()
    error = caught.value
    assert error.is_documented and error.message, error.body
    assert error.status in ((404,) if error.kind.endswith("NotFoundError") and error.kind[0] in "CP" else (400, 500))
    return error


def from_outside(guest: Guest, port: int) -> str:
    here = guest.facts["published"][str(port)]

    def get() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{here}/", timeout=5) as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    return str(until(get))


def tar_of(*entries: Entry) -> bytes:
    """A tar stream: regular files as (name, content), anything else as it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                name, content = entry
                data = content.encode() if isinstance(content, str) else content
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o640
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "", device: tuple[int, int] = (0, 0)) -> tarfile.TarInfo:
    """An entry without content: link, folder or device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o666
    info.devmajor, info.devminor = device
    return info


def files_of(data: bytes) -> Mapping[str, bytes | None]:
    """Contents by name of a tar stream, names without "./" and "/" at the ends; None for what is no regular file."""
    found: dict[str, bytes | None] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            found[member.name.removeprefix("./").strip("/")] = content.read() if content else None
    return found

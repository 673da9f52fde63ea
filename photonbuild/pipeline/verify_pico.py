"""Verifying the pico image: its kernel and agent run two containers made for it, one with a shell and one without."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.errors import VerifyError
from photonbuild.files import read_json
from photonbuild.images.oci import ARCHITECTURES, write_layout
from photonbuild.machines.checker import run_checks
from photonbuild.machines.guest import APPLETS, UID, USER
from photonbuild.machines.report import Boot, Report
from photonbuild.machines.ssh import free_port
from photonbuild.machines.verify import BUSYBOX
from photonbuild.pipeline.session import Session
from photonbuild.run import run

SOURCES = Path(__file__).parents[2]
PORT = 8080
TIMEOUT = 120.0
NAME, HOSTNAME, VARIABLE = "verified", "verified-machine", "GREETING=good day"
PLAIN = ("true", "false", "echo", "env", "cat", "pwd", "id", "sleep")


@dataclass(frozen=True)
class PicoProgram:
    """The command ``pico`` with machines, images and a template in `folder`, apart from the user's."""

    folder: Path
    kernel: Path
    store: Path
    root: Path

    @property
    def argv(self) -> list[str]:
        where = ("--root", self.root, "--folder", self.folder / "pico", "--kernel", self.kernel)
        return [sys.executable, "-m", "pico", *map(str, where)]

    @property
    def env(self) -> dict[str, str]:
        return {"PYTHONPATH": str(SOURCES), "PHOTONBUILD_STORE": str(self.store)}

    def __call__(self, *words: object) -> str:
        """Standard output of a command that must work. Raises VerifyError."""
        done = run([*self.argv, *map(str, words)], env=self.env, timeout=TIMEOUT, check=False, error=VerifyError)
        if done.returncode:
            raise VerifyError(f"pico {words[0]} failed", detail=done.stdout + done.stderr)
        return done.stdout

    def check_alive(self) -> None:
        """Raises VerifyError when the machine under test is gone."""
        self("exec", NAME, "true")

    def end(self) -> None:
        """End all machines, and the template with those that wait."""
        for row in json.loads(self("ps", "--all", "--json")):
            if row["name"]:
                self("rm", "--force", row["id"])
        self("template", "--remove", "--all")


def verify(kernel: Path, session: Session, progress: Callable[[str], None]) -> Report:
    """Verify `kernel` and the ``.initrd`` beside it. Timed are the making of a template and the life of a clone.

    Raises VerifyError, PicoError.
    """
    stages: dict[str, float] = {}
    with session.store.staging() as work, contextlib.ExitStack() as stack:
        pico = PicoProgram(work, kernel.absolute(), session.store.root, session.config.root)
        busybox, arch = session.machine_seed.root / BUSYBOX, ARCHITECTURES[session.config.distribution.arch]
        images = {"box": box_image(work / "box", busybox, arch), "plain": plain_image(work / "plain", busybox, arch)}
        for image in images.values():
            pico("pull", image)
        stack.callback(pico.end)
        progress(f"making a template of {kernel.name}")
        with timed(stages, "template"):
            folder = Path(pico("template", "--volumes", "--no-spare").strip())
        with timed(stages, "container runs"):
            facts = start(pico, images["box"])
        hardware = read_json(folder / "template.json")["hardware"]
        progress("a clone is up, checking")
        used = anonymous_memory(facts["pid"])
        checks = run_checks(pico, facts | {"images": {name: str(path) for name, path in images.items()}}, ["pico"])
        with timed(stages, "stopped"):
            pico("stop", "--time", "1", NAME)
    boot = Boot(firmware="pvh", accel=hardware["accel"], stages=stages, memory_used=used, checks=checks)
    return Report(image=kernel, boots=[boot])


@contextlib.contextmanager
def timed(stages: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds that this took."""
    begun = time.monotonic()
    yield
    stages[name] = time.monotonic() - begun


def anonymous_memory(pid: int) -> int:
    """Bytes of a process's anonymous memory."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


def start(pico: PicoProgram, image: Path) -> dict[str, Any]:
    """Start the machine under test; what the checks must know of it, see `photonbuild.machines.checks.conftest`."""
    shared = pico.folder / "shared"
    shared.mkdir()
    here = free_port()
    words = ["--name", NAME, "--hostname", HOSTNAME, "--env", VARIABLE, "--publish", f"127.0.0.1:{here}:{PORT}"]
    words += ["--volume", f"{shared}:/shared", "--volume", f"{shared}:/fixed:ro"]
    pico("run", "--detach", *words, image, "sleep", "36000")
    (row,) = json.loads(pico("ps", "--json"))
    return {
        "pico": {"argv": pico.argv, "env": pico.env, "name": NAME},
        "pid": row["pid"],
        "hostname": HOSTNAME,
        "variable": VARIABLE,
        "shared": str(shared),
        "user": {"name": USER, "uid": UID},
        "published": {str(PORT): here},
    }


def box_image(layout: Path, busybox: Path, arch: str) -> Path:
    """An OCI layout with a shell and a user."""
    users = f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n"
    files = {"etc/passwd": users.encode(), "etc/group": f"root:x:0:\n{USER}:x:{UID}:\n".encode()}
    links = {f"bin/{name}": "busybox" for name in (*APPLETS.split(), "head")}
    return _image(layout, busybox, arch, {"Cmd": ["/bin/sh"], "Env": ["FROM_IMAGE=yes"]}, files, links)


def plain_image(layout: Path, busybox: Path, arch: str) -> Path:
    """An OCI layout without a shell: what it does is seen by output and exit codes."""
    config = {"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["default"], "User": f"{UID}:{UID}", "WorkingDir": "/work"}
    links = {f"bin/{name}": "busybox" for name in PLAIN}
    return _image(layout, busybox, arch, config, {"work/file": b"content\n"}, links)


def _image(
    layout: Path,
    busybox: Path,
    arch: str,
    config: Mapping[str, Any],
    files: Mapping[str, bytes],
    links: Mapping[str, str],
) -> Path:
    tar = layout.with_suffix(".tar")
    with tarfile.open(tar, "w") as out:
        for name, content in {"bin/busybox": busybox.read_bytes(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755 if name.startswith("bin/") else 0o644
            out.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            out.addfile(member)
    document = {"architecture": arch, "os": "linux", "config": config}
    packed = layout.with_suffix(".tar.gz")
    packed.write_bytes(gzip.compress(tar.read_bytes()))
    write_layout(layout, tar, packed, document, name=layout.name, annotations={})
    return layout

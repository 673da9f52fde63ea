"""A disk larger than its image, as clouds give it: a qcow2 overlay, which takes what the guest writes."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.hardware import BACKING
from photonbuild.sandbox.sandbox import Bind, Sandbox


@contextlib.contextmanager
def larger_overlay(drive: BootDrive, more: int, *, seed: Path, scratch: Path) -> Iterator[BootDrive]:
    """The drive with a disk that is `more` bytes larger; the overlay is gone with the block. Raises VerifyError."""
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as place:
        folder = Path(place)
        (folder / "scratch").mkdir()
        binds = [Bind(folder, "/work", readonly=False), Bind(drive.file.resolve(), BACKING)]
        tools = Sandbox(layers=[seed], scratch=folder / "scratch", binds=binds)
        about = tools.run(["qemu-img", "info", "--output=json", "-f", drive.format, BACKING], error=VerifyError)
        size = int(json.loads(about.stdout)["virtual-size"]) + more
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", drive.format, "-b", BACKING, "/work/disk", str(size)]
        tools.run(argv, error=VerifyError)
        yield replace(drive, file=folder / "disk", format="qcow2", backing=drive.file)

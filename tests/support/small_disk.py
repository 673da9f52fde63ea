"""A command on a small disk, and again when there is room: run as root in a mount namespace of its own.

unshare --mount python -m tests.support.small_disk JSON, with the `root` and `store` of a `FaultLab`, the `place` of the
disk, its `size` and the `words` of the command; the answer is JSON, too. `full` leaves no room from the start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from photonbuild import contents
from tests.support.faults import FaultLab, Run


def mount(place: Path, size: str, more: str = "") -> None:
    argv = ["mount", "-t", "tmpfs", "-o", f"{more}size={size},mode=1777", "small", str(place)]
    subprocess.run(argv, check=True, capture_output=True)


def attempt(lab: FaultLab, words: list[str]) -> dict[str, Any]:
    process = lab.start(*words, small=True)
    stdout, stderr = process.communicate(timeout=300)
    digests = {}
    if process.returncode == 0:
        paths = Run(stdout=stdout, stderr=stderr).paths
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    entries = [path for kind in ("packages", "images") for path in (lab.store / kind).glob("*/*")]
    return {
        "code": process.returncode,
        "stderr": stderr,
        "results": digests,
        "left": lab.left(),
        "broken": [str(path) for path in entries if contents.damage(path)],
    }


def main() -> None:
    asked = json.loads(sys.argv[1])
    lab, place = FaultLab(root=Path(asked["root"]), store=Path(asked["store"])), Path(asked["place"])
    seeds = os.readlink(lab.store / "seeds")
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        hidden = os.open(lab.root.parent, os.O_PATH)
        stack.callback(os.close, hidden)
        mount(place, asked["size"])
        if place in lab.root.parents:
            lab.root.parent.mkdir(parents=True)
            argv = ["mount", "--no-canonicalize", "--bind", f"/proc/{os.getpid()}/fd/{hidden}", str(lab.root.parent)]
            subprocess.run(argv, check=True, capture_output=True)
    if not (lab.store / "seeds").exists():
        (lab.store / "seeds").symlink_to(seeds)
    if asked["full"]:
        ballast = os.open(place / "ballast", os.O_CREAT | os.O_WRONLY)
        with contextlib.suppress(OSError):
            while os.write(ballast, b"x" * 4096):
                pass
        os.close(ballast)
    first = attempt(lab, asked["words"])
    mount(place, "512m", "remount,")
    sys.stdout.write(json.dumps([first, attempt(lab, asked["words"])]))


if __name__ == "__main__":
    main()

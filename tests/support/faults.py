"""What tests of faults have in common: a tiny image beside the small distribution, and what must not be left."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
IMAGE = "tiny"
ROOT_SPEC = """\
Name:           mini-root
Version:        1.0
Release:        1%{?dist}
Summary:        The folders of a root
License:        Apache-2.0
BuildArch:      noarch

%description
Folders.

%install
mkdir -p %{buildroot}/{etc,usr/bin,usr/lib,var,tmp}

%files
%dir /etc
%dir /usr
%dir /usr/bin
%dir /usr/lib
%dir /var
%dir /tmp
"""


def add_image(root: Path) -> None:
    """To a checkout of the small distribution, an image of two packages."""
    (root / "build" / "images").mkdir(exist_ok=True)
    (root / "build" / "images" / f"{IMAGE}.yaml").write_text(f"format: oci\nprofile: {IMAGE}\n", encoding="utf-8")
    (root / "build" / "profiles" / f"{IMAGE}.yaml").write_text(
        f"name: {IMAGE}\ndescription: two packages\npackages: [mini-root, mini-data]\n", encoding="utf-8"
    )
    (root / "specs" / "mini-root").mkdir()
    (root / "specs" / "mini-root" / "mini-root.spec").write_text(ROOT_SPEC, encoding="utf-8")


@dataclass(frozen=True)
class FaultLab:
    """A checkout and its store, in which things go wrong."""

    root: Path
    store: Path

    def argv(self, *words: str) -> list[str]:
        options = ["--root", str(self.root), "--store", str(self.store), "--config", str(self.root / "user.yaml")]
        return [sys.executable, "-m", "tests.support.faulty", *words, "--json", *options]

    def start(self, *words: str, **faults: Any) -> subprocess.Popen[str]:
        """Start photonbuild with these faults, see `tests.support.faulty`."""
        env = {**os.environ, "PYTHONPATH": str(PROJECT), "FAULTS": json.dumps({"store": str(self.store), **faults})}
        pipe = subprocess.PIPE
        argv = self.argv(*words)
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env, cwd=self.root)

    def run(self, *words: str, code: int = 0, **faults: Any) -> Run:
        """Run photonbuild to its end; its exit code must be `code`."""
        process = self.start(*words, **faults)
        stdout, stderr = process.communicate(timeout=600)
        assert process.returncode == code, f"exit code {process.returncode}, not {code}\n{stdout}\n{stderr}"
        return Run(stdout=stdout, stderr=stderr)

    def results(self, *words: str, **faults: Any) -> dict[str, str]:
        """Digest of every file that a run of `build` or `image` names, by its name."""
        paths = self.run(*words, **faults).paths
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    def alive(self) -> list[str]:
        """Processes that have anything of the store mounted or open, and locks that are held, after a little while."""
        deadline = time.monotonic() + 20
        while (found := [*self._processes(), *self._locks()]) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _processes(self) -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.name == str(os.getpid()):
                    continue
                text = (process / "mountinfo").read_text(encoding="utf-8", errors="replace")
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.store) in text + words:
                    found.append(f"process {process.name}: {words}")
            except OSError:
                continue
        return found

    def _locks(self) -> list[str]:
        found = []
        for path in [*(self.store / "locks").glob("*"), *(self.root / "stage").glob(".*.lock")]:
            with path.open("rb") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(f"lock {path}")
        return found

    def left(self) -> list[str]:
        """What no command may leave: work in progress, files that were not renamed, lists of use, what failed."""
        work = [*(self.store / "tmp").iterdir(), *(self.store / "failed").iterdir()]
        work += (self.store / "locks").glob("uses-*")
        for top in (self.store, self.root / "stage"):
            for folder, names, files in os.walk(top):
                # What is in packages is theirs.
                names[:] = sorted(set(names) - {"seeds", "trees"})
                work += [
                    Path(folder, name)
                    for name in (*files, *names)
                    if name.startswith(".") and name not in (".repo.lock", ".images.lock", ".made.json")
                ]
        return [str(path) for path in work]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run has said."""

    stdout: str
    stderr: str

    @property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """The events on standard error. Anything else there, such as a traceback, fails."""
        try:
            return [json.loads(line) for line in self.stderr.splitlines()]
        except ValueError:
            raise AssertionError(self.stderr) from None

    @property
    def paths(self) -> list[Path]:
        """The files that `build` or `image` has named."""
        answer = json.loads(self.stdout)
        return (
            [Path(answer["path"])] if "path" in answer else [Path(path) for found in answer.values() for path in found]
        )

    def errors(self) -> list[Mapping[str, Any]]:
        return [event for event in self.events if event["event"] == "error"]

    def warnings(self) -> list[str]:
        return [event["text"] for event in self.events if event["event"] == "warning"]

"""What the tools of the live system say of disks that somebody else has written: only installer's errors come of it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.fetch import tdnf
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.kickstart.model import Repository
from photonbuild.installer.machine import disks, packages
from photonbuild.installer.machine.gather import os_release
from photonbuild.installer.machine.kernel import Kernel, file_systems, mounts
from photonbuild.installer.passwords import shadow
from photonbuild.installer.terminals import console_names
from photonbuild.run import Completed
from tests.support.fuzz import for_a_while, mutated
from tests.support.installer import fake_machine

WORDS = st.one_of(st.text(max_size=12), st.sampled_from(["", "ext4", "btrfs", "LVM2_member", "\x1b[2J", "\ud7ff", "1"]))
ROWS = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from(["type", "usage", "uuid", "label", "offset"]), st.one_of(WORDS, st.none())),
        st.one_of(st.none(), WORDS, st.integers(), st.lists(WORDS, max_size=2)),
    ),
    max_size=3,
)
SIGNATURES = st.one_of(
    ROWS.map(lambda rows: json.dumps({"signatures": rows}).encode()),
    st.one_of(st.none(), ROWS, st.integers(), WORDS).map(lambda value: json.dumps(value).encode()),
    mutated("wipefs"),
)
PROPERTIES = st.one_of(
    mutated("udev"),
    st.lists(st.builds(lambda key, value: f"{key}={value}", WORDS, WORDS)).map("\n".join).map(str.encode),
)


@contextlib.contextmanager
def saying(**answers: tuple[int, bytes]) -> Iterator[None]:
    """Programs that answer so; others say nothing."""

    def run(argv: Sequence[str], **_: Any) -> Completed:
        code, output = answers.get(str(argv[0]), (0, b""))
        text = output.decode(errors="replace")
        return Completed(argv=tuple(map(str, argv)), returncode=code, stdout=text, stderr=text)

    with (
        mock.patch.object(disks, "run", run),
        mock.patch.object(packages, "run", run),
        mock.patch.object(tdnf, "run", run),
    ):
        yield


@contextlib.contextmanager
def machine() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        yield fake_machine(Path(folder))


@for_a_while
@given(SIGNATURES, PROPERTIES, st.sampled_from([0, 0, 0, 1]), st.binary(max_size=60))
def test_disks(signatures: bytes, properties: bytes, code: int, lines: bytes) -> None:
    with machine() as made, saying(wipefs=(code, signatures), udevadm=(0, properties), pvs=(0, lines)):
        with contextlib.suppress(PhotonbuildError):
            for disk in disks.disks(made.kernel, made.paths):
                shown = f"{disk.name} {disk.content} {disk.in_use}"
                assert shown.isprintable(), shown
        for names in disks.volume_groups().values():
            assert all(names)
        with contextlib.suppress(PhotonbuildError):
            disks.find_disk("SERIAL=QM1", made.kernel, made.paths)


@for_a_while
@given(st.one_of(mutated("kernel"), st.binary(max_size=200)))
def test_files_of_the_kernel(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "proc/self").mkdir(parents=True)
        for name in ("proc/self/mountinfo", "proc/filesystems"):
            (Path(folder) / name).write_bytes(data)
        kernel = Kernel(root=Path(folder))
        assert all(key and value for key, value in mounts(kernel).items())
        assert all(file_systems(kernel))


@for_a_while
@given(mutated("accounts"), st.text(max_size=40))
def test_files_of_the_system(data: bytes, active: str) -> None:
    text = data.decode(errors="replace")
    assert all(isinstance(value, str) for value in os_release(text).values())
    console_names(active)
    roots = [line for line in text.splitlines() if line.split(":")[0] == "root"]
    changed = shadow(text, password="$6$s$h", age=None, today=20000).splitlines()
    assert len([line for line in changed if line.startswith("root:$6$s$h:20000:")]) == len(roots)


@for_a_while
@given(st.lists(st.one_of(WORDS, st.sampled_from(["bash 5 5-1", "error: x"]))).map("\n".join))
def test_what_rpm_says(text: str) -> None:
    with saying(rpm=(1, text.encode(errors="replace"))), contextlib.suppress(PhotonbuildError):
        packages.installed_packages()


SAID = [
    "error: ",
    "no package matches",
    "No package x=1 available\n",
    "\n  where: ",
    "\n\nhint: ",
    "\n  - ",
    "https://h",
]


@for_a_while
@given(st.lists(st.one_of(WORDS, st.sampled_from(SAID))).map("".join), st.sampled_from([-11, 1, 2]))
def test_what_tdnf_says(text: str, code: int) -> None:
    said, repositories = (
        saying(tdnf=(code, text.encode(errors="replace"))),
        [Repository(name="r", baseurl="https://h/")],
    )
    with machine() as made, said, Fetcher(paths=made.paths, pause=0) as fetcher, pytest.raises(PhotonbuildError):
        tdnf.download(["x=1"], repositories, fetcher, [])

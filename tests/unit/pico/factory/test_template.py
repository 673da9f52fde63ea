"""A template that is none any more, or not yet."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pico.factory import template
from pico.vm.qemu import Hardware
from pico.vm.state import Machine

HARDWARE = Hardware(memory=1, cpus=1, volumes=0, accel="tcg", machine="microvm", cpu="qemu64", append="")


def frozen(folder: Path) -> Path:
    """A template's folder."""
    for name, size in (("ram", 1 << 20), ("state", 100)):
        (folder / name).write_bytes(bytes(size))
        (folder / name).chmod(0o444)
    marks = template._marks({name: (folder / name).stat() for name in template.FILES})
    (folder / template.COMPLETE).write_text(json.dumps({"files": marks}))
    return folder


def test_a_template_that_was_changed_is_none(tmp_path: Path) -> None:
    assert template.is_valid(frozen(tmp_path), HARDWARE)
    before = (tmp_path / "state").stat()
    (tmp_path / "state").chmod(0o644)
    assert not template.is_valid(tmp_path, HARDWARE), "another may write it"
    (tmp_path / "state").write_bytes(bytes(100))
    (tmp_path / "state").chmod(0o444)
    os.utime(tmp_path / "state", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not template.is_valid(tmp_path, HARDWARE), "its time is another"
    os.utime(tmp_path / "state", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert template.is_valid(tmp_path, HARDWARE)
    (tmp_path / template.COMPLETE).write_text("{")
    assert not template.is_valid(tmp_path, HARDWARE)


def test_unfinished_templates_are_found_and_given_up(tmp_path: Path) -> None:
    for name in (".one.12", ".two.34", "whole"):
        (tmp_path / "templates" / name).mkdir(parents=True)
    assert [path.name for path in template.unfinished(tmp_path, "one")] == [".one.12"]
    for path in template.unfinished(tmp_path):
        template.abandon(path)
    assert [path.name for path in (tmp_path / "templates").iterdir()] == ["whole"]
    assert Machine(tmp_path / "templates/whole").pid() is None

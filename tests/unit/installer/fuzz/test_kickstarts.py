"""Kickstarts that anybody may have written: only errors for their author come of them, and of a right one a plan."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from photonbuild.errors import ConfigError, PhotonbuildError
from photonbuild.installer.errors import DiskError
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.kickstart.keys import KICKSTART
from photonbuild.installer.kickstart.kinds import (
    Choice,
    Either,
    Field,
    Flag,
    Items,
    Kind,
    Names,
    Number,
    Record,
    Refused,
    Text,
)
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.kickstart.parse import parse
from photonbuild.installer.kickstart.urls import redacted
from photonbuild.installer.machine.facts import Disk, Facts, LocalFile
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import Command, Write
from tests.support.fuzz import for_a_while, mutated
from tests.support.installer import GIB, KEY, facts

ODD = st.sampled_from([
    "", " ", "\0", "\n", "\x1b[2J", "\u2028", "\ud800", "-", "--", "-x", "..", "/..", "//", "a\nb", "0", "*", "$(x)",
    "'", '"', "\\", "#", "%", "=", "[", "/dev/sda", "https://u:p@h/", "https://[", "cdrom:/..", "9" * 30, "é", "\ufeff",
])  # fmt: skip
# What patterns with a check of their own let through.
SAMPLES = {
    "an absolute path": ["/", "/boot", "/boot/efi", "/var", "/var/log", "/home/a-b", "/srv"],
    "an address with its prefix length": ["192.0.2.7/24", "2001:db8::1/64", "0.0.0.0/0"],
    "a text": ["192.0.2.1", "2001:db8::1", "/root/x", "/etc/y/"],
}
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), ODD),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Mostly right values of a kind, and some that are not."""
    return st.integers(0, 39).flatmap(lambda number: ANYTHING if number == 0 else right(kind))


def right(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Text():
            return texts(kind)
        case Number():
            most = min(kind.maximum or 1 << 40, 1 << 40)
            small = st.integers(max(kind.minimum, 0), min(most, 4096))
            return st.one_of(small, st.integers(kind.minimum, most))
        case Flag():
            return st.booleans()
        case Choice():
            return st.sampled_from([*kind.values, *(name for name, _ in kind.refused)][:8])
        case Items():
            return st.lists(values(kind.of), min_size=kind.minimum, max_size=3)
        case Names():
            return st.dictionaries(texts(kind.key), values(kind.of), max_size=3)
        case Record():
            return records(kind)
        case Either():
            return st.one_of(texts(kind.short), right(kind.record))
        case Refused():
            return ANYTHING


def texts(kind: Text) -> st.SearchStrategy[str]:
    given = st.sampled_from(SAMPLES.get(kind.expected, ["x"]))
    return st.one_of(st.from_regex(kind.pattern, fullmatch=True) if kind.pattern else given, given, ODD)


@st.composite
def records(draw: st.DrawFn, kind: Record) -> dict[str, Any]:
    found = {}
    for field in kind.fields:
        if draw(wanted(field)):
            found[field.name] = draw(values(field.kind))
    return found


def wanted(field: Field) -> st.SearchStrategy[bool]:
    refused = isinstance(field.kind, Refused)
    return st.integers(0, 49).map(lambda number: number > (2 if field.required else 48 if refused else 24))


ROOT = {"mountpoint": "/", "filesystem": "ext4"}
SIZES = st.one_of(
    st.integers(0, 9000).map(lambda size: {"size": size}), st.integers(1, 100).map(lambda part: {"sizepercent": part})
)
VOLUMES = st.one_of(
    st.just({}),
    st.builds(
        lambda group, name: {"lvm": {"vg_name": group, "lv_name": name}},
        st.sampled_from(["g", "g-h", "vg"]),
        st.sampled_from(["a", "b-c", "d"]),
    ),
)
PARTITIONS = st.lists(
    st.builds(
        lambda mountpoint, filesystem, size, volume: {
            "filesystem": filesystem,
            **({"mountpoint": mountpoint} if filesystem != "swap" else {}),
            **size,
            **volume,
        },
        st.sampled_from(["/boot", "/boot/efi", "/var", "/home", "/srv/a b", "/srv/é"]),
        st.sampled_from(["ext4", "xfs", "vfat", "swap"]),
        SIZES,
        VOLUMES,
    ),
    max_size=4,
)
OTHERS = [field for field in KICKSTART.fields if field.name not in ("disk", "disks", "partitions", "public_key")]
GOOD = st.builds(
    lambda root, others, more: {
        "disk": "/dev/sda",
        "public_key": KEY,
        "partitions": [{**ROOT, **root}, *others],
        **more,
    },
    st.one_of(st.just({"size": 0}), SIZES),
    PARTITIONS,
    st.lists(st.sampled_from(OTHERS), max_size=2).flatmap(
        lambda chosen: st.fixed_dictionaries({field.name: values(field.kind) for field in chosen})
    ),
)
DISKS = st.builds(
    Disk,
    path=st.sampled_from(["/dev/sda", "/dev/nvme0n1"]),
    size=st.one_of(st.just(8 * GIB), st.integers(1, 64 * GIB)),
    sector=st.sampled_from([512, 4096]),
)


@contextlib.contextmanager
def only_errors_for_the_author(*kinds: type[PhotonbuildError]) -> Any:
    """Every part of such an error can be shown on a terminal."""
    try:
        yield
    except kinds as error:
        for part in (str(error), error.detail or "", error.hint or ""):
            part.encode()


def judged(text: str, name: str) -> Kickstart | None:
    """The kickstart, all of whose texts can be written to a file; None for one that is refused."""
    with only_errors_for_the_author(ConfigError):
        found = parse(text, name)
        repr(found).encode()
        json.dumps([found.postinstall.lines, found.additional_files, dict(found.services)], ensure_ascii=False).encode()
        return found
    return None


def planned(kickstart: Kickstart, disk: Disk) -> None:
    """A plan that could be carried out, or an error: no zero bytes in words of command lines, nothing off the disk."""
    with only_errors_for_the_author(PhotonbuildError):
        for source, _ in kickstart.additional_files:
            with only_errors_for_the_author(ConfigError):
                parse_source(source)
        try:
            plan = make_plan(kickstart, machine(kickstart, disk))
        except DiskError:
            return
        for step in plan.steps:
            if isinstance(step, Command):
                assert not any("\0" in word for word in step.argv)
                " ".join(step.argv).encode()
            if isinstance(step, Write):
                assert step.path.startswith("/") and ".." not in step.path.split("/")
                step.text.encode()
        script = next(step.input for step in plan.steps if isinstance(step, Command) and step.argv[0] == "sfdisk")
        inside(script, disk)


def machine(kickstart: Kickstart, disk: Disk) -> Facts:
    """One that has every disk and file of the kickstart."""
    names = [target.id for target in kickstart.used_disks[1:]]
    return facts(
        disk=disk,
        more_disks={name: replace(disk, path=f"/dev/vd{number}") for number, name in enumerate(names)},
        has_initramfs=True,
        images=tuple(None for _ in kickstart.images),
        playbooks=tuple(LocalFile(source=book.playbook, path=Path("/book")) for book in kickstart.playbooks),
    )


def inside(script: str, disk: Disk) -> None:
    """Partitions of the table lie after each other, and end before the disk does."""
    end = 0
    for line in script.splitlines():
        if line.startswith("start="):
            start, size = (int(word.strip().partition("=")[2]) * disk.sector for word in line.split(",")[:2])
            assert start >= end and size > 0, script
            end = start + size
    assert 0 < end <= disk.size, script


@for_a_while
@given(mutated("kickstarts"), st.sampled_from(["ks.json", "ks.yaml", "ks"]), DISKS)
def test_a_damaged_file(data: bytes, name: str, disk: Disk) -> None:
    found = judged(data.decode(errors="replace"), name)
    if found is not None:
        planned(found, disk)


WRITERS: list[tuple[str, Callable[[Any], str]]] = [
    ("ks.json", json.dumps),
    ("ks", json.dumps),
    ("ks.yaml", lambda data: str(yaml.safe_dump(data, allow_unicode=True))),
    ("ks.yaml", lambda data: str(yaml.safe_dump(data))),
]


@for_a_while
@given(st.one_of(GOOD, records(KICKSTART)), st.sampled_from(WRITERS), DISKS)
def test_keys_and_values(data: dict[str, Any], writer: tuple[str, Callable[[Any], str]], disk: Disk) -> None:
    name, written = writer
    found = judged(written(data), name)
    if found is not None:
        planned(found, disk)


@for_a_while
@given(st.one_of(st.text(max_size=40), st.text("htps:/@?#[]%.u0", max_size=30).map(lambda text: f"https://{text}")))
def test_an_address(text: str) -> None:
    with only_errors_for_the_author(ConfigError):
        found = parse_source(text, base=parse_source("https://host/folder/ks.json"))
        assert found.remote or ".." not in found.path.split("/")
    redacted(text)
    if "://" in text and "secret" not in text:
        scheme, _, rest = text.partition("://")
        assert "secret" not in redacted(f"{scheme}://user:secret@{rest}")

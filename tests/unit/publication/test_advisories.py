"""Advisories: checked against what is published, written and read back by createrepo_c."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from photonbuild.config.models import Distribution
from photonbuild.errors import ConfigError
from photonbuild.packages.package import Package
from photonbuild.publication.advisories import read_advisories, updateinfo
from photonbuild.publication.index import read_advisories as read_back
from photonbuild.roots import Roots
from tests.support.packages import by_nevra
from tests.support.tinyrpm import write_rpm

TEXT = """\
id: PHSA-2026-0001
severity: important
title: "tool: a crafted file overwrites memory"
description: |
  A longer text, with <signs> & such.
issued: "2026-11-20"
cves: [CVE-2026-12345, CVE-2026-12346]
packages:
  tool: 1.0-1
"""
DISTRIBUTION = Distribution(
    name="Mini", id="mini", version="1.0", dist=".m1", vendor="mini", triple="x", arch="x86_64",
    packager="Mini <mini@mini.example>", source_date_epoch=0, image_prefix="mini",
)  # fmt: skip


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, list[Package]]:
    files = [write_rpm(tmp_path, "tool", version="1.0"), write_rpm(tmp_path, "tool-libs", version="1.0")]
    return {"tool": list(by_nevra(files).values())}


def build(tmp_path: Path, text: str, name: str = "PHSA-2026-0001") -> Path:
    folder = tmp_path / "build" / "advisories"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text)
    return tmp_path


def test_written_and_read_back(tmp_path: Path, packages: dict[str, list[Package]]) -> None:
    text = updateinfo(read_advisories(Roots.of(build(tmp_path, TEXT)), packages), packages, DISTRIBUTION)
    assert text is not None
    (record,) = read_back(gzip.compress(text.encode()), "updateinfo")
    assert (record.id, record.type, record.severity) == ("PHSA-2026-0001", "security", "Important")
    assert record.description == "A longer text, with <signs> & such.\n"
    assert [reference.id for reference in record.references] == ["CVE-2026-12345", "CVE-2026-12346"]
    (collection,) = record.collections
    found = [(item.name, item.epoch, item.version, item.release, item.arch) for item in collection.packages]
    assert found == [("tool", "0", "1.0", "1", "x86_64"), ("tool-libs", "0", "1.0", "1", "x86_64")]


def test_none_is_none(tmp_path: Path, packages: dict[str, list[Package]]) -> None:
    assert updateinfo(read_advisories(Roots.of(tmp_path), packages), packages, DISTRIBUTION) is None


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("  tool: 1.0-1", "  tol: 1.0-1", 9, "no spec 'tol' is published, did you mean 'tool'"),
        ("  tool: 1.0-1", "  tool: 1.0-2", 9, "published in version 1.0-1, which is before 1.0-2"),
        ("  tool: 1.0-1", "  tool: '1.0'", 9, "packages.tool"),
        ("severity: important\n", "severity: grave\n", 2, "unknown value 'grave'"),
        ("severity: important\n", "type: bugfix\nseverity: low\n", 1, "'severity' is for"),
        ("CVE-2026-12345", "2026-12345", 7, "cves.0"),
        ("PHSA-2026-0001", "PHSA-2026-0002", 1, "the file of PHSA-2026-0002"),
        ("issued:", "isued:", 6, "unknown key 'isued', did you mean 'issued'"),
        ('"2026-11-20"', '"2026-13-20"', 1, "month must be in 1..12"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, packages: dict[str, list[Package]], old: str, new: str, line: int, message: str
) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        read_advisories(Roots.of(build(tmp_path, TEXT.replace(old, new))), packages)
    said = f"{caught.value.where} {caught.value.message} {caught.value.detail}"
    assert message in said and f":{line}" in said

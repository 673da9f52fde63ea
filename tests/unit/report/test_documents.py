"""The page, the summary and the JUnit XML of a build in which every text is out to do harm."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from photonbuild import events
from photonbuild.errors import ConfigError, VerifyError
from photonbuild.machines.report import Boot, Check, Report
from photonbuild.report.junit import junit
from photonbuild.report.page import render, ticks
from photonbuild.report.record import (
    RECORD,
    Record,
    keep_verification,
    read_record,
    read_verifications,
    record_of,
)
from photonbuild.report.summary import escape, fenced, summary

EVIL = "<script>alert('1')</script> | `x` **b** \x1b[31m"
DIGEST = "ab" * 32


def history() -> list[events.Event]:
    return [
        events.Run(time=100, command="ci", version="1", jobs=2),
        events.Finish(time=110, package="one", seconds=8, cached=False, ok=True, cpu_seconds=9, why=(EVIL,)),
        events.Finish(time=115, package="two", seconds=5, cached=False, ok=False, needs=("one",)),
        events.Finish(time=116, package="one", seconds=0, cached=True, ok=True),
        events.PhaseEnd(time=116, name=EVIL, seconds=14),
        events.Warn(time=116, text=EVIL),
        events.Image(time=117, name="iso", file=EVIL, size=5, sha256=DIGEST, packages=1, seconds=1),
        events.Stage(time=117, name="build", outcome="failed", seconds=15, text=EVIL),
        events.Error(time=117, code=6, message=EVIL, where="specs/two", hint=EVIL, detail=f"```\n{EVIL}"),
        events.End(time=118, code=6, seconds=18),
    ]


def record() -> Record:
    return record_of(history())


def report(image: Path) -> Report:
    checks = (
        Check(name="system: no failed unit", outcome="passed", seconds=0.5),
        Check(name=f"docker: {EVIL}", outcome="failed", seconds=1.5, message=f"{EVIL}\nline 2"),
        Check(name="alone", outcome="skipped", seconds=0, message="no network"),
    )
    stages = {"ssh login": 10.5, "shut down": 2.0}
    return Report(
        image=image, boots=[Boot(firmware="bios", accel="tcg", stages=stages, memory_used=1 << 20, checks=checks)]
    )


def test_a_package_counts_once_as_what_was_done_with_it() -> None:
    found = record()
    assert [(work.name, work.cached, work.begin, work.end) for work in found.packages] == [
        ("one", False, 2, 10),
        ("two", False, 10, 15),
    ]
    assert ([work.name for work in found.built], [work.name for work in found.failed]) == (["one"], ["two"])


def test_the_page_escapes_everything() -> None:
    package = {"name": EVIL, "nevra": EVIL, "size": 10, "license": EVIL, "source": EVIL}
    manifest = {"file": EVIL, "format": EVIL, "platform": EVIL, "size": 5, "sha256": DIGEST, "packages": [package]}
    text = render(record(), distribution=EVIL, manifests=[manifest], reports={EVIL: report(Path(EVIL))})
    assert "<script" not in text and text.count("&lt;script&gt;") > 10
    assert "failed with exit code 6" in text and "10.5 s" in text and "2 of 3" not in text and "bios: 1 of 3" in text


def test_a_page_of_nothing() -> None:
    empty = record_of([events.Run(time=1, command="build", version="1", jobs=2)])
    text = render(empty, distribution="Phos", manifests=[], reports={})
    assert "Nothing had to be built" in text and "did not come to its end" in text


def test_ticks_are_round_and_few() -> None:
    assert ticks(7) == [0, 1, 2, 3, 4, 5, 6, 7] and ticks(1157) == [0, 300, 600, 900] and ticks(0) == [0]
    assert all(len(ticks(10.0**power)) <= 9 for power in range(8))


def test_the_summary_is_what_it_seems_to_be() -> None:
    text = summary(record(), distribution="Phos 1.0", reports={"a.iso": report(Path("a.iso"))})
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert "<script" not in "".join(table) and all(line.endswith("|") for line in table)
    assert "| stage | outcome | time |  |" in text and "failed with exit code 6" in text
    # The detail holds a fence of three: its own is longer.
    assert "````\n```\n" in text
    assert escape("a|b\n<c>") == "a&#124;b &#60;c&#62;"
    assert fenced("\n".join(map(str, range(100))))[1] == "… 40 lines before"


def test_junit_has_what_readers_want() -> None:
    """Jenkins and GitLab read testsuite, testcase, failure, error; counts and times are those of the cases."""
    text = junit([report(Path("a.iso"))], {"b.raw": VerifyError("does not boot", detail=EVIL)})
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites" and root.attrib | {"name": ""} == {
        "name": "", "tests": "4", "failures": "2", "errors": "1", "skipped": "0", "time": "2.000",
    }  # fmt: skip
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
        assert int(suite.attrib["errors"]) == sum(case.find("error") is not None for case in cases)
        assert all({"name", "classname", "time"} == case.attrib.keys() for case in cases)
    first = root.findall("testsuite/testcase")[0]
    assert (first.attrib["classname"], first.attrib["name"]) == ("a.iso.bios.system", "no failed unit")
    assert {each.attrib["type"] for each in root.iter("failure")} == {"failed", "skipped"}
    assert root.find("testsuite/properties/property[@name='stage ssh login']").attrib["value"] == "10.500"  # type: ignore[union-attr]
    assert "\x1b" not in text


def test_records_are_read_back(tmp_path: Path) -> None:
    (tmp_path / RECORD).parent.mkdir()
    lines = [events.line_of(event) for event in history()]
    (tmp_path / RECORD).write_text("\n".join(lines), encoding="utf-8")
    assert read_record(tmp_path) == record()
    (tmp_path / RECORD).write_text("\n".join([*lines, '{"event": "finish"']), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_record(tmp_path)
    assert str(caught.value).endswith(f"build.jsonl:{len(lines) + 1}: no event")


def test_a_verification_is_of_the_image_that_was_verified(tmp_path: Path) -> None:
    image = tmp_path / "a.iso"
    beside = tmp_path / "a.iso.sha256"
    beside.write_text(f"{DIGEST}  a.iso\n", encoding="utf-8")
    keep_verification(tmp_path, report(image))
    assert read_verifications(tmp_path, [image]) == {"a.iso": report(image)}
    beside.write_text(f"{'cd' * 32}  a.iso\n", encoding="utf-8")
    assert read_verifications(tmp_path, [image]) == {}
    (tmp_path / "report" / "verified" / "a.iso.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError):
        read_verifications(tmp_path, [image])

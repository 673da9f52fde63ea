"""Verifications as JUnit XML, in the form that Jenkins, GitLab and GitHub's actions read.

A suite for each boot: a case for each check, properties for the stages. A check that was skipped is a failure, as it is
for `photonbuild verify`: what was not looked at may be broken.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence

from photonbuild.errors import PhotonbuildError
from photonbuild.machines.report import Boot, Check, Report

# What XML 1.0 cannot hold in any form.
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(reports: Sequence[Report], errors: Mapping[str, PhotonbuildError]) -> str:
    """The document. `errors`: by image, why it could not be verified. Pure."""
    root = ElementTree.Element("testsuites", name="photonbuild verify")
    for report in reports:
        for boot in report.boots:
            _suite(root, report.image.name, boot)
    for image, error in errors.items():
        suite = _element(root, "testsuite", name=image, tests="1", failures="0", errors="1", skipped="0", time="0")
        case = _element(suite, "testcase", classname=image, name="boots and can be checked", time="0")
        kind, text = type(error).__name__, "\n".join(filter(None, [str(error), error.detail, error.hint]))
        _element(case, "error", message=str(error), type=kind).text = _clean(text)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.attrib[name]) for suite in root)))
    root.set("time", f"{sum(float(suite.attrib['time']) for suite in root):.3f}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, image: str, boot: Boot) -> None:
    suite = _element(
        root,
        "testsuite",
        name=f"{image} {boot.firmware}",
        tests=str(len(boot.checks)),
        failures=str(len(boot.failed)),
        errors="0",
        skipped="0",
        time=f"{sum(check.seconds for check in boot.checks):.3f}",
    )
    properties = _element(suite, "properties")
    facts = {"accel": boot.accel, "memory_used": str(boot.memory_used)}
    facts |= {f"stage {name}": f"{at:.3f}" for name, at in boot.stages.items()}
    for name, value in facts.items():
        _element(properties, "property", name=name, value=value)
    for check in boot.checks:
        _case(suite, f"{image}.{boot.firmware}", check)


def _case(suite: ElementTree.Element, group: str, check: Check) -> None:
    area, _, name = check.name.rpartition(": ")
    classname = f"{group}.{area}" if area else group
    case = _element(suite, "testcase", classname=classname, name=name, time=f"{check.seconds:.3f}")
    if check.outcome != "passed":
        first = next(iter(check.message.splitlines()), check.outcome)
        _element(case, "failure", message=first, type=check.outcome).text = _clean(check.message)


def _element(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {name: _clean(value) for name, value in attributes.items()})


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("\ufffd", text)

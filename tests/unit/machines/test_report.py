"""How a report is made of test results."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.errors import VerifyError
from photonbuild.machines.report import Boot, Report, parse_junit, require, stage_table

JUNIT = """<testsuites><testsuite>
<testcase classname="checks.test_system" name="test_no_failed_unit" time="0.5"/>
<testcase classname="checks.test_docker" name="test_logs" time="1.5">
<failure message="assert 1 == 2">at line 3</failure></testcase></testsuite></testsuites>"""


def test_report() -> None:
    checks = parse_junit(JUNIT)
    assert [(check.name, check.outcome) for check in checks] == [
        ("system: no failed unit", "passed"),
        ("docker: logs", "failed"),
    ]
    boot = Boot(firmware="bios", accel="tcg,thread=multi", stages={"ssh": 10.04}, memory_used=200 << 20, checks=checks)
    report = Report(image=Path("a.iso"), boots=[boot])
    assert stage_table(report) == [
        ("stage", "bios (tcg)"),
        ("ssh", "10.0 s"),
        ("memory in use", "200 MiB"),
        ("checks passed", "1 of 2"),
    ]
    with pytest.raises(VerifyError) as caught:
        require(report)
    assert caught.value.detail == "bios: docker: logs: assert 1 == 2\nat line 3"
    assert caught.value.exit_code == 9

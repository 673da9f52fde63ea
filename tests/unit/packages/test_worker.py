"""What a worker is told, and what it says of a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from photonbuild.packages.built import Cost
from photonbuild.packages.worker import Job, Outcome

JOB = Job(
    spec="app",
    seeds=("a" * 64,),
    rpms=("b" * 64, "c" * 64),
    sources={"app.tar": 0o644},
    environment={"HOME": "/build"},
    cost=Cost(cpu_seconds=3.0, measured=False),
    seconds=60.0,
    silence=30.0,
)


def test_a_worker_reads_the_job_that_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(JOB.text(), encoding="utf-8")
    assert Job.read(tmp_path / "job.json") == JOB


def test_what_a_worker_says_of_a_build(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text(json.dumps({"code": 1, "stopped": "why", "cpu_seconds": 2}))
    assert Outcome.read(tmp_path / "outcome.json") == Outcome(code=1, stopped="why", cpu_seconds=2)


@pytest.mark.parametrize(
    "text",
    [
        '{"code": 0, "cpu_seconds": "much"}', '{"code": 0, "cpu_seconds": NaN}', '{"code": 0, "cpu_seconds": Infinity}',
        '{"code": 0, "peak_rss": -1}', '{"code": 0, "scratch_bytes": 1.5}', '{"code": true}', '{"code": null}',
        '{"code": 0, "stopped": 1}', '{"code": 0, "more": 1}', "{}", "[]", "x",
    ],
)  # fmt: skip
def test_figures_that_cannot_be_are_none(tmp_path: Path, text: str) -> None:
    """They would be kept as what the build takes, and end later runs."""
    (tmp_path / "outcome.json").write_text(text)
    with pytest.raises(ValueError):
        Outcome.read(tmp_path / "outcome.json")

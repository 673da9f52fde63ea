"""What a worker is told, and what it says of a build."""

from __future__ import annotations

from pathlib import Path

from photonbuild.packages.built import Cost
from photonbuild.packages.worker import Job

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

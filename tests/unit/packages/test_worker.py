"""What a worker is told, and what it says of a build."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from photonbuild.packages import worker
from photonbuild.packages.built import Cost
from photonbuild.packages.worker import Job, Outcome, printed

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


def test_a_log_is_printed_while_it_grows(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SOON", 0.01)
    log, seen, end = tmp_path / "build.log", b"", time.monotonic() + 30
    with printed(log), log.open("ab", buffering=0) as lines:
        lines.write(b"compiling\n")
        while seen != b"compiling\n":
            assert time.monotonic() < end
            seen += capfdbinary.readouterr().out
        monkeypatch.setattr(worker, "SOON", 60.0)
        lines.write(b"done\n")
    assert (seen + capfdbinary.readouterr().out).endswith(b"compiling\ndone\n")

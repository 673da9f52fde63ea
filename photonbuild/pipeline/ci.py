"""A whole pipeline in one go: plan, build, images, verify, and what came of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from photonbuild import events
from photonbuild.config.checks import unknown
from photonbuild.errors import PhotonbuildError, VerifyError
from photonbuild.files import write_text
from photonbuild.machines.hardware import FIRMWARES, Firmware
from photonbuild.machines.report import Report, require
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.recipe import image_specs, image_with
from photonbuild.pipeline.report import write_report
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.verify_image import can_be_verified, verify_image
from photonbuild.report.junit import junit
from photonbuild.report.record import FOLDER, Record, record_of
from photonbuild.report.summary import summary

SUMMARY, JUNIT = FOLDER / "summary.md", FOLDER / "junit.xml"


@dataclass(kw_only=True)
class Pipeline:
    """What is to be done, and what has come of it so far."""

    session: Session
    images: Sequence[str]
    firmwares: Sequence[Firmware] = FIRMWARES
    verifies: bool = True
    keys: Sequence[str] = ()
    made: dict[str, Path] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    errors: dict[str, PhotonbuildError] = field(default_factory=dict)
    failure: PhotonbuildError | None = None

    def run(self) -> None:
        """Every stage, until one fails. `failure` is what the command ends with."""
        stages: Mapping[Literal["plan", "build", "images", "verify"], Callable[[], str]] = {
            "plan": self._plan,
            "build": self._build,
            "images": self._images,
            "verify": self._verify,
        }
        for name, work in stages.items():
            started = time.monotonic()
            outcome: Literal["passed", "failed", "skipped"] = "passed"
            if self.failure is not None or (name == "verify" and not self.verifies):
                outcome, text = "skipped", "an earlier stage failed" if self.failure else "not asked for"
            else:
                self.session.reporter.info(f"ci: {name}")
                try:
                    text = work()
                except PhotonbuildError as error:
                    self.failure, outcome, text = error, "failed", str(error)
            seconds = round(time.monotonic() - started, 3)
            self.session.reporter.event(events.Stage(name=name, outcome=outcome, seconds=seconds, text=text))

    def _specs(self) -> frozenset[str]:
        session = self.session
        found: set[str] = set()
        for name in self.images:
            found |= image_specs(session, name, image_with(session, name, None))
        return frozenset(found)

    def _plan(self) -> str:
        for name in self.images:
            if name not in self.session.config.images:
                raise unknown("image", name, self.session.config.images)
        names = self._specs()
        _, problems = self.session.buildable(names)
        count = Counter(step.state for step in plan(self.session, names))
        if problems:
            error = self.session.reporter.last_of(problems)
            assert isinstance(error, PhotonbuildError)
            raise error
        return f"{count['cached']} packages in the store, {count['will']} to build, {count['may']} perhaps"

    def _build(self) -> str:
        done = build_packages(self.session, self._specs())
        fresh = sum(not event.cached for event in self.session.reporter.history if isinstance(event, events.Finish))
        return f"{len(done)} packages, {fresh} of them built"

    def _images(self) -> str:
        for name in self.images:
            result, _ = make_image(self.session, name, self.keys)
            self.made[name] = result.path
        return ", ".join(path.name for path in self.made.values())

    def _verify(self) -> str:
        """Each image, also after another has failed."""
        left = [name for name in self.made if not can_be_verified(self.session.config.image(name).format)]
        for name, path in self.made.items():
            if name in left:
                continue
            try:
                report = verify_image(self.session, path, firmwares=self.firmwares)
                self.reports.append(report)
                require(report)
            except VerifyError as error:
                self.errors[path.name] = error
        if self.errors:
            raise self.session.reporter.last_of([*self.errors.values()])
        checks = sum(len(boot.checks) for report in self.reports for boot in report.boots)
        boots = sum(len(report.boots) for report in self.reports)
        not_booted = f"; {', '.join(left)}: no machines" if left else ""
        return f"{checks} checks passed in {boots} boots{not_booted}"

    def record(self, seconds: float) -> Record:
        """All that happened so far, as if the command had ended now."""
        history = [*self.session.reporter.history]
        if (error := self.failure) is not None:
            told = {"message": error.message, "where": error.where, "hint": error.hint, "detail": error.detail}
            history.append(events.Error(code=error.exit_code, **told))
        code = 0 if self.failure is None else self.failure.exit_code
        return record_of([*history, events.End(code=code, seconds=round(seconds, 3))])


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Files that tell what came of a pipeline, and the summary's text. `failure`: what the command is to end with."""

    files: Mapping[str, Path]
    text: str
    failure: PhotonbuildError | None


def run_pipeline(pipeline: Pipeline) -> Outcome:
    """Run it, and write summary, JUnit XML and page into stage/report, whether it succeeds or not."""
    session, started = pipeline.session, time.monotonic()
    stage = session.config.stage_dir
    (stage / FOLDER).mkdir(parents=True, exist_ok=True)
    pipeline.run()
    record = pipeline.record(time.monotonic() - started)
    distribution = session.config.distribution
    reports = {report.image.name: report for report in pipeline.reports}
    text = summary(record, distribution=f"{distribution.name} {distribution.version}", reports=reports)
    write_text(stage / SUMMARY, text)
    files = {"summary": stage / SUMMARY, "page": write_report(session, record=record)}
    if pipeline.verifies:
        died = {name: error for name, error in pipeline.errors.items() if name not in reports}
        write_text(stage / JUNIT, junit(pipeline.reports, died))
        files["junit"] = stage / JUNIT
    return Outcome(files=files, text=text, failure=pipeline.failure)

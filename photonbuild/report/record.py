"""The record of the last build, read from its events, and the records of images that were verified."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from photonbuild import events
from photonbuild.errors import ConfigError
from photonbuild.files import read_json, write_json
from photonbuild.machines.report import Boot, Check, Report

FOLDER = Path("report")  # in stage/
RECORD = FOLDER / "build.jsonl"
VERIFIED = FOLDER / "verified"
Kind = TypeVar("Kind", bound=events.Event)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A package that was asked for: from `begin` to `end`, seconds since the command began. See `events.Finish`."""

    name: str
    begin: float
    end: float
    cached: bool
    ok: bool
    cpu_seconds: float
    needs: tuple[str, ...]
    why: tuple[str, ...]
    cache: str | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True, kw_only=True)
class PhaseSpan:
    """A part of the command's work, in seconds since it began."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Record:
    """One command. `started`: seconds since 1970; `code`: None where the record was cut off."""

    command: str
    version: str
    started: float
    jobs: int
    seconds: float
    code: int | None
    packages: Sequence[Work]
    phases: Sequence[PhaseSpan]
    images: Sequence[events.Image]
    verified: Sequence[events.Verified]
    stages: Sequence[events.Stage]
    errors: Sequence[events.Error]
    warnings: Sequence[str]

    @property
    def built(self) -> list[Work]:
        return [work for work in self.packages if not work.cached and work.ok]

    @property
    def failed(self) -> list[Work]:
        return [work for work in self.packages if not work.ok]

    @property
    def cached(self) -> list[Work]:
        return [work for work in self.packages if work.cached]


def read_record(stage: Path) -> Record:
    """The last build of this stage. Raises ConfigError where there is none, or where it is damaged."""
    path = stage / RECORD
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        hint = "photonbuild build, image or ci"
        raise ConfigError("nothing was built here yet", where=str(path), hint=hint) from None
    history = []
    for number, line in enumerate(lines, 1):
        try:
            history.append(events.read_line(line))
        except ValueError as error:
            hint = "photonbuild build writes it anew"
            raise ConfigError("no event", where=f"{path}:{number}", hint=hint, detail=str(error)) from None
    if not history:
        raise ConfigError("the record is empty", where=str(path), hint="photonbuild build writes it anew")
    return record_of(history)


def record_of(history: Sequence[events.Event]) -> Record:
    """What the events of a command say together. Pure."""
    run = next(iter(_of(history, events.Run)), None)
    end = next(iter(_of(history, events.End)), None)
    started = run.time if run is not None else history[0].time
    return Record(
        command=run.command if run is not None else "",
        version=run.version if run is not None else "",
        started=started,
        jobs=run.jobs if run is not None else 1,
        seconds=end.seconds if end is not None else history[-1].time - started,
        code=None if end is None else end.code,
        packages=[_work(event, started) for event in _once(_of(history, events.Finish))],
        phases=[
            PhaseSpan(name=event.name, begin=max(event.time - started - event.seconds, 0.0), end=event.time - started)
            for event in _of(history, events.PhaseEnd)
        ],
        images=_of(history, events.Image),
        verified=_of(history, events.Verified),
        stages=_of(history, events.Stage),
        errors=_of(history, events.Error),
        warnings=[event.text for event in _of(history, events.Warn)],
    )


def _of(history: Iterable[events.Event], kind: type[Kind]) -> list[Kind]:
    return [event for event in history if isinstance(event, kind)]


def _once(finished: Iterable[events.Finish]) -> list[events.Finish]:
    """One event of each package, that of its build where it was built: later parts of a command look it up again."""
    found: dict[str, events.Finish] = {}
    for event in finished:
        if event.package not in found or (found[event.package].cached and not event.cached):
            found[event.package] = event
    return list(found.values())


def _work(event: events.Finish, started: float) -> Work:
    end = event.time - started
    return Work(
        name=event.package,
        begin=max(end - event.seconds, 0.0),
        end=end,
        cached=event.cached,
        ok=event.ok,
        cpu_seconds=event.cpu_seconds or 0.0,
        needs=event.needs,
        why=event.why,
        cache=event.cache,
    )


def keep_verification(stage: Path, report: Report) -> None:
    """Keep the results of an image's verification for `photonbuild report`."""
    folder = stage / VERIFIED
    folder.mkdir(parents=True, exist_ok=True)
    record = {**report_data(report), "sha256": _published_digest(report.image)}
    write_json(folder / f"{report.image.name}.json", record)


def report_data(report: Report) -> dict[str, Any]:
    """A report as JSON: docs/reference/files.md."""
    data: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(report), default=str))
    return data


def read_verifications(stage: Path, images: Iterable[Path]) -> Mapping[str, Report]:
    """By file name, the last verification of these images, as long as they are still those that were verified."""
    found = {}
    for image in images:
        path = stage / VERIFIED / f"{image.name}.json"
        try:
            record = read_json(path)
            if record["sha256"] == _published_digest(image):
                found[image.name] = Report(image=image, boots=[_boot(boot) for boot in record["boots"]])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = f"photonbuild verify {image} writes it anew"
            raise ConfigError(f"this is no record of a verification: {error!r}", where=str(path), hint=hint) from None
    return found


def _boot(record: Mapping[str, Any]) -> Boot:
    return Boot(**{**record, "checks": tuple(Check(**check) for check in record["checks"])})


def _published_digest(image: Path) -> str | None:
    """SHA-256 of an image as the file beside it says."""
    path = image.with_name(f"{image.name}.sha256")
    return path.read_text(encoding="utf-8").split(" ")[0] if path.exists() else None

"""What happens while a command runs, as data: one JSON object a line with ``--json``, and the record of a build.

`photonbuild schema events` prints the JSON schema of these models. A new kind of event or a new key may come with any
version; none changes its meaning.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    time: float = Field(default_factory=lambda: round(time.time(), 3), description="Seconds since 1970.")


class Run(_Event):
    """The first event: a command begins."""

    event: Literal["run"] = "run"
    command: str = Field(description="As in `photonbuild COMMAND`: 'build', 'repo sign'.")
    version: str = Field(description="Of photonbuild.")
    jobs: int = Field(description="Cores that are used.")


class End(_Event):
    """The last event: the command has ended."""

    event: Literal["end"] = "end"
    code: int = Field(description="The exit code.")
    seconds: float


class Info(_Event):
    """A line for a reader."""

    event: Literal["info"] = "info"
    text: str


class Warn(_Event):
    """Something that is not right but ends nothing."""

    event: Literal["warning"] = "warning"
    text: str


class Error(_Event):
    """What went wrong, where, and what to do. The last one has the exit code of the command."""

    event: Literal["error"] = "error"
    code: int = Field(description="The exit code of this family of errors.")
    message: str
    where: str | None = Field(description="A file, file:line, or a package.")
    hint: str | None = Field(description="The next step.")
    detail: str | None = Field(default=None, description="Lines of another program, such as the end of a build log.")


class Phase(_Event):
    """A part of the work begins."""

    event: Literal["phase"] = "phase"
    name: str


class PhaseEnd(_Event):
    """A part of the work is over, well or not."""

    event: Literal["phase-end"] = "phase-end"
    name: str
    seconds: float


class Start(_Event):
    """A package is looked up in the store, and built if it is not there."""

    event: Literal["start"] = "start"
    package: str = Field(description="Name of the spec.")


class Postpone(_Event):
    """Another process builds this package; it is started again later."""

    event: Literal["postpone"] = "postpone"
    package: str


class Finish(_Event):
    """A package is there, or has failed."""

    event: Literal["finish"] = "finish"
    package: str
    seconds: float
    cached: bool = Field(description="It was in the store, or in a shared cache.")
    cache: str | None = Field(default=None, description="The shared cache that it came from just now.")
    ok: bool
    cpu_seconds: float | None = Field(default=None, description="Of its build; null for one that was in the store.")
    needs: tuple[str, ...] = Field(default=(), description="The specs that had to be there before.")
    why: tuple[str, ...] = Field(default=(), description="Why it was built: each input that had changed.")


class Image(_Event):
    """An image is in stage/images."""

    event: Literal["image"] = "image"
    name: str = Field(description="As in build/images/NAME.yaml.")
    file: str
    size: int = Field(description="In bytes.")
    sha256: str
    packages: int
    seconds: float
    cache: str | None = Field(default=None, description="The shared cache that it came from just now.")


class Verified(_Event):
    """An image was booted and checked."""

    event: Literal["verified"] = "verified"
    file: str
    passed: int
    failed: int = Field(description="Skipped checks are among them: a check that does not run says nothing.")
    seconds: float


class Stage(_Event):
    """A stage of `photonbuild ci` is over."""

    event: Literal["stage"] = "stage"
    name: Literal["plan", "build", "images", "verify"]
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float
    text: str = Field(description="What came of it, in a line.")


Event = Run | End | Info | Warn | Error | Phase | PhaseEnd | Start | Postpone | Finish | Image | Verified | Stage
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def line_of(event: Event) -> str:
    """One line of JSON."""
    return event.model_dump_json()


def read_line(line: str) -> Event:
    """The event of a line. Raises ValueError."""
    return EVENT.validate_json(line)


def schema() -> Mapping[str, Any]:
    """JSON schema of one line."""
    return {"title": "An event of photonbuild --json", **EVENT.json_schema(mode="serialization")}

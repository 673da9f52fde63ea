"""What the user sees while work goes on: one live view on a terminal, plain lines elsewhere, JSON events on request.

Everything goes to standard error; standard output is for data.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from photonbuild import events as kinds
from photonbuild.errors import PhotonbuildError, StoreError
from photonbuild.files import write_text


def clock(seconds: float) -> str:
    """Seconds as 59 s, 2:05 or 1:02:05."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def make_console() -> Console:
    """Standard error, with colours on a terminal and where FORCE_COLOR is set, and without where NO_COLOR is.

    https://no-color.org and https://force-color.org: a variable that is empty is not set, and NO_COLOR wins.
    """
    plain = bool(os.environ.get("NO_COLOR"))
    forced = not plain and bool(os.environ.get("FORCE_COLOR"))
    return Console(stderr=True, highlight=False, soft_wrap=True, no_color=plain, force_terminal=forced or None)


@dataclass
class Reporter:
    """The one voice of a run. Thread-safe.

    `history`: all events, whether they are shown as such or not; `keep`: the file that gets them in the end.
    """

    verbose: bool = False
    events: bool = False
    console: Console = field(default_factory=make_console)
    phases: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    history: list[kinds.Event] = field(default_factory=list)
    keep: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def live(self) -> bool:
        """Is there somebody who sees lines change? A log that only takes colours is none."""
        return self.console.file.isatty() and self.console.is_terminal and not self.events

    def event(self, event: kinds.Event) -> None:
        with self._lock:
            self.history.append(event)
            if self.events:
                sys.stderr.write(kinds.line_of(event) + "\n")
                sys.stderr.flush()

    def info(self, text: str) -> None:
        self.event(kinds.Info(text=text))
        if not self.events:
            self.console.print(text, markup=False)

    def detail(self, text: str) -> None:
        if self.verbose:
            self.info(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.event(kinds.Warn(text=text))
        if not self.events:
            self.console.print(Text.assemble(("warning: ", "bold yellow"), text))

    def error(self, error: PhotonbuildError) -> None:
        """Message, detail of the tool, and the next step, in this order."""
        where, hint, detail = error.where, error.hint, error.detail
        self.event(kinds.Error(code=error.exit_code, message=error.message, where=where, hint=hint, detail=detail))
        if self.events:
            return
        if error.detail:
            self.console.print(Text("\n".join(f"  │ {line}" for line in error.detail.rstrip().splitlines()), "dim"))
        self.console.print(Text.assemble(("error: ", "bold red"), str(error)))
        if error.hint:
            self.console.print(Text.assemble("\n", ("hint: ", "bold cyan"), error.hint.replace("\n", "\n      ")))

    def last_of(self, errors: Sequence[BaseException]) -> BaseException:
        """The error to end with; all others are reported now. Where the disk was full that is the one that counts.

        What befell many in the same words, as an engine that refuses all, is said once.
        """
        for error in errors:
            if isinstance(error, StoreError):
                return error
        *others, last = {
            (str(error), error.hint, error.detail) if isinstance(error, PhotonbuildError) else error: error
            for error in errors
        }.values()
        for error in others:
            if isinstance(error, PhotonbuildError):
                self.error(error)
        return last

    def close(self, code: int, seconds: float) -> None:
        """The command ends with this exit code."""
        self.event(kinds.End(code=code, seconds=round(seconds, 3)))
        if self.keep is not None:
            # A full disk, say: that the record is missing changes nothing of what the command has done.
            with contextlib.suppress(OSError):
                self.keep.parent.mkdir(parents=True, exist_ok=True)
                write_text(self.keep, "".join(f"{kinds.line_of(event)}\n" for event in self.history))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase; the sums are shown at the end."""
        started = time.monotonic()
        self.event(kinds.Phase(name=name))
        try:
            yield
        finally:
            took = time.monotonic() - started
            self.phases[name] = self.phases.get(name, 0.0) + took
            self.event(kinds.PhaseEnd(name=name, seconds=round(took, 3)))
            self.detail(f"{name}: {self.phases[name]:.1f} s")


@dataclass
class BuildView:
    """Packages done, building and waiting, with elapsed and estimated time left.

    `cost`: estimated CPU seconds by package; `cores`: how many are there to spend them on.
    """

    reporter: Reporter
    cost: Mapping[str, float]
    cores: int
    total: int = 0
    done: int = 0
    cached: int = 0
    shared: int = 0
    running: dict[str, float] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __post_init__(self) -> None:
        self.left = set(self.cost)
        self.total = len(self.cost)

    def __enter__(self) -> BuildView:
        if self.reporter.live:
            self._live = Live(get_renderable=self.render, console=self.reporter.console, refresh_per_second=2)
            self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def start(self, name: str) -> None:
        self.running[name] = time.monotonic()
        self.reporter.event(kinds.Start(package=name))

    def postpone(self, name: str) -> None:
        """It was started, but waits for something else."""
        self.running.pop(name, None)
        self.reporter.event(kinds.Postpone(package=name))

    def finish(self, event: kinds.Finish) -> None:
        name, seconds, cached, ok = event.package, event.seconds, event.cached, event.ok
        self.running.pop(name, None)
        self.left.discard(name)
        self.done += 1
        self.cached += cached
        self.shared += event.cache is not None
        self.reporter.event(event)
        if self.reporter.events or (cached and not self.reporter.verbose):
            return
        state = (
            (f"from cache {event.cache}" if event.cache else "cached")
            if cached
            else f"{clock(seconds)}"
            if ok
            else "FAILED"
        )
        head = f"[{self.done}/{self.total}] {name} {state}"
        self.reporter.info(head if self._live else f"{head}; {self.times()}")

    def remaining(self) -> float:
        """Estimated seconds left: the CPU seconds of what is not done, spread over the cores."""
        now = time.monotonic()
        spent = {name: (now - since) * 0.9 for name, since in list(self.running.items())}
        work = sum(max(self.cost[name] - spent.get(name, 0.0), 1.0) for name in list(self.left))
        return work / (self.cores * 0.9)

    def times(self) -> str:
        elapsed = clock(time.monotonic() - self.started)
        waiting = max(self.total - self.done - len(self.running), 0)
        left = clock(self.remaining())
        return f"{len(self.running)} building, {waiting} waiting; {elapsed} elapsed, about {left} left"

    def render(self) -> RenderableType:
        now = time.monotonic()
        table = Table.grid(padding=(0, 2))
        for name, since in sorted(self.running.items(), key=lambda row: row[1]):
            table.add_row("  building", name, clock(now - since))
        bar = ProgressBar(total=max(self.total, 1), completed=self.done, width=40)
        return Group(table, Text(f"{self.done} of {self.total} packages done, {self.times()}"), bar)

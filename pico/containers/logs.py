"""What a container has written, out of its machine's log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from pico.guest.protocol import MAIN, LogEntry, LogReader, Type
from pico.vm.state import Machine

Stream = Literal["stdout", "stderr"]
Chunk = tuple[Stream, int, bytes]
POLL = 0.1  # seconds between two looks at a log that grows


def logs(machine: Machine, *, follow: bool, timestamps: bool, tail: int | None) -> Iterator[tuple[Stream, bytes]]:
    """What the container's main process has written, in its order; with `follow` until the machine ends.

    `tail`: no more than so many lines of what is there at first. Raises ProtocolError.
    """
    reader = LogReader(machine.log)
    first = True
    while True:
        alive = machine.pid() is not None
        chunks = [chunk for entry in reader.entries() if (chunk := _chunk(entry)) is not None]
        if first and tail is not None:
            chunks = _last_lines(chunks, tail)
        first = False
        for stream, clock, data in chunks:
            yield stream, _stamped(data, clock) if timestamps else data
        if not (follow and alive):
            return
        time.sleep(POLL)


def _chunk(entry: LogEntry) -> Chunk | None:
    frame = entry.frame
    if frame.process != MAIN or frame.type not in (Type.STDOUT, Type.STDERR):
        return None
    return "stdout" if frame.type == Type.STDOUT else "stderr", entry.clock, frame.payload


def _last_lines(chunks: list[Chunk], count: int) -> list[Chunk]:
    lines = [(stream, clock, line) for stream, clock, data in chunks for line in data.splitlines(keepends=True)]
    return lines[-count:] if count else []


def _stamped(data: bytes, clock: int) -> bytes:
    stamp = datetime.fromtimestamp(clock / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
    return b"".join(stamp + line for line in data.splitlines(keepends=True))

"""What a container has written, out of its machine's log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pico.guest.protocol import MAIN, LogEntry, LogReader, Type
from pico.vm.state import Machine

Stream = Literal["stdout", "stderr"]
Chunk = tuple[Stream, int, bytes]
POLL = 0.1  # seconds between two looks at a log that grows
LONGEST = 1 << 20  # bytes after which a line is taken for two


def logs(machine: Machine, *, follow: bool, timestamps: bool, tail: int | None) -> Iterator[tuple[Stream, bytes]]:
    """What the container's main process has written, in its order; with `follow` until the machine ends.

    `tail`: no more than so many lines of what is there at first. Raises ProtocolError.
    """
    reader, lines = LogReader(machine.log), Lines()
    wanted = tail
    while True:
        alive = machine.pid() is not None
        chunks: Iterator[Chunk] = (chunk for entry in reader.entries() if (chunk := _chunk(entry)) is not None)
        if wanted is not None:
            whole = deque((line for chunk in chunks for line in lines.add(chunk)), maxlen=wanted)
            if not (timestamps and follow and alive):  # else what is no line yet waits for its end
                whole.extend(lines.rest())
            chunks, wanted = iter(whole), None
        elif timestamps:
            chunks = (line for chunk in chunks for line in lines.add(chunk))
        for stream, clock, data in chunks:
            yield stream, _stamped(data, clock) if timestamps else data
        if not (follow and alive):
            break
        time.sleep(POLL)
    for stream, clock, data in lines.rest():
        yield stream, _stamped(data, clock) if timestamps else data


def _chunk(entry: LogEntry) -> Chunk | None:
    frame = entry.frame
    if frame.process != MAIN or frame.type not in (Type.STDOUT, Type.STDERR):
        return None
    return "stdout" if frame.type == Type.STDOUT else "stderr", entry.clock, frame.payload


@dataclass
class Lines:
    """Output in pieces of any size → lines, each with the time when it began."""

    begun: dict[Stream, tuple[int, bytearray]] = field(default_factory=dict)

    def add(self, chunk: Chunk) -> Iterator[Chunk]:
        """Lines that are whole now."""
        stream, clock, data = chunk
        for piece in _split(data):
            since, line = self.begun.setdefault(stream, (clock, bytearray()))
            line += piece
            if line.endswith(b"\n") or len(line) > LONGEST:
                del self.begun[stream]
                yield stream, since, bytes(line)

    def rest(self) -> list[Chunk]:
        """What has no end yet."""
        left = [(stream, since, bytes(line)) for stream, (since, line) in self.begun.items()]
        self.begun.clear()
        return left


def _split(data: bytes) -> list[bytes]:
    """A line ends by a newline and nothing else."""
    first, *more = data.split(b"\n")
    pieces = [first]
    for piece in more:
        pieces[-1] += b"\n"
        pieces.append(piece)
    return [piece for piece in pieces if piece]


def _stamped(data: bytes, clock: int) -> bytes:
    return datetime.fromtimestamp(clock / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + data

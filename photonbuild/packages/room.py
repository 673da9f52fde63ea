"""Where a build root lies, in memory or on disk, and how much memory a build may take."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.packages.built import Cost
from photonbuild.sandbox.cgroups import memory_of_machine

SHARE = 0.9  # of the machine's memory that one build may take
LEAST = 4 << 30  # bytes that a build may take however little it took before
GROWTH = 2  # times what it took before


@dataclass(kw_only=True)
class Rooms:
    """The memory that build roots of this process have together: half of the machine's, and not more than is free."""

    total: int = field(default_factory=memory_of_machine)
    _taken: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[bool]:
        """Hold `size` bytes for a build root in memory while the block runs; False when it has to go on disk."""
        with self._guard:
            granted = self._taken + size <= self.total // 2 and size <= available_memory() // 2
            self._taken += size if granted else 0
        try:
            yield granted
        finally:
            with self._guard:
                self._taken -= size if granted else 0

    def limit(self, cost: Cost, jobs: int) -> int:
        """Bytes that a build may take, its tmpfs included: twice what it took; if that is unknown, all but a tenth."""
        most = round(self.total * SHARE)
        if cost.peak_rss is None:
            return most
        return min(most, max(LEAST, GROWTH * (cost.scratch_bytes + jobs * cost.peak_rss)))


def available_memory() -> int:
    """Bytes that new programs may use, see MemAvailable in proc_meminfo(5)."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0

"""A process's output on its way to a descriptor of the host."""

from __future__ import annotations

import os
import select
import stat

# What a pipe that is ready for writing takes without blocking, see pipe(7).
ATOMIC = select.PIPE_BUF


class Sink:
    """Output on its way to a descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pending = bytearray()
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)

    def write(self) -> int:
        """Hand on what can be without blocking; the number of bytes. The descriptor is ready for writing."""
        size = len(self.pending) if self._regular else ATOMIC
        try:
            count = os.write(self.fd, self.pending[:size])
        except BlockingIOError:
            return 0
        del self.pending[:count]
        return count

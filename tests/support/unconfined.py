"""Sandboxes of tests whose programs make namespaces and mounts of their own, which no program of a build may.

Only the bounding set and the system calls are let go: user namespace, ids, mounts and network are as ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

from photonbuild.sandbox import process

INIT = process.RUN_INIT.replace(
    "main()", "from photonbuild.sandbox import seccomp; seccomp.confine = lambda: None; main()"
)


@contextlib.contextmanager
def unconfined() -> Iterator[None]:
    """What is started in the block may do what root of a user namespace may."""
    first = tuple(INIT if word == process.RUN_INIT else word for word in process.FIRST)
    with mock.patch.object(process, "FIRST", first):
        yield

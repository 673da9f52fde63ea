"""Publish a tree in a process that kills itself before its Nth call to the system; with 0 say how many there are.

python -m tests.support.killed_publisher TREE TARGET N [SNAPSHOT]
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from photonbuild.publication.publish import publish
from photonbuild.publication.tree import read_tree
from photonbuild.storage import lease
from photonbuild.storage.address import open_storage
from tests.support.publications import LAYOUT

# What a process does that others see, by the names of Python's audit events.
CALLS = ("open", "os.", "shutil.", "subprocess.Popen", "http.client.send", "socket.connect")


def main() -> None:
    folder, target, number, *snapshot = sys.argv[1:]
    lease.LEASE, lease.RENEW, lease.PAUSE = 2.0, 0.5, 0.2
    tree, storage = read_tree(Path(folder), LAYOUT), open_storage(target, {})
    count = 0
    guard = threading.Lock()

    def hook(event: str, arguments: object) -> None:
        nonlocal count
        if event.startswith(CALLS) and event != "os.kill":
            with guard:
                count += 1
                if count == int(number):
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    publish(tree, storage, snapshot=snapshot[0] if snapshot else None)
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()

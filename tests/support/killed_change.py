"""Make a change to a checkout in a process that kills itself before its Nth call to the system; with 0 say how many.

python -m tests.support.killed_change ROOT N < FILES (JSON: path → text or null)
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from photonbuild.pipeline.change import Proposal

# What a process does that others see, by the names of Python's audit events.
CALLS = ("open", "os.", "shutil.", "fcntl.")


def main() -> None:
    root, number = Path(sys.argv[1]), int(sys.argv[2])
    proposal = Proposal(root=root, files={root / name: text for name, text in json.load(sys.stdin).items()})
    count = 0

    def hook(event: str, arguments: object) -> None:
        nonlocal count
        if event.startswith(CALLS) and event != "os.kill":
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    proposal.write()
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()

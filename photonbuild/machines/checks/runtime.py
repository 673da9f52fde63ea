"""What a container runtime's check file has beside its tests, so that runtimes can be checked side by side.

A new runtime is a package, a row in ``build/runtimes.yaml``, and ``test_CHECK.py`` here with the two functions of
`RuntimeCheck`. ``test_side_by_side.py`` runs with whatever runtimes the machine has.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Protocol, cast

from testinfra.host import Host


class RuntimeCheck(Protocol):
    """A check file as a module."""

    def start_web_server(self, host: Host, facts: dict[str, Any], box: str, port: int, script: str) -> None:
        """Run the shell script `script` in a new container and return while it runs; fail if it cannot be started.

        The container's root is the folder `box` of the machine, or a copy of it; its TCP port 80 is published as `port`
        of the machine, on a network of its own.
        """

    def stop_web_server(self, host: Host) -> None:
        """Remove that container, and what was made for it; fail if it is not there."""


def load(check: str) -> RuntimeCheck:
    """The check file ``test_CHECK.py``. Raises AssertionError when it lacks a function of `RuntimeCheck`."""
    module: ModuleType = importlib.import_module(f"{__package__}.test_{check}")
    for name in ("start_web_server", "stop_web_server"):
        assert callable(getattr(module, name, None)), f"{module.__file__} has no {name}: see {__file__}"
    return cast(RuntimeCheck, module)

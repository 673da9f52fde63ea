"""A booted machine for the tests of one module, or one that is already running."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.config.load import Config
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.testnet import serve_testnet
from photonbuild.machines.verify import BOOT_TIMEOUT, container_ports, facts_for
from photonbuild.run import Completed, run

FACTS = "PHOTONBUILD_MACHINE"


@dataclass(frozen=True)
class Guest:
    """A machine by its facts, as `photonbuild.machines.verify.facts_for` has them."""

    facts: dict[str, Any]

    @property
    def config(self) -> str:
        return str(self.facts["ssh_config"])

    @property
    def busybox(self) -> Path:
        return Path(self.facts["busybox"])

    def ssh(self, command: str, *, check: bool = True, timeout: float = 300, input: bytes | None = None) -> Completed:
        """Run a shell command as root. Raises PhotonbuildError when it fails, with `check`."""
        return run(["ssh", "-F", self.config, "machine", command], check=check, timeout=timeout, input=input)

    def out(self, command: str) -> str:
        """What a command prints, without the last line's end."""
        return self.ssh(command).stdout.removesuffix("\n")

    def write(self, path: str, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.ssh(f"cat > {shlex.quote(path)}", input=data)

    @contextlib.contextmanager
    def socket(self, remote: str, local: Path) -> Iterator[Path]:
        """A unix socket here that is the machine's `remote`, through ssh."""
        forward = ["ssh", "-F", self.config, "-O", "forward", "-o", "StreamLocalBindUnlink=yes", "-L"]
        run([*forward, f"{local}:{remote}", "machine"])
        try:
            yield local
        finally:
            cancel = ["ssh", "-F", self.config, "-O", "cancel", "-L", f"{local}:{remote}", "machine"]
            run(cancel, check=False)
            local.unlink(missing_ok=True)


@contextlib.contextmanager
def booted(image: Path, configuration: Config, seed: Path, scratch: Path) -> Iterator[Guest]:
    """The machine of the facts file in PHOTONBUILD_MACHINE, else a new one of `image`, which is up when it is given."""
    if FACTS in os.environ:
        yield Guest(json.loads(Path(os.environ[FACTS]).read_text(encoding="utf-8")))
        return
    forwards = container_ports(configuration.runtimes)
    with contextlib.ExitStack() as stack:
        drive = stack.enter_context(boot_drive(image))
        hardware = Hardware(boot_drive=drive, accel=best_accel(seed, scratch), forwards=forwards)
        net = stack.enter_context(serve_testnet())
        machine = stack.enter_context(Machine(hardware, seed=seed, scratch=scratch))
        machine.wait_for_ssh(BOOT_TIMEOUT)
        machine.ssh("systemctl is-system-running --wait", timeout=BOOT_TIMEOUT, check=False)
        yield Guest(facts_for(machine, net, configuration.distribution, configuration.runtimes, seed))

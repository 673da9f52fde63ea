"""Whether KVM works here: found out by running a guest, since a /dev/kvm that can be opened need not work."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path

from photonbuild.errors import SandboxError, VerifyError
from photonbuild.machines.hardware import KVM, TCG, Hardware
from photonbuild.machines.qemu import Machine


@functools.cache
def best_accel(seed: Path, scratch: Path) -> str:
    """``kvm`` only if a probe guest really runs: UEFI firmware, which is 64-bit code, must print within seconds."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        return TCG
    hardware = Hardware(firmware="uefi", accel="kvm", memory=256, cpus=1)
    with contextlib.suppress(SandboxError, VerifyError), Machine(hardware, seed=seed, scratch=scratch) as machine:
        while machine.elapsed() < 6 and machine.process.popen.poll() is None:
            if machine.console.stat().st_size:
                return "kvm"
            if "internal error" in (machine.folder / "qemu.log").read_text(errors="replace"):
                break
            time.sleep(0.05)
    return TCG

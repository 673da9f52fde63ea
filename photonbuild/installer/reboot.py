"""The end of an installation that was started from the boot menu: eject the medium, restart or switch off."""

from __future__ import annotations

import ctypes
import fcntl
import os
from pathlib import Path

from photonbuild.installer.machine.kernel import Kernel, mounts
from photonbuild.installer.paths import Paths
from photonbuild.run import run

CDROMEJECT, CDROM_LOCKDOOR = 0x5309, 0x5329
MCL_CURRENT = 1
# reboot(2): LINUX_REBOOT_CMD_RESTART and LINUX_REBOOT_CMD_POWER_OFF.
ACTIONS = {"reboot": 0x01234567, "poweroff": 0x4321FEDC}


def cdrom_to_eject(kernel: Kernel, paths: Paths) -> str:
    """The device of the medium if it is a CD, else nothing."""
    for number, point in mounts(kernel).items():
        if point == str(paths.medium) and number.startswith("11:"):
            link = kernel.root / f"sys/dev/block/{number}"
            return f"/dev/{os.path.basename(os.path.realpath(link))}" if link.exists() else "/dev/sr0"
    return ""


def reboot(action: str, eject: str) -> None:
    """`action` is a key of ACTIONS. With `eject` no program can be started afterwards: the system was on that medium.

    Everything written was unmounted before, and what is left is memory, so the kernel is asked to restart at once.
    """
    if not eject:
        run(["systemctl", "--no-block", action])
        return
    library = ctypes.CDLL(None)
    library.mlockall(MCL_CURRENT)
    os.sync()
    with open(Path(eject), "rb", buffering=0, opener=_nonblocking) as device:
        try:
            fcntl.ioctl(device, CDROM_LOCKDOOR, 0)
            fcntl.ioctl(device, CDROMEJECT, 0)
        except OSError:
            run(["systemctl", "--no-block", action])
            return
        library.reboot(ACTIONS[action])


def _nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)

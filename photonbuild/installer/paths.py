"""Where the installer finds and puts things in the live system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from photonbuild.disk.grub import GRUB


@dataclass(frozen=True, kw_only=True)
class Paths:
    """`root` is the file system that is copied, read-only; `target` is where the new one is mounted."""

    root: Path = Path("/run/initramfs/live/root")
    medium: Path = Path("/run/initramfs/live/medium")
    target: Path = Path("/run/installer/target")
    work: Path = Path("/run/installer/work")
    media: Path = Path("/run/installer/media")
    grub: Path = Path(GRUB)
    initramfs: Path = Path("/usr/lib/installer/initramfs.img")
    packages: Path = Path("/run/initramfs/live/medium/packages")
    log: Path = Path("/var/log/installer.log")

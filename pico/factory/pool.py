"""The pool of a template: with KVM spares, which are clones stopped until they are given an image; else its zygote.

Spares are few, and go with their template.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from photonbuild.files import locked
from pico.factory import template, zygote
from pico.vm import launch
from pico.vm.host import Host
from pico.vm.launch import VMConfig
from pico.vm.qemu import Hardware
from pico.vm.state import Machine


def folder_of(host_folder: Path, key: str) -> Path:
    return host_folder / "spares" / key


def ready_spares(host: Host, key: str) -> list[Machine]:
    """Those of a template; another program may take one at any moment."""
    folder = folder_of(host.folder, key)
    found = [Machine(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return [spare for spare in found if (spare.folder / "ready").exists()]


def spares(host_folder: Path) -> list[Machine]:
    """The spares of all templates, ready or not."""
    return [Machine(path) for path in sorted((host_folder / "spares").glob("*/*")) if path.is_dir()]


def fill(host: Host, hardware: Hardware) -> int:
    """Start spares until there are as many as the settings say; how many were started. One program at a time does."""
    frozen = template.folder_of(host, hardware)
    folder = folder_of(host.folder, frozen.name)
    count = 0
    with locked(host.folder / "locks" / f"{frozen.name}.spares", wait=False) as ours:
        if not ours:
            return 0
        for spare in [Machine(path) for path in folder.iterdir()] if folder.is_dir() else []:
            ready = zygote.READY if spare.folder == zygote.folder_of(host, frozen.name) else "ready"
            if spare.pid() is None or not (spare.folder / ready).exists():
                discard(spare)
        if hardware.copied:
            return _zygote(host, hardware, frozen, zygote.folder_of(host, frozen.name))
        while len(ready_spares(host, frozen.name)) < host.spares and template.is_valid(frozen, hardware):
            _one(host, hardware, frozen, folder)
            count += 1
        if not template.is_valid(frozen, hardware):  # removed meanwhile
            for spare in ready_spares(host, frozen.name):
                discard(spare)
    return count


def _zygote(host: Host, hardware: Hardware, frozen: Path, folder: Path) -> int:
    if folder.exists() or not template.is_valid(frozen, hardware):
        return 0
    try:
        zygote.make(host, hardware, frozen, folder)
    except BaseException:
        discard(Machine(folder))
        raise
    return 1


def _one(host: Host, hardware: Hardware, frozen: Path, folder: Path) -> None:
    spare = Machine(folder / secrets.token_hex(6))
    spare.folder.mkdir(parents=True)
    try:
        blank = _blank(host)
        config = VMConfig(hardware=hardware, mode="clone", network=True, template=frozen, image=blank)
        launch.start(host, spare, config)
        qmp = launch.connect_qemu(spare.folder)
        template.restore(qmp)
        qmp.close()
        (spare.folder / "ready").touch()
    except BaseException:
        discard(spare)
        raise


def _blank(host: Host) -> Path:
    """A disk of the size that every image has, with nothing in it."""
    path = host.folder / "blank"
    if not path.exists() or path.stat().st_size != host.disk:
        fresh = path.with_name(f".blank.{os.getpid()}")
        with fresh.open("wb") as handle:
            handle.truncate(host.disk)
        os.replace(fresh, path)
    return path


def discard(spare: Machine) -> None:
    """End a spare, unless it is being taken just now."""
    try:
        handle = os.open(spare.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        launch.discard(spare)
    except BlockingIOError:
        return
    finally:
        os.close(handle)


def fill_in_background(host: Host, hardware: Hardware) -> None:
    """`fill` in a process of its own that nobody waits for: the caller goes on at once."""
    if host.spares == 0:
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os.closerange(3, 1024)
            fill(host, hardware)
    finally:
        os._exit(0)

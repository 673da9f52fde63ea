"""Removal: of machines and images that the user names, and of all that nobody needs any more."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from photonbuild.files import locked
from pico.containers import control
from pico.errors import PicoError
from pico.factory import pool, template
from pico.guest.protocol import ProtocolError, read_log
from pico.oci import store
from pico.oci.reference import Reference
from pico.vm import cgroups, launch
from pico.vm.host import Host
from pico.vm.state import RECORD, Machine, machines

# Seconds after which a machine that has no record yet is taken as given up.
YOUNG = 30
STARTS = 8  # entries of a log, among which is the start


def remove(machine: Machine, *, force: bool) -> None:
    """Remove a machine and its log. Raises PicoError when it runs, unless `force`."""
    if machine.pid() is not None and not force:
        record = machine.record()
        raise PicoError(
            f"machine {record.name if record else machine.id} runs", hint="stop it first, or remove it with --force"
        )
    with contextlib.suppress(PicoError):  # it has ended meanwhile
        if machine.pid() is not None and machine.record() is not None:
            control.kill(machine, signal.SIGKILL)
    launch.discard(machine)


def remove_image(root: Path, reference: Reference, *, force: bool) -> list[str]:
    """Remove an image; all names that are gone. Raises PicoError when machines run it, unless `force`."""
    image = store.known(root, reference)
    if image is None:
        raise PicoError(f"there is no image '{reference.text}' here", hint="pico images")
    users = [
        record.name
        for machine in machines(root)
        if machine.pid() is not None and (record := machine.record()) and record.digest == image.id
    ]
    if users and not force:
        raise PicoError(f"image {image.id[:12]} is run by {', '.join(users)}", hint="stop them first, or use --force")
    return [*store.remove(root, image), image.id[:12]]


def ended(root: Path) -> list[str]:
    """Remove machines that have ended and were started with --rm, or whose start was given up; their ids."""
    gone = []
    for machine in machines(root):
        record = machine.record()
        if record is not None and _given_up(machine):
            launch.discard(machine)
            gone.append(machine.id)
        elif record is not None and record.remove and machine.state() == "exited":
            cgroups.remove(machine.id)
            machine.remove()
            gone.append(machine.id)
    return gone


def collect(host: Host, *, exited: bool) -> Iterator[str]:
    """Remove all that nobody needs; a line for each thing. With `exited` also machines that have ended."""
    root = host.folder
    for identity in ended(root):
        yield f"machine {identity}: it was to be removed at its end, or its start was given up"
    for machine in machines(root):
        if line := _machine(machine, exited=exited):
            yield line
    yield from _templates(host)
    for path in sorted((root / "names").iterdir()) if (root / "names").is_dir() else []:
        if path.is_symlink() and not path.exists() and _age(path) > YOUNG:
            path.unlink(missing_ok=True)
            yield f"name {path.name}: its machine is gone"
    for path, entry in store.pointers(root):
        if not (root / "images" / entry["image"] / "image.json").exists():
            path.unlink(missing_ok=True)
            yield f"reference {entry['name']}: its image is gone"
    for name in cgroups.sweep(YOUNG):
        yield f"control group {name}: nothing runs in it"
    if freed := store.remove_blobs(root):
        yield f"layers of images that are gone: {freed / 1e6:.1f} MB"


def _machine(machine: Machine, *, exited: bool) -> str | None:
    state, record = machine.state(), machine.record()
    if record is None:
        if _age(machine.folder) < YOUNG or _held(machine.folder):
            return None
        machine.kill()
        reason = "its start was given up"
    elif state == "created" and _age(machine.folder) > YOUNG:
        reason = "it never started"
    elif state == "exited" and exited:
        reason = "it has ended"
    else:
        return None
    cgroups.remove(machine.id)
    machine.remove()
    return f"machine {machine.id}: {reason}"


def _given_up(machine: Machine) -> bool:
    """Does it wait for a container that nobody is there to start any more?"""
    if _age(machine.folder / RECORD) < YOUNG or machine.pid() is None:
        return False
    with contextlib.suppress(ProtocolError):
        if any(entry.kind == "started" for entry in itertools.islice(read_log(machine.log), STARTS)):
            return False
    held = launch.port_lock(machine, 0)
    if held is None:
        return False
    os.close(held)
    return True


def _templates(host: Host) -> Iterator[str]:
    """Templates of another kernel, agent, QEMU or setting, with their spares; spares without a template."""
    root = host.folder
    current = set()
    for folder, facts in template.templates(root):
        if facts.get("host") == host.digest:
            current.add(folder.name)
        else:
            template.remove(host, folder)
            yield f"template {folder.name}: made with another kernel, agent, QEMU or setting"
    for spare in pool.spares(root):
        dead = spare.pid() is None and not _held(spare.folder)
        if (spare.folder.parent.name not in current or dead) and _age(spare.folder) > 1:
            pool.discard(spare)
            yield f"spare {spare.id}: {'it does not live' if dead else 'its template is gone'}"
    for path in template.unfinished(root):
        with locked(root / "locks" / path.name.split(".")[1], wait=False) as ours:
            if ours:
                template.abandon(path)
                yield f"template {path.name}: it was never finished"


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _held(folder: Path) -> bool:
    """Is another program just about to make this a machine?"""
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
    return False

"""The template: a machine whose agent waits, saved to two files. Clones map its memory privately, copy on write.

The state file holds the devices (QEMU's migration with ``x-ignore-shared``), the other one the memory. Both belong to
who made them and are read-only; a template of another kernel, agent, QEMU or setting has another name.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from photonbuild.files import locked, read_json, write_json
from photonbuild.keys import key_of, write_inputs
from photonbuild.machines.qmp import Qmp
from pico.errors import PicoError, QmpError
from pico.guest.protocol import ProtocolError
from pico.vm import cgroups, launch, memory
from pico.vm.host import Host, template_inputs
from pico.vm.launch import VMConfig
from pico.vm.qemu import Hardware
from pico.vm.state import Machine

CAPABILITIES = {"capabilities": [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]}
STATE = "file:/run/template/state"
COMPLETE = "template.json"
FILES = ("ram", "state")
# How often a machine is booted for a clock, and the clock sources that are none.
BOOTS, COARSE = 5, ("jiffies", "refined-jiffies")
SPARE_SPACE = 64  # MiB that stay free where templates lie


def folder_of(host: Host, hardware: Hardware) -> Path:
    return host.folder / "templates" / key_of(template_inputs(host, hardware))[:24]


def is_valid(folder: Path, hardware: Hardware) -> bool:
    """Is it complete and as it was made? A file that was changed since, or that another may write, is no template."""
    try:
        known = read_json(folder / COMPLETE)["files"]
        found = {name: (folder / name).stat() for name in FILES}
    except (OSError, ValueError, KeyError):
        return False
    ours = all(each.st_uid == os.geteuid() and not each.st_mode & 0o222 for each in found.values())
    return ours and found["ram"].st_size == hardware.memory << 20 and known == _marks(found)


def _marks(found: Mapping[str, os.stat_result]) -> dict[str, list[int]]:
    """Size and time of files: what changes with their content."""
    return {name: [each.st_size, each.st_mtime_ns] for name, each in found.items()}


def ensure(host: Host, hardware: Hardware, say: Callable[[str], None]) -> Path:
    """The folder of the template for such machines, made now when there is none. Raises PicoError."""
    folder = folder_of(host, hardware)
    if is_valid(folder, hardware):
        return folder
    with locked(host.folder / "locks" / folder.name):
        if not is_valid(folder, hardware):
            say("making a template: the next machines are clones of it")
            for path in unfinished(host.folder, folder.name):  # whoever made them is gone: the lock is ours
                abandon(path)
            remove(host, folder)
            for turn in range(BOOTS):
                if make(host, hardware, folder, any_clock=turn == BOOTS - 1):
                    break
    return folder


def make(host: Host, hardware: Hardware, folder: Path, *, any_clock: bool = True) -> bool:
    """Boot a machine until its agent waits, save it, and give the result its name.

    On a busy host the kernel may find no clock but its own ticks, which then wake every clone a hundred times a second:
    without `any_clock` such a machine is given up, and False.
    """
    memory.require(hardware.memory)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    files = staging / "template"
    files.mkdir(parents=True)
    if shutil.disk_usage(files).free >> 20 < hardware.memory + SPARE_SPACE:
        shutil.rmtree(staging)
        raise PicoError(f"no space for a template of {hardware.memory} MiB", where=str(folder.parent))
    if os.geteuid() == 0:
        os.chown(files, host.uid, host.uid)
    blank = staging / "blank"
    with blank.open("wb") as handle:
        handle.truncate(host.disk)
    machine = Machine(staging)
    started = time.monotonic()
    try:
        config = VMConfig(hardware=hardware, mode="template", network=False, template=files, image=blank)
        launch.start(host, machine, config)
        agent = _wait_for_agent(host, machine)
        if agent["clock"] in COARSE and not any_clock:
            return False
        qmp = launch.connect_qemu(staging)
        save(qmp)
        qmp.send("quit")
        machine.wait(10)
        for name in FILES:
            if os.geteuid() == 0:
                os.chown(files / name, 0, 0)
            (files / name).chmod(0o444)
        if os.geteuid() == 0:
            os.chown(files, 0, 0)
        seconds = round(time.monotonic() - started, 2)
        facts = {"host": host.digest, "hardware": asdict(hardware), "agent": agent, "seconds": seconds}
        facts["files"] = _marks({name: (files / name).stat() for name in FILES})
        write_inputs(files, template_inputs(host, hardware))
        write_json(files / COMPLETE, {**facts, "created": time.time()})
        os.rename(files, folder)
        return True
    finally:
        abandon(staging)


def unfinished(host_folder: Path, key: str = "") -> list[Path]:
    """Folders of templates that are being made, or whose maker was killed meanwhile."""
    return sorted((host_folder / "templates").glob(f".{key}*"))


def abandon(staging: Path) -> None:
    """End and remove what `make` has begun."""
    Machine(staging).kill()
    cgroups.remove(staging.name)
    shutil.rmtree(staging, ignore_errors=True)


def _wait_for_agent(host: Host, machine: Machine) -> dict[str, Any]:
    """Say hello until the agent answers; what it says of itself."""
    try:
        session, welcome = launch.connect_agent(machine.folder, "port0", host.timeout)
    except ProtocolError as exc:
        raise PicoError(
            f"the pico kernel did not come up: {exc.message}",
            where=str(host.kernel),
            detail="\n".join(filter(None, [_console(machine), launch.qemu_output(machine.folder)])),
        ) from exc
    session.close()
    if welcome.state != "waiting":
        raise PicoError(f"the agent is {welcome.state} before it was set up", where=str(host.initrd))
    return asdict(welcome)


def _console(machine: Machine) -> str:
    try:
        return (machine.folder / "console").read_text(encoding="utf-8", errors="replace")[-2000:]
    except OSError:
        return ""


def save(qmp: Qmp) -> None:
    """Stop the machine and write its devices to the state file; its memory is in its file already."""
    qmp.send("stop")
    qmp.send("migrate-set-capabilities", CAPABILITIES)
    qmp.send("migrate", {"uri": STATE})
    qmp.wait_for_migration()


def restore(qmp: Qmp) -> None:
    """Let a machine that was started as a clone take the template's state. It stays stopped."""
    qmp.send("migrate-set-capabilities", CAPABILITIES)
    qmp.send("migrate-set-parameters", {"announce-rounds": 0})
    qmp.send("migrate-incoming", {"uri": STATE})
    try:
        qmp.wait_for_migration()
    except QmpError as exc:
        exc.hint = "pico template --remove"
        raise


def templates(host_folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every complete template with what is known of it."""
    found = []
    for path in sorted((host_folder / "templates").glob(f"*/{COMPLETE}")):
        found.append((path.parent, read_json(path)))
    return found


def remove(host: Host, folder: Path) -> None:
    """Remove a template and the spares that wait for it. Its clones live on: their mapping keeps the file."""
    spares = host.folder / "spares" / folder.name
    # Whoever makes spares holds this lock: none appears behind our back, and afterwards there is no template for any.
    with locked(host.folder / "locks" / f"{folder.name}.spares"):
        for path in sorted(spares.iterdir()) if spares.is_dir() else []:
            if path.is_dir():
                launch.discard(Machine(path))
        shutil.rmtree(spares, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)

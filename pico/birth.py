"""How a machine comes to life: a spare that waits already, a clone of the template, or a cold boot."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pico import launch, limits, spares, state, template, zygote
from pico.errors import PicoError
from pico.hardware import DISK, Hardware
from pico.host import Host
from pico.launch import Share, Start
from pico.qmp import Qmp, QmpError
from pico.state import Machine, Record

Say = Callable[[str], None]
SWAPPED = 9  # number of the set of descriptors that holds the image of a spare


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A machine to be: what it is made of beyond its record. `forwards` are values of QEMU's hostfwd."""

    hardware: Hardware
    image: Path
    network: bool
    shares: Sequence[Share] = ()
    forwards: Sequence[str] = ()
    cpus: float | None = None
    cold: bool = False
    use_spares: bool = True

    @property
    def takes_spares(self) -> bool:
        """Spares are clones with a network and no volumes: those two cannot be changed later. A copy can be without."""
        return self.use_spares and not self.cold and not self.shares and (self.network or self.hardware.copied)


def bring_up(host: Host, record: Record, wanted: Wanted, say: Say) -> tuple[Machine, Record]:
    """A machine that runs, with its agent waiting to be told what it is. Nothing is left of it on failure.

    Raises PicoError, SandboxError.
    """
    if wanted.cold:
        return _start(host, replace(record, birth="cold"), wanted, None)
    frozen = template.ensure(host, wanted.hardware, say)
    record = replace(record, template=frozen.name)
    if wanted.takes_spares and wanted.hardware.copied:
        copied = _copy(host, replace(record, birth="copy"), wanted)
        if copied is not None:
            return copied
    elif wanted.takes_spares:
        claimed = _claim(host, replace(record, birth="spare"), wanted)
        if claimed is not None:
            return claimed
    return _start(host, replace(record, birth="clone"), wanted, frozen)


def _start(host: Host, record: Record, wanted: Wanted, frozen: Path | None) -> tuple[Machine, Record]:
    machine = state.create(host.folder, record)
    try:
        what = Start(
            hardware=wanted.hardware,
            birth="clone" if frozen else "cold",
            network=wanted.network,
            template=frozen,
            image=wanted.image,
            shares=wanted.shares,
            cpus=wanted.cpus,
        )
        launch.start(host, machine, what)
        if frozen or wanted.forwards:
            control = launch.control(machine.folder)
            if frozen:
                template.thaw(control)
            _forward(control, wanted.forwards)
            if frozen:
                control.call("cont")
            control.close()
    except QmpError as exc:
        _give_up(machine)
        exc.detail = exc.detail or launch.qemu_said(machine.folder)
        raise
    except BaseException:
        _give_up(machine)
        raise
    return machine, record


def _copy(host: Host, record: Record, wanted: Wanted) -> tuple[Machine, Record] | None:
    """A copy of the template's zygote; None when there is none, or it makes none."""
    parent = zygote.of(host, record.template)
    if parent is None:
        return None
    machine = state.create(host.folder, record)
    try:
        zygote.copy(parent, machine, wanted.hardware, wanted.image, network=wanted.network, cpus=wanted.cpus)
        control = launch.control(machine.folder)
        _forward(control, wanted.forwards)
        control.call("cont")
        control.close()
    except (zygote.NoCopyError, QmpError) as exc:
        _give_up(machine)
        if isinstance(exc, zygote.NoCopyError) and exc.lost:
            spares.discard(parent)
        return None
    except BaseException:
        _give_up(machine)
        raise
    return machine, record


def _give_up(machine: Machine) -> None:
    machine.kill()
    limits.remove(machine.id)
    machine.remove()


def _claim(host: Host, record: Record, wanted: Wanted) -> tuple[Machine, Record] | None:
    """Make a waiting machine the wanted one; None when none waits, or those that do are broken."""
    for spare in spares.waiting(host, record.template):
        handle = os.open(spare.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            machine = Machine(host.folder / "machines" / spare.id)
            machine.folder.parent.mkdir(exist_ok=True)
            os.rename(spare.folder, machine.folder)
            taken = replace(record, id=machine.id)
            try:
                state.adopt(machine, taken, host.folder)
                _convert(machine, wanted)
            except QmpError:
                _give_up(machine)
                continue
            except BaseException:
                _give_up(machine)
                raise
            return machine, taken
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(handle)
    return None


def _convert(machine: Machine, wanted: Wanted) -> None:
    """Give a spare its image, its ports and its share of the processors, and let it run."""
    control = launch.control(machine.folder)
    image = os.open(wanted.image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        control.send("add-fd", {"fdset-id": SWAPPED}, fd=image)
        file = {"driver": "file", "node-name": "file1", "filename": f"/dev/fdset/{SWAPPED}"}
        control.send("blockdev-add", {**file, "read-only": True, "locking": "off"})
        disk = {"driver": "raw", "node-name": DISK, "file": "file1", "read-only": True}
        control.send("blockdev-reopen", {"options": [disk]})
        _forward(control, wanted.forwards)
        if wanted.cpus is not None:
            limits.restrict(machine.id, wanted.cpus)
        control.call("cont")
    finally:
        os.close(image)
        control.close()


def _forward(control: Qmp, forwards: Sequence[str]) -> None:
    """Publish ports. Raises PicoError when one is taken."""
    for forward in forwards:
        try:
            control.monitor(f"hostfwd_add net {forward}")
        except QmpError as exc:
            if "forwarding" in exc.message:
                raise PicoError(
                    f"cannot publish {forward.partition('-')[0]}: {exc.message}", hint="is the port taken?"
                ) from exc
            raise

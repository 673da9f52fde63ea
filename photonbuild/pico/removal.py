"""Removing machines and images that the user names."""

from __future__ import annotations

from pathlib import Path

from . import images, limits
from .errors import PicoError
from .reference import Reference
from .state import Machine, machines


def remove(machine: Machine, *, force: bool) -> None:
    """Remove a machine and its log. Raises PicoError when it runs, unless `force`."""
    if machine.pid() is not None:
        if not force:
            name = machine.record()
            raise PicoError(
                f"machine {name.name if name else machine.id} runs", hint="stop it first, or remove it with --force"
            )
        machine.kill()
    limits.remove(machine.id)
    machine.remove()


def remove_image(root: Path, reference: Reference, *, force: bool) -> list[str]:
    """Remove an image; all names that are gone. Raises PicoError when machines run it, unless `force`."""
    image = images.known(root, reference)
    if image is None:
        raise PicoError(f"there is no image '{reference.text}' here", hint="photonbuild pico images")
    users = [
        record.name
        for machine in machines(root)
        if machine.pid() is not None and (record := machine.record()) and record.digest == image.id
    ]
    if users and not force:
        raise PicoError(f"image {image.id[:12]} is run by {', '.join(users)}", hint="stop them first, or use --force")
    return [*images.remove(root, image), image.id[:12]]

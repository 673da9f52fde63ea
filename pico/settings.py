"""``build/pico.yaml``: what every pico machine has in common, as data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from photonbuild.config.partitions import Size
from photonbuild.config.validation import Model


class PicoSettings(Model):
    """Sizes as ``128 MiB``. Everything here is part of a template's digest but `spares` and `timeout`.

    `memory`, `cpus`: of a machine that asks for none. `disk`: the size that every image has for its guest. `machine`:
    QEMU's value of that option. `kernel_args`: the guest's command line. `translation_cache`: for translated code, when
    there is no KVM. `spares`: machines kept waiting for each template. `uid`: who QEMU is on the host if root starts
    it. `timeout`: seconds within which a guest must be ready.
    """

    memory: Size
    cpus: Annotated[int, Field(ge=1, le=16)] = 1
    disk: Size
    machine: str
    cpu: str
    kernel_args: tuple[str, ...]
    translation_cache: Size
    spares: Annotated[int, Field(ge=0, le=64)]
    uid: Annotated[int, Field(ge=1, le=65533)]
    timeout: Annotated[int, Field(ge=1)]

"""What the machine of an appliance may be, in ``build/images/*.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from photonbuild.config.partitions import Size
from photonbuild.config.validation import Model


class Hardware(Model):
    """The virtual machine that an appliance describes; `hardware_family` as VMware numbers them.

    `ovf` is the version of the descriptor's format: 1.1, which every importer takes, or 2.0, which VMware's refuse.
    """

    processors: Annotated[int, Field(ge=1)]
    memory: Size
    scsi: Literal["VirtualSCSI", "lsilogic"] = "VirtualSCSI"
    network: Literal["VMXNET3", "E1000"] = "VMXNET3"
    hardware_family: Annotated[str, Field(pattern=r"^vmx-[0-9]{2}$")] = "vmx-14"
    ovf: Literal["1.1", "2.0"] = "1.1"

"""Machines of pico as folders, without a QEMU: their records and logs."""

from __future__ import annotations

from dataclasses import replace

from pico.guest.protocol import Frame, encode
from pico.vm.state import Machine, Record


def a_record(identity: str = "0123456789ab", name: str = "one", **more: object) -> Record:
    plain = Record(
        id=identity,
        name=name,
        image="box",
        digest="d",
        args=["/bin/sh"],
        env=[],
        cwd="/",
        user="",
        stop_signal=15,
        created=1.0,
        hostname="",
        birth="clone",
        template="t",
        memory=64,
        cpus=1,
        network="user",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def write_log(machine: Machine, *frames: Frame) -> None:
    machine.log.write_bytes(b"".join(map(encode, frames)))

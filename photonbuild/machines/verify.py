"""An image is booted with each firmware, checked from inside and outside, and timed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from photonbuild.config.models import Distribution, Runtime
from photonbuild.errors import VerifyError
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.checker import check_names, missing_runtimes, run_checks
from photonbuild.machines.clouds import metadata_service, platform_bus, provisioned
from photonbuild.machines.clouds.instance import MetadataService
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import FIRMWARES, NAMESERVER_SEEN_BY_GUEST, Firmware, Hardware
from photonbuild.machines.manifest import Manifest
from photonbuild.machines.overlay import larger_overlay
from photonbuild.machines.qemu import Machine
from photonbuild.machines.report import Boot, Report
from photonbuild.machines.ssh import free_port
from photonbuild.machines.testnet import Testnet, serve_testnet

BUSYBOX = "usr/bin/busybox"
BOOT_TIMEOUT = 300.0
GROWTH = 2 << 30
# Where containers are published in the machine; each runtime has a port of its own.
FIRST_PORT = 8080
UNKNOWN = Manifest(platform=None)


def verify(
    image: Path,
    *,
    distribution: Distribution,
    runtimes: Sequence[Runtime],
    seed: Path,
    scratch: Path,
    firmwares: Sequence[Firmware] = FIRMWARES,
    as_disk: bool = False,
    manifest: Manifest = UNKNOWN,
    own_checks: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Boot `image` once with each firmware and run every check. `seed`: the unpacked machine seed.

    An image of a cloud gets its ssh key from that cloud's metadata service, and a disk larger than the image; any other
    gets the key as a credential. A runtime that the `manifest` lists has to be there. `own_checks`: the user's files.

    A failed check is in the report; `require` makes an error of it. Raises VerifyError when a machine does not boot,
    cannot be checked or does not shut down.
    """
    accel = best_accel(seed, scratch)
    boots = []
    for firmware in firmwares:
        progress(f"booting {image.name} with {firmware} ({accel.partition(',')[0]})")
        with contextlib.ExitStack() as stack:
            drive = stack.enter_context(
                boot_drive(image, as_disk=as_disk, bus=platform_bus(manifest.platform), firmware=firmware)
            )
            hardware = Hardware(boot_drive=drive, firmware=firmware, accel=accel, forwards=container_ports(runtimes))
            service = stack.enter_context(
                metadata_service(manifest.platform, image, user=distribution.id, seed=seed, scratch=scratch)
            )
            if service is not None:
                larger = stack.enter_context(larger_overlay(drive, GROWTH, seed=seed, scratch=scratch))
                hardware = provisioned(replace(hardware, boot_drive=larger), service)
            net = stack.enter_context(serve_testnet(service.provisioning.host) if service else serve_testnet())
            machine = stack.enter_context(Machine(hardware, seed=seed, scratch=scratch))
            machine.wait_for_ssh(BOOT_TIMEOUT)
            present = [runtime for runtime in runtimes if _installed(machine, runtime.package)]
            stages, memory = measure(machine, present)
            progress(f"{firmware}: up, checking")
            facts = facts_for(
                machine, net, distribution, present, seed, service=service, configured=manifest.configured
            )
            checks = (
                *missing_runtimes(runtimes, present, manifest.packages),
                *run_checks(machine, facts, check_names(present, cloud=service is not None), own=own_checks),
            )
            stages["shut down"] = machine.shut_down()
        boots.append(Boot(firmware=firmware, accel=accel, stages=stages, memory_used=memory, checks=checks))
    return Report(image=image, boots=boots)


def container_ports(runtimes: Sequence[Runtime]) -> dict[int, int]:
    """Ports of the machine for containers, at least two, each with the free port of our loopback where it is seen."""
    return {FIRST_PORT + number: free_port() for number in range(max(2, len(runtimes)))}


def facts_for(
    machine: Machine,
    net: Testnet,
    distribution: Distribution,
    present: Sequence[Runtime],
    seed: Path,
    *,
    service: MetadataService | None = None,
    configured: Sequence[str] = (),
) -> dict[str, Any]:
    """What the checks must know of this run; JSON for ``photonbuild/machines/checks/conftest.py``.

    ``published``: TCP port of the machine to the port of our loopback where it is seen; ``runtimes``: unit and check
    by name; ``configured``: files that the image's configuration set; ``testnet``: `Testnet.facts`; ``cloud``:
    `MetadataService.facts`, or null.
    """
    return {
        "busybox": str(seed / BUSYBOX),
        "cloud": service.facts() if service else None,
        "configured": list(configured),
        "firmware": machine.hardware.firmware,
        "identity": {"NAME": distribution.name, "ID": distribution.id, "VERSION_ID": distribution.version},
        "nameserver": service.provisioning.nameserver if service else NAMESERVER_SEEN_BY_GUEST,
        "published": {str(there): here for there, here in sorted(machine.hardware.forwards.items())},
        "runtimes": {runtime.name: {"unit": runtime.unit, "check": runtime.check} for runtime in present},
        "ssh_config": str(machine.config),
        "testnet": net.facts(),
    }


def _installed(machine: Machine, package: str) -> bool:
    return machine.ssh(f"rpm -q {package}", check=False).returncode == 0


def measure(machine: Machine, runtimes: Sequence[Runtime]) -> tuple[dict[str, float], int]:
    """Seconds from the start of QEMU to each stage, in order, and bytes of memory in use.

    The guest's clock counts from the start of its kernel; one look at it says when that was. Raises VerifyError when
    the machine does not finish booting.
    """
    ssh = machine.elapsed()
    machine.ssh("systemctl is-system-running --wait", timeout=BOOT_TIMEOUT, check=False)
    before = machine.elapsed()
    uptime = float(machine.ssh("cat /proc/uptime").stdout.split()[0])
    kernel = (before + machine.elapsed()) / 2 - uptime
    stages = {"kernel started": kernel, "ssh login": ssh}
    units = [("userspace started", "UserspaceTimestampMonotonic", ""), ("all units", "FinishTimestampMonotonic", "")]
    units += [(runtime.name, "ActiveEnterTimestampMonotonic", runtime.unit) for runtime in runtimes]
    for name, key, unit in units:
        value = int(machine.ssh(f"systemctl show -P {key} {unit}".rstrip()).stdout.strip() or 0)
        if not value:
            status = machine.ssh(f"systemctl status --no-pager -n 20 {unit}".rstrip(), check=False).stdout
            raise VerifyError(f"stage '{name}' was not reached", detail=status)
        stages[name] = kernel + value / 1e6
    meminfo = machine.ssh("cat /proc/meminfo").stdout
    total, available = (
        int(re.findall(rf"^{key}:\s+(\d+) kB", meminfo, re.M)[0]) for key in ("MemTotal", "MemAvailable")
    )
    return dict(sorted(stages.items(), key=lambda item: item[1])), (total - available) << 10

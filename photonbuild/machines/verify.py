"""An image is booted with each firmware, judged from inside and outside, and timed.

The checks are pytest-testinfra tests in ``photonbuild/machines/checks``: ``test_system.py`` always, ``test_cloud.py``
for an image of a cloud, and ``test_CHECK.py`` for each runtime of ``build/runtimes.yaml`` whose package the machine
has; when it has all, also ``test_side_by_side.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from photonbuild.config.models import Distribution, Runtime
from photonbuild.errors import VerifyError
from photonbuild.machines.clouds import Access, fitted, grown, platform_bus, way_in
from photonbuild.machines.drive import Description, medium
from photonbuild.machines.qemu import (
    FIRMWARES,
    NAMESERVER_SEEN_BY_GUEST,
    Firmware,
    Hardware,
    Machine,
    best_accel,
    free_port,
)
from photonbuild.machines.testnet import Outside, outside
from photonbuild.run import run

CHECKS = Path(__file__).parent / "checks"
BUSYBOX = "usr/bin/busybox"
PUBLISHED = (8080, 8081, 8082)
BOOT_TIMEOUT = 300.0
CHECK_TIMEOUT = 900.0
GROWTH = 2 << 30
NO_CLOUD = Description(platform=None)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One test: `outcome` is passed, failed or skipped; `message` says why it is not passed."""

    name: str
    outcome: str
    seconds: float
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Boot:
    """One machine: seconds from the start of QEMU to each stage, memory used when idle (bytes), and its checks."""

    firmware: str
    accel: str
    stages: Mapping[str, float]
    memory_used: int
    checks: Sequence[Check] = field(default_factory=tuple)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.outcome != "passed"]


@dataclass(frozen=True, kw_only=True)
class Report:
    image: Path
    boots: Sequence[Boot]

    @property
    def failed(self) -> list[tuple[str, Check]]:
        return [(boot.firmware, check) for boot in self.boots for check in boot.failed]


def verify(
    image: Path,
    *,
    distribution: Distribution,
    runtimes: Sequence[Runtime],
    seed: Path,
    scratch: Path,
    firmwares: Sequence[Firmware] = FIRMWARES,
    as_disk: bool = False,
    description: Description = NO_CLOUD,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Boot `image` once with each firmware and run every check. `seed`: the unpacked machine seed.

    An image of a cloud is let into in that cloud's own way, on a disk larger than the image; any other by a one-time
    key in a credential.

    A failed check is in the report; `require` makes an error of it. Raises VerifyError when a machine does not boot,
    cannot be judged or does not shut down.
    """
    accel = best_accel(seed, scratch)
    boots = []
    for firmware in firmwares:
        progress(f"booting {image.name} with {firmware} ({accel.partition(',')[0]})")
        forwards = {port: free_port() for port in PUBLISHED}
        with contextlib.ExitStack() as stack:
            plugged = stack.enter_context(
                medium(image, as_disk=as_disk, bus=platform_bus(description.platform), firmware=firmware)
            )
            hardware = Hardware(medium=plugged, firmware=firmware, accel=accel, forwards=forwards)
            access = stack.enter_context(way_in(description.platform, user=distribution.id, seed=seed, scratch=scratch))
            if access is not None:
                larger = stack.enter_context(grown(plugged, GROWTH, seed=seed, scratch=scratch))
                hardware = fitted(replace(hardware, medium=larger), access)
            world = stack.enter_context(outside(access.service.host) if access else outside())
            machine = stack.enter_context(Machine(hardware, seed=seed, scratch=scratch))
            machine.wait_for_ssh(BOOT_TIMEOUT)
            present = [runtime for runtime in runtimes if _installed(machine, runtime.package)]
            stages, memory = measure(machine, present)
            progress(f"{firmware}: up, checking")
            facts = facts_for(
                machine, world, distribution, present, seed, access=access, configured=description.configured
            )
            checks = run_checks(machine, facts, check_names(present, runtimes, cloud=access is not None))
            stages["shut down"] = machine.shut_down()
        boots.append(Boot(firmware=firmware, accel=accel, stages=stages, memory_used=memory, checks=checks))
    return Report(image=image, boots=boots)


def require(report: Report) -> None:
    """Raises VerifyError when a check of the report did not pass."""
    if report.failed:
        lines = [f"{firmware}: {check.name}: {check.message}" for firmware, check in report.failed]
        raise VerifyError(
            f"{len(lines)} of {sum(len(boot.checks) for boot in report.boots)} checks failed",
            where=report.image.name,
            detail="\n".join(lines),
        )


def check_names(present: Sequence[Runtime], runtimes: Sequence[Runtime], *, cloud: bool = False) -> list[str]:
    """The check files for a machine that has the runtimes `present`, in their order. Pure."""
    together = ["side_by_side"] if len(present) == len(runtimes) > 1 else []
    return ["system", *(["cloud"] if cloud else []), *(runtime.check for runtime in present), *together]


def facts_for(
    machine: Machine,
    world: Outside,
    distribution: Distribution,
    present: Sequence[Runtime],
    seed: Path,
    *,
    access: Access | None = None,
    configured: Sequence[str] = (),
) -> dict[str, Any]:
    """What the checks must know of this run; JSON for ``photonbuild/machines/checks/conftest.py``.

    ``published``: TCP port of the machine to the port of our loopback where it is seen; ``runtimes``: unit by name;
    ``configured``: files that the image's configuration set; ``cloud``: `Access.facts`, or null.
    """
    return {
        "busybox": str(seed / BUSYBOX),
        "cloud": access.facts() if access else None,
        "configured": list(configured),
        "dns_port": world.dns_port,
        "firmware": machine.hardware.firmware,
        "identity": {"NAME": distribution.name, "ID": distribution.id, "VERSION_ID": distribution.version},
        "name": world.name,
        "nameserver": access.service.nameserver if access else NAMESERVER_SEEN_BY_GUEST,
        "outside": world.host,
        "http_port": world.http_port,
        "published": {str(there): here for there, here in sorted(machine.hardware.forwards.items())},
        "runtimes": {runtime.name: runtime.unit for runtime in present},
        "ssh_config": str(machine.config),
        "token": world.token,
        "url": world.url,
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


class Judged(Protocol):
    """What checks are run against."""

    @property
    def folder(self) -> Path:
        """Where facts and results go."""

    def check_alive(self) -> None:
        """Raises VerifyError when the machine is gone."""


def run_checks(machine: Judged, facts: Mapping[str, Any], names: Sequence[str]) -> tuple[Check, ...]:
    """Run the named check files against the machine. Raises VerifyError when they cannot be run at all."""
    facts_file, result = machine.folder / "facts.json", machine.folder / "checks.xml"
    facts_file.write_text(json.dumps(facts))
    files = [CHECKS / f"test_{name}.py" for name in names]
    for file in files:
        if not file.is_file():
            raise VerifyError("no such check", where=str(file), hint="build/runtimes.yaml names the checks")
    done = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--no-header",
         "-c", os.devnull, "--rootdir", CHECKS, f"--junitxml={result}", *files],
        env={"PHOTONBUILD_MACHINE": str(facts_file), "PYTHONPATH": str(CHECKS.parents[2])},
        timeout=CHECK_TIMEOUT, check=False, error=VerifyError,
    )  # fmt: skip
    checks = parse_junit(result.read_text()) if result.exists() else ()
    if done.returncode not in (0, 1) or not checks:
        machine.check_alive()
        raise VerifyError("the checks could not be run", detail=(done.stdout + done.stderr)[-4000:])
    return checks


def parse_junit(text: str) -> tuple[Check, ...]:
    """The tests of a JUnit XML report, in the order in which they ran."""
    checks = []
    for case in ElementTree.fromstring(text).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        group = case.attrib.get("classname", "").rpartition(".")[2].removeprefix("test_")
        name = case.attrib["name"].removeprefix("test_").replace("_", " ")
        message = "" if bad is None else "\n".join(filter(None, [bad.attrib.get("message"), bad.text]))
        outcome = "passed" if bad is None else "skipped" if bad.tag == "skipped" else "failed"
        checks.append(
            Check(name=f"{group}: {name}", outcome=outcome, seconds=float(case.attrib.get("time", 0)), message=message)
        )
    return tuple(checks)


def stage_table(report: Report) -> list[tuple[str, ...]]:
    """Rows of the stage table, the heading first: one column for each boot, seconds since the start of QEMU."""
    names = list(dict.fromkeys(name for boot in report.boots for name in boot.stages))
    rows: list[tuple[str, ...]] = [
        ("stage", *(f"{boot.firmware} ({boot.accel.partition(',')[0]})" for boot in report.boots))
    ]
    for name in names:
        cells = [f"{boot.stages[name]:.1f} s" if name in boot.stages else "" for boot in report.boots]
        rows.append((name, *cells))
    rows.append(("memory in use", *(f"{boot.memory_used >> 20} MiB" for boot in report.boots)))
    rows.append(
        ("checks passed", *(f"{len(boot.checks) - len(boot.failed)} of {len(boot.checks)}" for boot in report.boots))
    )
    return rows

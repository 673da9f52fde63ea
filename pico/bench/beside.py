"""``docker run`` of the same image inside a booted host image, measured the same way, to stand beside machines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pico.bench.measure import quantiles
from pico.errors import PicoError
from pico.oci.reference import Reference

if TYPE_CHECKING:
    from photonbuild.pipeline.session import Session

# In the guest: COUNT times docker run, FLIGHT of them at once; prints the seconds of each and of all. Started with
# sh -c SCRIPT sh IMAGE COUNT FLIGHT.
SCRIPT = r"""
one() { a=$(date +%s%N); docker run --rm --entrypoint '' "$1" /bin/true || exit 1; b=$(date +%s%N); echo "$((b - a))"; }
some() { n=0; while [ "$n" -lt "$2" ]; do one "$1" || exit 1; n=$((n + 1)); done; }
a=$(date +%s%N); f=0
while [ "$f" -lt "$3" ]; do some "$1" "$(($2 / $3))" & f=$((f + 1)); done
wait; b=$(date +%s%N); echo "all $((b - a))"
"""
BOOT = 300.0


def docker_runs(
    session: Session, image: Path, reference: Reference, count: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Rows like those of machines, for one and two in flight. Raises PicoError, VerifyError."""
    from photonbuild.machines.drive import boot_drive
    from photonbuild.machines.hardware import Hardware
    from photonbuild.machines.qemu import Machine

    if reference.path is None or not reference.path.is_file():
        raise PicoError("docker can be measured with an image in an archive only", where=reference.text)
    say(f"booting {image.name}")
    rows = []
    with (
        boot_drive(image) as plugged,
        Machine(Hardware(boot_drive=plugged), seed=session.machine_seed.root, scratch=session.store.scratch) as machine,
    ):
        machine.wait_for_ssh(BOOT)
        name = _load(machine, reference.path)
        for flight in (1, 2):
            say(f"{count} times docker run, {flight} in flight")
            done = machine.ssh(f"sh -s {name} {count} {flight}", input=SCRIPT.encode(), timeout=60 + count * 20)
            rows.append(_row(done.stdout, flight))
    return rows


def _load(machine: Any, archive: Path) -> str:
    """Give docker the image; what it calls it. It waits for docker itself to be up."""
    ends = time.monotonic() + BOOT
    while machine.ssh("docker info", check=False).returncode:
        if time.monotonic() > ends:
            raise PicoError("docker did not come up in the machine")
        time.sleep(1)
    said = machine.ssh("docker load", input=archive.read_bytes(), timeout=300).stdout
    listed = machine.ssh("docker images --quiet --no-trunc").stdout.split()
    if not listed:
        raise PicoError("docker did not take the image", detail=said)
    return str(listed[0])


def _row(text: str, flight: int) -> dict[str, Any]:
    lines = text.split()
    try:
        wall = int(lines[lines.index("all") + 1]) / 1e9
        seconds = [round(int(line) / 1e9, 4) for line in lines[: lines.index("all")]]
    except (ValueError, IndexError):
        raise PicoError("docker run failed in the machine", detail=text) from None
    return {
        "name": "docker run",
        "in_flight": flight,
        "count": len(seconds),
        "answered": quantiles(seconds),
        "started": quantiles(seconds),
        "ended": quantiles(seconds),
        "per_minute": round(60 * len(seconds) / wall, 1),
        "seconds": {"answered": seconds, "started": seconds, "ended": seconds},
    }

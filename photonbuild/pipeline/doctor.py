"""What this machine must offer, checked by doing it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import PhotonbuildError
from photonbuild.pipeline.host import read_host, sandbox_hints
from photonbuild.sandbox import cgroups
from photonbuild.store import Store

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "ssh": "openssh-client",
    "newuidmap": "uidmap",
    "tar": "tar",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    hint: str = ""


def examine(store: Store) -> list[Finding]:
    """All findings, good and bad, in a fixed order."""
    findings = [
        Finding(what="python", ok=sys.version_info >= (3, 11), found=sys.version.split()[0], hint="3.11 or later"),
        sandbox_finding(store),
        Finding(
            what="limits",
            ok=True,
            found="control groups bound the memory of builds"
            if cgroups.available()
            else "no control groups that can be written: nothing bounds a build's memory",
        ),
    ]
    for program, package in sorted(PROGRAMS.items()):
        path = shutil.which(program)
        findings.append(
            Finding(what=program, ok=path is not None, found=path or "missing", hint=f"install the package {package}")
        )
    usage = shutil.disk_usage(store.root)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    findings += [
        Finding(
            what="disk",
            ok=usage.free > 20 << 30,
            found=f"{usage.free >> 30} GiB free in {store.root}",
            hint="a cold build needs 20 GiB",
        ),
        Finding(what="memory", ok=memory > 7 << 30, found=f"{memory >> 30} GiB", hint="8 GiB or more"),
        Finding(
            what="kvm",
            ok=True,
            found="/dev/kvm is there; used if a guest really runs"
            if Path("/dev/kvm").exists()
            else "no /dev/kvm: machines are emulated, slowly",
        ),
    ]
    return findings


def sandbox_finding(store: Store) -> Finding:
    """Make a sandbox with an overlay, change an owner in it, and see that it has no network but loopback."""
    script = "mkdir /x && chown 12:34 /x && test $(wc -l < /proc/net/dev) = 3 && echo fine"
    try:
        done = store.host_sandbox().run(["sh", "-c", script])
    except PhotonbuildError as error:
        hints = sandbox_hints(read_host(), str(error)) or [error.hint or ""]
        return Finding(what="sandbox", ok=False, found=str(error), hint="\n".join(hints))
    return Finding(what="sandbox", ok=done.stdout.strip() == "fine", found="namespaces, ids and overlay work")

"""The Go programs of src/go: their tests, and the race detector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.native import Go, report
from tests.support.unconfined import unconfined

MODULE = "photonbuild.invalid/compat/"
# What the build seed's sandbox cannot do; the boot tests of both runtimes run these paths in a machine.
ONLY_OUTSIDE = "device nodes, trusted attributes and set-up of id maps belong to the first user namespace"
MAY_SKIP = {
    "internal/gdn/depot.TestNewSidecar": "its owner is beyond the sandbox's range of ids",
    "internal/kit/archive.TestDeviceNodes": ONLY_OUTSIDE,
    "internal/kit/archive.TestOverlayWhiteouts": ONLY_OUTSIDE,
    "internal/kit/archive.TestTrustedAttributesAreDropped": ONLY_OUTSIDE,
    "internal/kit/image.TestStore": ONLY_OUTSIDE,
    "internal/kit/image.TestStoreSeveralAtOnce": ONLY_OUTSIDE,
    "internal/kit/overlay.TestIDMappedLayersBelongToTheContainer": ONLY_OUTSIDE,
    "internal/rkt/network.TestRemoveOfAKilledPod": "the seed has no ip(8)",
}


@pytest.fixture(autouse=True)
def may_mount() -> Iterator[None]:
    """The programs under test make namespaces and mounts."""
    with unconfined():
        yield


def test_every_test(go: Go) -> None:
    """As the programs are built: without cgo. A test that is skipped has a reason that stands here."""
    done = go.attempt("env", "CGO_ENABLED=0", "go", "test", "-count", "1", "-json", "./...")
    assert done.returncode == 0, failures(done.stdout) or report(done)
    skips = [e for e in events(done.stdout) if e["Action"] == "skip" and "Test" in e]
    skipped = {f"{e['Package'].removeprefix(MODULE)}.{e['Test']}" for e in skips}
    assert skipped <= MAY_SKIP.keys()


def test_no_data_race(go: Go) -> None:
    go.run("go", "test", "-race", "-short", "./...")


def events(output: str) -> Iterator[dict[str, Any]]:
    """Of ``go test -json``, see ``go doc test2json``."""
    return (json.loads(line) for line in output.splitlines() if line.startswith("{"))


def failures(output: str) -> str:
    """What the tests and packages that failed have printed."""
    found = list(events(output))
    failed = {(e.get("Package"), e.get("Test")) for e in found if e["Action"] == "fail"}
    printed = ("output", "build-output")
    return "".join(
        e["Output"]
        for e in found
        if e["Action"] == "build-output" or (e["Action"] in printed and (e.get("Package"), e.get("Test")) in failed)
    )

"""The Go programs of src/go: their tests, the race detector and, for a few seconds each, the fuzzer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from photonbuild.run import Completed
from tests.support.native import Go, report

FUZZ_SECONDS = int(os.environ.get("PHOTONBUILD_FUZZ_SECONDS", "2"))
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


def test_every_test(go: Go) -> None:
    """As the programs are built: without cgo. A test that is skipped has a reason that stands here."""
    done = go.attempt("env", "CGO_ENABLED=0", "go", "test", "-json", "./...")
    assert done.returncode == 0, failures(done.stdout) or report(done)
    skips = [e for e in events(done.stdout) if e["Action"] == "skip" and "Test" in e]
    skipped = {f"{e['Package'].removeprefix(MODULE)}.{e['Test']}" for e in skips}
    assert skipped <= MAY_SKIP.keys()


def test_no_data_race(go: Go) -> None:
    go.run("go", "test", "-race", "-short", "./...")


def test_fuzz_targets_find_nothing_in_a_short_run(go: Go) -> None:
    """A finding fails; the end of the time does not, though go before 1.27 may say so (Go issue 75804)."""
    targets = fuzz_targets(go.run("go", "test", "-list", "^Fuzz", "-json", "./..."))
    assert targets, "no fuzz target"
    # Making a finding smaller is for later; of a tar it would take all the time there is.
    limits = ["-fuzztime", f"{FUZZ_SECONDS}s", "-fuzzminimizetime", "5x", "-parallel", "1"]

    def fuzz(target: tuple[str, str]) -> Completed:
        package, name = target
        return go.attempt("go", "test", "-run", "^$", "-fuzz", f"^{name}$", *limits, package)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for done in threads.map(fuzz, targets):
            assert done.returncode == 0 or only_time_was_over(done.stdout), report(done)


@pytest.mark.parametrize(
    ("lines", "over"),
    [
        (["--- FAIL: FuzzTree (2.08s)", "    context deadline exceeded", "FAIL", "exit status 1"], True),
        (
            ["--- FAIL: FuzzTree (1.02s)", "    --- FAIL: FuzzTree (0.00s)", "        tree_test.go:9: lost", "FAIL"],
            False,
        ),
        (
            ["--- FAIL: FuzzTree (2.1s)", "    context deadline exceeded", "    Failing input written to testdata/x"],
            False,
        ),
        (["--- FAIL: FuzzTree (2.1s)", "    fuzzing process hung or terminated unexpectedly: exit status 2"], False),
        (["tree_test.go:9:2: undefined: lost", "FAIL"], False),
    ],
)
def test_a_finding_is_told_from_the_end_of_time(lines: list[str], over: bool) -> None:
    assert only_time_was_over("\n".join(["fuzz: elapsed: 2s, execs: 21417 (10358/sec)", *lines])) is over


def only_time_was_over(output: str) -> bool:
    """Whether the deadline is all that ``go test -fuzz`` has to report: no failing input, no crash, no build error."""
    lines = [line for line in output.splitlines() if not line.startswith(("fuzz: ", "FAIL", "exit status"))]
    return len(lines) == 2 and lines[0].startswith("--- FAIL: Fuzz") and lines[1].strip() == "context deadline exceeded"


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


def fuzz_targets(output: str) -> list[tuple[str, str]]:
    """(package, target) of the output of ``go test -list -json``."""
    return sorted(
        (event["Package"], event["Output"].strip())
        for event in events(output)
        if event["Action"] == "output" and event["Output"].startswith("Fuzz")
    )

"""Go's fuzzer on every fuzz target of src/go, a second each or as many as ``--fuzz-seconds`` says; libFuzzer on C.

What Go's learns about inputs it keeps in the store (``go/cache/go/fuzz``), and begins there the next time. An input
that fails is in the report, to be put into the package's ``testdata/fuzz``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from photonbuild.run import Completed
from tests.support.native import ROOT, C, Go, report

SECONDS = 1
SOURCE = Path("src/go")
CORPUS = "testdata/fuzz"
# Beside its fuzzing, a target is compiled, and what was learnt is tried first.
OVERHEAD = 600.0
Target = tuple[str, str]


def fuzz_targets() -> list[Target]:
    """(package, name) of every ``func Fuzz…``, the package as the go tool takes it."""
    folder = ROOT / SOURCE
    return sorted(
        (f"./{path.parent.relative_to(folder)}", name)
        for path in folder.rglob("*_test.go")
        for name in re.findall(r"^func (Fuzz\w*)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


@pytest.fixture(scope="module")
def copy(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, where the fuzzer may write what it finds."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(ROOT / SOURCE, folder / SOURCE)
    (folder / "docs").mkdir()
    return folder


@pytest.fixture(scope="module")
def runs(session: Session, copy: Path, request: pytest.FixtureRequest) -> Iterator[dict[Target, Future[Completed]]]:
    """All targets that were asked for, as many at once as there are processors."""
    seconds = request.config.getoption("--fuzz-seconds", None) or SECONDS
    go = Go(session, copy)
    # Making a finding smaller is for later; of a tar it would take all the time there is.
    limits = ["-fuzztime", f"{seconds}s", "-fuzzminimizetime", "5x", "-parallel", "1", "-timeout", "0"]

    def fuzz(target: Target) -> Completed:
        package, name = target
        argv = ["go", "test", "-run", "^$", "-fuzz", f"^{name}$", *limits, package]
        return go.attempt(*argv, timeout=seconds + OVERHEAD)

    wanted = [target for item in request.session.items if (target := target_of(item))]
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        yield {target: threads.submit(fuzz, target) for target in wanted}
    finally:
        threads.shutdown(cancel_futures=True)


def target_of(item: pytest.Item) -> Target | None:
    call = getattr(item, "callspec", None)
    return call.params.get("target") if call else None


@pytest.mark.parametrize("target", fuzz_targets(), ids=lambda target: "/".join(target).removeprefix("./"))
def test_nothing_is_found(runs: dict[Target, Future[Completed]], copy: Path, target: Target) -> None:
    """A finding fails; the end of the time does not, though go before 1.27 may say so (Go issue 75804)."""
    done = runs[target].result()
    assert done.returncode == 0 or only_time_was_over(done.stdout), f"{report(done)}\n{found(copy, target)}"


@pytest.mark.parametrize(("program", "leaks"), [("agent", False), ("client", True)])
def test_nothing_is_found_in_c(request: pytest.FixtureRequest, program: str, leaks: bool) -> None:
    """What the agent reads of an image and from its wires, and the package client of settings, with the sanitizers.

    The kept inputs always; with ``--fuzz-seconds`` libFuzzer, with clang of a root of its own.
    """
    made: C = request.getfixturevalue(program)
    kept = sorted(f"testdata/fuzz/{path.name}" for path in (made.made / "testdata" / "fuzz").iterdir())
    assert made.run("./test-fuzz", *kept, ASAN_OPTIONS=f"detect_leaks={int(not leaks)}") == f"{len(kept)} inputs\n"
    if seconds := request.config.getoption("--fuzz-seconds", None):
        done = made.fuzz(seconds, f"-detect_leaks={int(not leaks)}", f"-rss_limit_mb={8192 if leaks else 1024}")
        inputs = {path.name: path.read_bytes() for path in made.made.glob("found-*")}
        assert done.returncode == 0, f"{report(done)}\n{inputs}"
        assert re.search(r"^Done [1-9]\d* runs in ", done.stderr, re.MULTILINE), done.stderr[-2000:]


def found(copy: Path, target: Target) -> str:
    """The inputs that the fuzzer has put beside the kept ones."""
    package, name = target
    folder = SOURCE / package / CORPUS / name
    made = [path for path in sorted((copy / folder).glob("*")) if not (ROOT / folder / path.name).exists()]
    return "\n".join(f"{folder / path.name}:\n{path.read_text(encoding='utf-8')}" for path in made)


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

"""The Go programs whose source lies in this repository: the race detector and, for a few seconds each, the fuzzer.

Plain tests run in every build's %check. Here too everything runs over the build seed, without network.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from photonbuild.config.load import load_sources
from photonbuild.log import Reporter
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.sources.fetch import fetch
from photonbuild.sources.local import walk
from photonbuild.store import Store
from tests.integration.conftest import PROJECT

MODULES = sorted(path.parent for path in (PROJECT / "specs").glob("*/*/go.mod"))
FUZZ_SECONDS = 2


class Module:
    """A copy of one program's source with its vendored modules, and a sandbox to run the go tool in."""

    def __init__(self, folder: Path, work: Path, session: Session) -> None:
        (entry,) = load_sources(folder.parent).sources
        for name, path in walk(folder):
            shared = any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(folder))
            if shared and name.endswith("_test.go"):
                continue  # tested where it belongs
            (work / "module" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, work / "module" / name)
        vendored = fetch(session.fetcher, folder.parent, entry)
        shutil.unpack_archive(vendored, work / "unpacked", format="tar", filter="data")
        shutil.move(next((work / "unpacked").iterdir()) / "vendor", work / "module" / "vendor")
        # Kept: what did not change is not compiled again, nor a test of it run again.
        cache = session.store.root / "go-cache"
        cache.mkdir(exist_ok=True)
        self.sandbox = Sandbox(
            layers=[session.seed.root],
            scratch=session.store.scratch,
            binds=[Bind(work / "module", "/module", readonly=False), Bind(cache, "/cache", readonly=False)],
            env={"GOFLAGS": "-mod=vendor", "GOTOOLCHAIN": "local", "GOCACHE": "/cache", "GOPROXY": "off"},
        )

    def attempt(self, *words: str) -> Completed:
        return self.sandbox.run(["go", *words], cwd="/module", timeout=1200, check=False)

    def go(self, *words: str) -> Completed:
        done = self.attempt(*words)
        assert done.returncode == 0, report(done)
        return done

    def fuzz(self, target: str, package: str) -> None:
        """A finding fails; the end of the time does not, though go before 1.27 may say so (Go issue 75804)."""
        # Making a finding smaller is for later; of a tar it would take all the time there is.
        limits = ["-fuzztime", f"{FUZZ_SECONDS}s", "-fuzzminimizetime", "5x"]
        done = self.attempt("test", "-run", "^$", "-fuzz", f"^{target}$", *limits, package)
        assert done.returncode == 0 or only_time_was_over(done.stdout), report(done)


@pytest.fixture(scope="module", params=MODULES, ids=lambda folder: folder.name)
def module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seeded_store: Path) -> Module:
    session = Session(config=load_config(PROJECT), store=Store.open(seeded_store), reporter=Reporter())
    return Module(request.param, tmp_path_factory.mktemp("go"), session)


def test_there_are_programs() -> None:
    assert MODULES


def test_formatted_and_vetted(module: Module) -> None:
    module.go("vet", "./...")
    names = module.sandbox.run(["gofmt", "-l", "."], cwd="/module").stdout.split()
    assert not [name for name in names if not name.startswith("vendor/")]


def test_no_data_race(module: Module) -> None:
    module.go("test", "-race", "-short", "./...")


def test_fuzz_targets_find_nothing_in_a_short_run(module: Module) -> None:
    listed = module.go("test", "-list", "^Fuzz", "-json", "./...").stdout
    targets = fuzz_targets(listed)
    assert targets, "no fuzz target"
    for package, name in targets:
        module.fuzz(name, package)


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


def report(done: Completed) -> str:
    return f"{' '.join(done.argv[-9:])}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def fuzz_targets(events: str) -> list[tuple[str, str]]:
    """(package, target) of the output events of ``go test -list -json``, see ``go doc test2json``."""
    found = []
    for line in events.splitlines():
        event = json.loads(line)
        if event.get("Action") == "output" and event["Output"].startswith("Fuzz"):
            found.append((event["Package"], event["Output"].strip()))
    return sorted(found)

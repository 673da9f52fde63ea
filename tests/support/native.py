"""Go and C of src/ with the tools of the build seed: in its sandbox, without a network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from photonbuild.files import sha256_of
from photonbuild.keys import key_of
from photonbuild.packages.macros import macro_binds
from photonbuild.pipeline.session import Session
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.sources.fetch import go_sandbox
from tests.support.roots import root_of

ROOT = Path(__file__).parents[2]
# The same place inside for every checkout: the go tool then finds in its cache what it tested before.
INSIDE = "/checkout"
GO = f"{INSIDE}/src/go"
STATICCHECK = ROOT / "tests" / "native" / "staticcheck"
GOVMOMI = ROOT / "tests" / "native" / "govmomi"
REGISTRY = ROOT / "tests" / "native" / "registry"
MINIO = ROOT / "tests" / "native" / "minio"
UDP_ECHO = ROOT / "tests" / "native" / "udpecho"
KUBERNETES = ROOT / "tests" / "cluster" / "kubernetes"
LIMIT = 1200.0


def go_modules(session: Session, module: Path) -> Path:
    """A module cache (GOMODCACHE) with all that `module` names, fetched once for each go.mod and go.sum.

    Every module is checked against go.sum. Raises PhotonbuildError.
    """
    names = ("go.mod", "go.sum")
    key = key_of({name: sha256_of(module / name) for name in names})
    final = session.store.root / "go" / "modules" / key
    with session.store.lock(f"go-{key[:32]}"), session.store.staging() as work:
        if final.exists():
            return final
        for folder in ("module", "modules"):
            (work / folder).mkdir()
        for name in names:
            shutil.copyfile(module / name, work / "module" / name)
        binds = [Bind(work / "module", "/module", readonly=False), Bind(work / "modules", "/modules", readonly=False)]
        argv = ["env", "GOMODCACHE=/modules", "GOFLAGS=-modcacherw", "go", "mod", "download"]
        go_sandbox(session.fetcher, binds).run(argv, cwd="/module")
        session.store.publish(work / "modules", final)
    return final


def staticcheck(session: Session) -> Path:
    """The folder with the program staticcheck, of the version in its go.mod."""
    return go_program(session, STATICCHECK, "honnef.co/go/tools/cmd/staticcheck")


def go_program(session: Session, module: Path, package: str = ".") -> Path:
    """The folder with the program `package` of a module here, built once by the build seed's Go."""
    key = key_of({"seed": session.seed.digest, **{path.name: sha256_of(path) for path in sorted(module.iterdir())}})
    final = session.store.root / "go" / module.name / key
    modules = go_modules(session, module)
    with session.store.lock(f"go-{key[:32]}"), session.store.staging() as work:
        if final.exists():
            return final
        (work / "out").mkdir()
        binds = [Bind(module, "/module"), Bind(work / "out", "/out", readonly=False)]
        sandbox = go_offline(session, modules, binds)
        argv = ["env", "CGO_ENABLED=0", "go", "build", "-o", "/out/", package]
        sandbox.run(argv, cwd="/module", timeout=LIMIT)
        session.store.publish(work / "out", final)
    return final


def by_govmomi(session: Session, appliance: Path, filled_in: Mapping[str, str]) -> dict[str, Any]:
    """What VMware's own library makes of an appliance: see ``tests/native/govmomi/main.go``."""
    binds = [Bind(go_program(session, GOVMOMI), "/program"), Bind(appliance.resolve(), "/appliance.ova")]
    sandbox = Sandbox(layers=[session.seed.root], scratch=session.store.scratch, binds=binds)
    done = sandbox.run(["/program/govmomi", "/appliance.ova"], input=json.dumps(filled_in).encode(), check=False)
    return dict(json.loads(succeeded(done)))


def by_kubernetes(session: Session, manifest: str) -> list[dict[str, Any]]:
    """What Kubernetes' API server says of each object of a manifest: see ``tests/cluster/kubernetes/main.go``."""
    binds = [Bind(go_program(session, KUBERNETES), "/program")]
    sandbox = Sandbox(layers=[session.seed.root], scratch=session.store.scratch, binds=binds)
    done = sandbox.run(["/program/kubernetes"], input=manifest.encode(), check=False)
    return list(json.loads(succeeded(done)))


def go_offline(session: Session, modules: Path, binds: Sequence[Bind]) -> Sandbox:
    """Go of the build seed, with a cache that is kept: what did not change is not compiled or tested again."""
    cache = session.store.root / "go" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    env = {
        "GOENV": "off",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOMODCACHE": "/modules",
        "GOCACHE": "/cache/go",
        "XDG_CACHE_HOME": "/cache",
    }
    return Sandbox(
        layers=[session.seed.root],
        scratch=session.store.scratch,
        binds=[Bind(modules, "/modules"), Bind(cache, "/cache", readonly=False), *binds],
        env=env,
    )


@dataclass(frozen=True)
class Go:
    """The Go module src/go of a checkout, read-only unless it is a copy, with the modules it requires."""

    session: Session
    checkout: Path = ROOT

    @cached_property
    def sandbox(self) -> Sandbox:
        readonly = self.checkout == ROOT
        binds = [Bind(self.checkout / name, f"{INSIDE}/{name}", readonly=readonly) for name in ("src", "docs")]
        binds.append(Bind(staticcheck(self.session), "/staticcheck"))
        return go_offline(self.session, go_modules(self.session, ROOT / "src" / "go"), binds)

    def tests_of(self, package: str, tags: str, folder: Path) -> Path:
        """The tests of a package with these build tags as one static program, in an empty `folder`."""
        sandbox = replace(self.sandbox, binds=[*self.sandbox.binds, Bind(folder, "/made", readonly=False)])
        argv = ["env", "CGO_ENABLED=0", "go", "test", "-c", "-tags", tags, "-o", "/made/tests", package]
        succeeded(sandbox.run(argv, cwd=GO, timeout=LIMIT, check=False))
        return folder / "tests"

    def attempt(self, *argv: str, timeout: float = LIMIT) -> Completed:
        return self.sandbox.run(argv, cwd=GO, timeout=timeout, check=False)

    def run(self, *argv: str) -> str:
        """What the command printed; it must succeed."""
        return succeeded(self.attempt(*argv))


@dataclass(frozen=True)
class C:
    """A C program of src/, made in the folder `made` with the flags of packages."""

    session: Session
    name: str
    made: Path

    def make(self, *targets: str) -> str:
        shutil.copytree(ROOT / "src" / self.name, self.made, dirs_exist_ok=True)
        shutil.copy(ROOT / "tests" / "native" / "fuzz_main.c", self.made)
        return self._run(
            "bash", "-euc", f'eval "$(rpm --eval %set_build_flags)"; make -j{os.cpu_count()} {" ".join(targets)}'
        )

    def fuzz(self, seconds: int, *options: str) -> Completed:
        """libFuzzer, from the kept inputs and those that the store has. What it finds is in files `found-…`."""
        learnt = self.session.store.root / "fuzz" / self.name
        learnt.mkdir(parents=True, exist_ok=True)
        binds = [Bind(self.made, "/made", readonly=False), Bind(learnt, "/learnt", readonly=False)]
        root = root_of(self.session.config, self.session.store, "clang")
        env = {"ASAN_OPTIONS": "detect_leaks=0"}  # at the end; after each input it is an option
        sandbox = Sandbox(layers=[root], scratch=self.session.store.scratch, binds=binds, env=env)
        succeeded(sandbox.run(["make", "libfuzzer", "CLANG=clang-19"], cwd="/made", check=False))
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-artifact_prefix=/made/found-"]
        argv = ["./libfuzzer", *limits, *options, "/learnt", "/made/testdata/fuzz"]
        return sandbox.run(argv, cwd="/made", timeout=seconds + LIMIT, check=False)

    def run(self, *argv: str, **env: str) -> str:
        """Run in the folder of what was made; it must succeed."""
        return self._run(*argv, env=env)

    def _run(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        with self.session.store.staging() as work:
            sandbox = Sandbox(
                layers=[self.session.seed.root],
                scratch=self.session.store.scratch,
                binds=[
                    Bind(self.made, "/made", readonly=False),
                    Bind(ROOT / "tests", f"{INSIDE}/tests"),
                    *macro_binds(self.session.config, work),
                ],
                env={"PYTHONPATH": INSIDE, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            )
            return succeeded(sandbox.run(argv, cwd="/made", timeout=LIMIT, check=False))


def succeeded(done: Completed) -> str:
    assert done.returncode == 0, report(done)
    return done.stdout


def report(done: Completed) -> str:
    return f"{' '.join(done.argv[-9:])}\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}"

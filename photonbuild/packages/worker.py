"""What a worker of an engine runs: one package in its build root, from an input root to a folder of results.

Standard library only, Python 3.11; besides it needs tar and zstd. The input root, which is the present folder:

    job.json            `Job` of this module     lib/       this program and the sandbox
    macros/ sources/    as their names say       rpms/      what the build root has besides the seed, by digest
    seeds/              the seed and its layers: SHA256.tar.zst

PB_CACHE is the folder in which a worker keeps seeds and extracted packages, of PB_CACHE_GIB at the most; PB_SLOTS says
how many builds share the machine. Results go to result/. Exit codes: 0 built, 1 does not build, 75 the worker could
not.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from photonbuild import gc
from photonbuild.contents import is_checked
from photonbuild.errors import BuildError, PhotonbuildError, StoreError
from photonbuild.files import read_json, sha256_of, write_json
from photonbuild.packages.attempt import Bounds, binds_of, inspect_results, run_build
from photonbuild.packages.built import Cost
from photonbuild.packages.room import Rooms
from photonbuild.run import Completed
from photonbuild.sandbox.cgroups import memory_of_machine
from photonbuild.sandbox.ids import first_id, give
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store

FAILED, ELSEWHERE = 1, 75  # the latter is EX_TEMPFAIL of sysexits.h
RESULT, OUTCOME, LOG = "result", "outcome.json", "build.log"
INSIDE = Path(__file__).parent / "inside" / "build.py"
EXTRACT = 'for name; do mkdir "/trees/$name"; bsdtar -xpf "/rpms/$name.rpm" -C "/trees/$name"; done'
GIB = 1 << 30
SOON = 1.0  # seconds
MOST = 1 << 50  # of any figure


@dataclass(frozen=True, kw_only=True)
class Job:
    """A build, the same on every machine that asks for it.

    `seeds`: digests of the seed's archive and of its layers', uppermost first; `rpms`: those of the packages over them,
    uppermost first; `sources`: their modes by their names; `cost`: what the build is expected to take.
    """

    spec: str
    seeds: tuple[str, ...]
    rpms: tuple[str, ...]
    sources: dict[str, int]
    environment: dict[str, str]
    cost: Cost
    seconds: float
    silence: float

    def text(self) -> str:
        """As it is put into an input root."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, path: Path) -> Job:
        """From there."""
        found = read_json(path)
        lists = {name: tuple(found[name]) for name in ("seeds", "rpms")}
        return cls(**{**found, **lists, "cost": Cost(**found["cost"])})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a build took and how it ended, as `Completed` has it; with what is wrong with this worker, if that is so."""

    code: int
    stopped: str | None = None
    cpu_seconds: float = 0.0
    peak_rss: int = 0
    scratch_bytes: int = 0
    trouble: str | None = None

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """As a worker has put it down. Raises OSError, and ValueError for what is none: a worker may write anything."""
        try:
            found = cls(**read_json(path))
        except TypeError:
            raise ValueError("it has other fields than those of an outcome") from None
        for name in ("code", "cpu_seconds", "peak_rss", "scratch_bytes"):
            value: Any = getattr(found, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole or (name == "cpu_seconds" and isinstance(value, float))) or not 0 <= value < MOST:
                raise ValueError(f"{name} is no number that can be")
        if not all(isinstance(text, str | None) for text in (found.stopped, found.trouble)):
            raise ValueError("what it says is no text")
        return found


def main() -> None:
    """Build what job.json says."""
    signal.signal(signal.SIGTERM, _ended)
    result = Path(RESULT)
    result.mkdir(exist_ok=True)
    try:
        with printed(result / LOG):
            done = _work(Job.read(Path("job.json")), result)
        outcome = Outcome(
            code=FAILED if done.returncode else 0,
            stopped=done.stopped,
            cpu_seconds=done.cpu_seconds,
            peak_rss=done.peak_rss,
            scratch_bytes=done.scratch_bytes,
        )
    except BuildError as error:
        _append(result, f"error: {error}\n{error.detail or ''}\n")
        outcome = Outcome(code=FAILED)
    except (PhotonbuildError, OSError) as error:
        outcome = Outcome(code=ELSEWHERE, trouble=str(error))
        print(f"this worker could not build: {error}", file=sys.stderr)
    with contextlib.suppress(OSError):  # a full disk: the exit code says enough
        write_json(result / OUTCOME, asdict(outcome))
    sys.exit(outcome.code)


@contextlib.contextmanager
def printed(log: Path) -> Iterator[None]:
    """What is written to the log is printed as well, soon: some engines show that while a build runs."""
    log.touch()
    ended = threading.Event()

    def run() -> None:
        with contextlib.suppress(OSError), log.open("rb") as lines:
            last = False
            while not last:
                last = ended.wait(SOON)
                shutil.copyfileobj(lines, sys.stdout.buffer)
                sys.stdout.buffer.flush()

    printer = threading.Thread(target=run, name="printer", daemon=True)
    printer.start()
    try:
        yield
    finally:
        ended.set()
        printer.join()


def _ended(number: int, frame: FrameType | None) -> None:
    sys.exit(ELSEWHERE)


def _work(job: Job, result: Path) -> Completed:
    cache = Store.open(Path(os.environ["PB_CACHE"]).absolute(), warn=lambda text: print(text, file=sys.stderr))
    cache.need_room()
    slots = max(1, int(os.environ.get("PB_SLOTS", "1")))
    # As on one machine: builds that share the cores may use all of them, for the longest is alone at the end.
    jobs = len(os.sched_getaffinity(0))
    kept = Kept(cache)
    seeds = [kept.seed(digest) for digest in job.seeds]
    trees = kept.trees(job.rpms, seeds[-1])
    if kept.grown:
        kept.bound(round(float(os.environ.get("PB_CACHE_GIB", "40")) * GIB))
    with cache.staging() as work:
        _stage(job, work)
        box = Sandbox(
            layers=[*trees, *seeds],
            scratch=cache.scratch,
            binds=[
                *(Bind(path.absolute(), f"/etc/rpm/{path.name}") for path in sorted(Path("macros").iterdir())),
                Bind(INSIDE.absolute(), "/build.py"),
                *binds_of(work),
            ],
            env={**job.environment, "PHOTONBUILD_JOBS": str(jobs)},
        )
        done = run_build(
            box,
            work,
            (result / LOG).absolute(),
            rooms=Rooms(total=memory_of_machine() // slots),
            cost=job.cost,
            jobs=jobs,
            bounds=Bounds(seconds=job.seconds, silence=job.silence),
            remove=cache.remove,
        )
        if done.returncode:
            # Of a disk that was full it can be that another worker's is not.
            cache.check_full("", work, result)
            return done
        inspect_results(work / "out", job.spec)
        for name in ("rpms", "srpms"):
            (result / name).mkdir()
            for path in sorted((work / "out" / name).iterdir()):
                shutil.copyfile(path, result / name / path.name)
    return done


def _stage(job: Job, work: Path) -> None:
    """Sources as a build here has them: an input root knows no modes, and all its times are the same."""
    (work / "sources").mkdir()
    for name, mode in sorted(job.sources.items()):
        shutil.copyfile(Path("sources", name), work / "sources" / name)
        (work / "sources" / name).chmod(mode)
    write_json(work / "plan.json", {"spec": f"{job.spec}.spec"})


@dataclass
class Kept:
    """What a worker keeps: each seed and each extracted package once, by the digest of its archive.

    `grown`: has something been added?
    """

    cache: Store
    grown: bool = False

    def seed(self, digest: str) -> Path:
        """The root of a seed."""
        final = self.cache.use(self.cache.seeds / digest)
        with self.cache.lock(f"seed-{digest[:32]}"):
            # Looked at once for each start of the machine: there are tens of thousands of files.
            if not (is_checked(final) and final.is_dir()) and not self._is_whole(final):
                final.parent.mkdir(parents=True, exist_ok=True)
                archive = Path("seeds", f"{digest}.tar.zst").absolute()
                _check(archive, digest)
                with self.cache.staging() as work:
                    (work / "root").mkdir()
                    give(work, first_id())
                    host = self.cache.host_sandbox(work)
                    box = replace(host, binds=[*host.binds, Bind(archive, "/seed.tar.zst")])
                    argv = ["tar", "--zstd", "--numeric-owner", "-xpf", "/seed.tar.zst", "-C", str(work / "root")]
                    box.run(argv, error=StoreError)
                    self.cache.publish(work / "root", final)
                self.grown = True
                final.with_name(f"{final.name}.elf").touch()  # by which `photonbuild.gc` knows its last use
        return final

    def trees(self, digests: Sequence[str], seed: Path) -> list[Path]:
        """The extracted files of packages, in this order."""
        folders = {digest: self.cache.use(self.cache.package("tree", digest)) for digest in digests}
        if not all(map(self._is_whole, folders.values())):
            with self.cache.lock("trees"):
                self._extract([digest for digest in digests if not self._is_whole(folders[digest])], folders, seed)
        return [folders[digest] / "tree" for digest in digests]

    def _extract(self, digests: Sequence[str], folders: Mapping[str, Path], seed: Path) -> None:
        self.grown = True
        for digest in digests:
            _check(Path("rpms", f"{digest}.rpm"), digest)
        with self.cache.staging() as work:
            (work / "trees").mkdir()
            out = Bind(work / "trees", "/trees", readonly=False, links=True)
            box = Sandbox(
                layers=[seed], scratch=self.cache.scratch, binds=[Bind(Path("rpms").absolute(), "/rpms"), out]
            )
            box.run(["bash", "-euc", EXTRACT, "extract", *digests], error=StoreError)
            for digest in digests:
                (work / digest).mkdir()
                os.rename(work / "trees" / digest, work / digest / "tree")
                write_json(work / digest / "build.json", {})
                self.cache.publish(work / digest, folders[digest])

    def _is_whole(self, folder: Path) -> bool:
        """Is it what was unpacked? What is damaged is removed."""
        if not folder.is_dir():
            return False
        if self.cache.is_intact(folder):
            return True
        self.cache.discard(folder)
        return False

    def bound(self, size: int) -> None:
        """Remove what was not used for the longest time, so that the rest fits into so many bytes."""
        chosen = gc.choose(gc.entries(self.cache), older=None, size=size, now=time.time())
        for _entry in gc.collect(self.cache, chosen, dry_run=False):
            pass


def _check(path: Path, digest: str) -> None:
    """The name of an input is what whoever asked has given it. Raises BuildError when it is not that of its content."""
    if sha256_of(path) != digest:
        raise BuildError(f"{path} is not what its name says")


def _append(result: Path, text: str) -> None:
    with (result / LOG).open("a", encoding="utf-8") as log:
        log.write(text)


if __name__ == "__main__":
    main()

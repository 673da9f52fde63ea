"""The whole order, and the only place that knows it: seed → specs → graph → builds → repository → root → image."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from . import images, repo, sandbox, seed, solve
from .config import Config, Profile, load_sources
from .errors import ConfigError, PhotonbuildError, SourceError
from .graph import Graph, build_graph, levels, wanted_specs
from .log import BuildView, Reporter
from .rootfs import RootfsSettings, build_rootfs
from .rpmbuild import Builder, Built, Cost, build, load_built, lookup
from .schedule import run_graph
from .seed import FrozenSeed
from .sources import Fetcher, fetch, sha256_of, sha512_of, stored
from .specs import Spec, read_specs
from .store import Store, read_json, write_json

IMAGE_CODE = ("images", "inside/rootfs.py", "inside/sysusers.py", "rootfs.py", "initramfs.py", "rpmconfig")


@dataclass
class Session:
    """One run: configuration, store, options, and what is found out on the way, each once."""

    config: Config
    store: Store
    reporter: Reporter
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    offline: bool = False
    locked: bool = False

    def frozen(self, name: str) -> FrozenSeed:
        with self.reporter.phase("seed"):
            return seed.build(
                self.config, self.store, name, self.reporter.warn, locked=self.locked, offline=self.offline
            )

    @cached_property
    def seed(self) -> FrozenSeed:
        return self.frozen("build")

    @cached_property
    def machine_seed(self) -> FrozenSeed:
        return self.frozen("machine")

    @cached_property
    def specs(self) -> dict[str, Spec]:
        frozen = self.seed
        with self.reporter.phase("specs"):
            return read_specs(self.config, self.store, frozen.root, frozen.digest)

    @cached_property
    def graph(self) -> Graph:
        return build_graph(
            self.specs, seed_capabilities=self.config.seeds.build_capabilities, is_owned=self.config.seeds.is_owned
        )

    @cached_property
    def fetcher(self) -> Fetcher:
        return Fetcher(config=self.config, store=self.store, seed=lambda: self.seed.root, offline=self.offline)

    @cached_property
    def builder(self) -> Builder:
        return Builder.make(self.config, self.store, self.seed, self.graph, self.fetcher, self.costs, jobs=self.jobs)

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """What each spec's build took: as last measured here, else as measured by us (build/timings.json)."""
        known: dict[str, dict[str, Any]] = {}
        for path in (self.config.build_dir / "timings.json", self.store.root / "timings.json"):
            if path.exists():
                known |= read_json(path)
        return {name: Cost(**known[name]) if name in known else Cost() for name in self.specs}

    def spec_folder(self, name: str) -> Path:
        return self.spec(name).folder

    def spec(self, name: str) -> Spec:
        """A spec by its name or by the name of a package that it makes."""
        from .config_yaml import nearest

        found = self.specs.get(name) or self.specs.get(self.graph.maker.get(name, ""))
        if found is None:
            raise ConfigError(f"no spec makes '{name}'{nearest(name, [*self.specs, *self.graph.maker])}")
        return found


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a plan. `state`: cached, will (build), may (build: it depends on what comes out before it)."""

    spec: str
    evr: str
    state: str
    why: str


def plan(session: Session, names: Iterable[str]) -> list[Step]:
    """What a build of these specs would do, in an order in which it could be done. Builds nothing."""
    wanted = session.graph.closure(names)
    needs = {name: session.graph.needs[name] & wanted for name in wanted}
    done: dict[str, Built] = {}
    steps = []
    for name in topological(needs):
        spec = session.specs[name]
        missing = sorted(needs[name] - done.keys())
        if missing:
            steps.append(Step(spec=name, evr=spec.evr, state="may", why=f"after {', '.join(missing[:3])}"))
            continue
        key, inputs, _ = lookup(session.builder, spec, done)
        ready = load_built(session.store, name, key)
        if ready:
            done[name] = ready
            steps.append(Step(spec=name, evr=spec.evr, state="cached", why=key[:12]))
        else:
            steps.append(Step(spec=name, evr=spec.evr, state="will", why=reason(session, name, inputs)))
    return steps


def reason(session: Session, name: str, inputs: Mapping[str, Any]) -> str:
    """Why a spec has to be built: the inputs that differ from its last build, or that there was none."""
    from .keys import differences

    last = sorted(session.store.package(name, "x").parent.glob("*/build.json"), key=lambda path: path.stat().st_mtime)
    if not last:
        return "never built here"
    changed = differences(read_json(last[-1])["inputs"], inputs)
    return "; ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")


def topological(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names so that each comes after all it needs, alphabetical where there is a choice."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for other in sorted(needs[name]):
                visit(other)
            order.append(name)

    for name in sorted(needs):
        visit(name)
    return order


def build_packages(session: Session, names: Iterable[str], *, keep_going: bool = False) -> dict[str, Built]:
    """Build these specs and all they need; returns every result by spec.

    Raises the first error; what was built before it stays in the store.
    """
    wanted = session.graph.closure(names)
    needs = {name: session.graph.needs[name] & wanted for name in wanted}
    done: dict[str, Built] = {}
    costs = {name: session.costs[name].cpu_seconds for name in wanted}
    workers = min(8, session.jobs + 1, len(wanted) or 1)
    priority = levels(needs, costs)
    builder = session.builder
    with (
        session.reporter.phase("packages"),
        BuildView(session.reporter, costs, session.jobs) as view,
        prefetch(session, sorted(wanted, key=lambda name: -priority[name])),
    ):

        def job(name: str) -> None:
            view.start(name)
            started = time.time()
            clocked = time.monotonic()
            ok, cached = False, False
            try:
                done[name] = build(builder, session.specs[name], done)
                ok = True
                cached = (done[name].folder / "build.json").stat().st_mtime < started
            finally:
                view.finish(name, seconds=time.monotonic() - clocked, cached=cached, ok=ok)

        errors = run_graph(
            needs,
            job,
            workers=workers,
            priority=priority,
            keep_going=keep_going,
            on_interrupt=sandbox.end_all,
        )
    remember_costs(session, done)
    if errors:
        raise first_error(session, errors)
    if view.done > view.cached:
        session.reporter.info(f"{view.total} packages: {view.done - view.cached} built, {view.cached} from the store")
    return done


@contextlib.contextmanager
def prefetch(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Fetch the sources of specs that were never built here while others build, in this order.

    A failure is left to the build that needs the source: it tries again and reports it.
    """
    todo = [name for name in names if not session.store.package(name, "key").parent.exists()]
    entries = [(session.specs[name].folder, entry) for name in todo for entry in session.specs[name].fetched.sources]
    over = threading.Event()

    def work() -> None:
        while entries and not over.is_set() and not sandbox.ended():
            with contextlib.suppress(IndexError, PhotonbuildError):
                fetch(session.fetcher, *entries.pop(0))

    threads = [threading.Thread(target=work, name=f"fetch-{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def first_error(session: Session, errors: Mapping[str, BaseException]) -> BaseException:
    """The error to end with; all others are reported now."""
    *others, last = [errors[name] for name in sorted(errors)]
    for error in others:
        if isinstance(error, PhotonbuildError):
            session.reporter.error(error)
    return last


def remember_costs(session: Session, done: Mapping[str, Built]) -> None:
    path = session.store.root / "timings.json"
    known = read_json(path) if path.exists() else {}
    measured = {
        name: {"cpu_seconds": built.cpu_seconds, "scratch_bytes": built.scratch_bytes} for name, built in done.items()
    }
    fresh = known | measured
    if fresh != known:
        write_json(path, fresh)


def profile_specs(session: Session, profile: Profile) -> frozenset[str]:
    return wanted_specs(session.specs, session.graph, profile.packages, where=f"build/profiles/{profile.name}.yaml")


def repository(session: Session, done: Mapping[str, Built]) -> Path:
    """stage/repo: repodata over every package of these builds (debuginfo included), made only when they changed."""
    rpms = sorted(path for built in done.values() for path in (built.folder / "rpms").glob("*.rpm"))
    out = session.config.stage_dir / "repo"
    key = hashlib.sha256("\n".join(f"{b.spec} {b.key}" for _, b in sorted(done.items())).encode()).hexdigest()
    marker = session.config.stage_dir / ".repo.key"
    with session.reporter.phase("repository"):
        if not (out.exists() and marker.exists() and marker.read_text(encoding="utf-8") == key):
            session.config.stage_dir.mkdir(exist_ok=True)
            repo.make_repository(rpms, out, revision=session.config.distribution.source_date_epoch)
            marker.write_text(key, encoding="utf-8")
    return out


def make_image(session: Session, name: str, authorized_keys: Sequence[str]) -> tuple[images.ImageResult, int]:
    """An image and everything before it; returns the published files and the number of packages in it."""
    config = session.config
    image = config.image(name)
    profile, extra = config.profile(image.profile), config.profile(image.initramfs_profile)
    wanted = profile_specs(session, profile) | profile_specs(session, extra)
    done = build_packages(session, wanted)
    place = repository(session, done)
    with session.reporter.phase("solve"):
        install = solve.solve(place, profile.packages, arch=config.distribution.arch, where=profile.name)
        tools = solve.solve(place, extra.packages, arch=config.distribution.arch, where=extra.name)
    keys = tuple(dict.fromkeys([*image.authorized_keys, *config.user.authorized_keys, *authorized_keys]))
    key = image_key(session, name, [p.sha256 for p in install], [p.sha256 for p in tools], keys)
    cached = session.store.root / "images" / key
    with session.store.lock(f"image-{key[:32]}"):
        if not (cached / "result.json").exists():
            _make_image(session, name, [p.path for p in install], [p.path for p in tools], keys, cached)
    return _stage_image(session, cached), len(install)


def image_key(session: Session, name: str, install: Sequence[str], tools: Sequence[str], keys: Sequence[str]) -> str:
    """Digest of all that an image is made of: packages, settings, data files, and the code that makes it."""
    total = hashlib.sha256(session.seed.digest.encode())
    total.update(session.config.distribution.model_dump_json().encode())
    total.update(json.dumps([session.config.image(name).model_dump(mode="json"), install, tools, list(keys)]).encode())
    code = Path(__file__).parent
    for base in [*(code / part for part in IMAGE_CODE), session.config.build_dir / "dracut"]:
        for path in [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.suffix != ".pyc"):
            if path.is_file():
                total.update(f"{path.relative_to(base)}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def _make_image(
    session: Session, name: str, install: Sequence[Path], tools: Sequence[Path], keys: Sequence[str], final: Path
) -> None:
    config = session.config
    image = config.image(name)
    profile, extra = config.profile(image.profile), config.profile(image.initramfs_profile)
    log = session.store.root / "logs" / f"image-{name}.log"
    log.write_text("", encoding="utf-8")
    settings = RootfsSettings(
        source_date_epoch=config.distribution.source_date_epoch,
        hostname=config.distribution.id,
        authorized_keys=keys,
        exclude_docs=image.exclude_docs,
        exclude_paths=image.exclude_paths,
    )
    macros = [bind.source for bind in session.builder.macros]
    with session.store.staging() as work:
        for part in ("root", "image", "out"):
            (work / part).mkdir()
        with session.reporter.phase("root file system"):
            rootfs = build_rootfs(
                seed=session.seed.root,
                rpms=install,
                first=profile.first,
                settings=settings,
                macros=macros,
                workdir=work / "root",
                log=log,
            )
        with session.reporter.phase(f"{image.format} image"):
            result = images.FORMATS[image.format](
                images.ImageRequest(
                    image=image,
                    distribution=config.distribution,
                    seed=session.seed.root,
                    macros=macros,
                    rootfs=rootfs,
                    extra_rpms=tools,
                    extra_first=extra.first,
                    data=config.build_dir,
                    provenance={"build seed": session.seed.digest},
                    workdir=work / "image",
                    outdir=work / "out",
                    log=log,
                )
            )
        record = {
            "path": result.path.name,
            "checksum": result.checksum.name,
            "manifest": result.manifest.name,
            "sha256": result.sha256,
            "size": result.size,
            "seconds": dict(result.seconds),
        }
        write_json(work / "out" / "result.json", record)
        session.store.publish(work / "out", final)


def _stage_image(session: Session, cached: Path) -> images.ImageResult:
    """Put the store's copy of an image under stage/images, each file by rename."""
    record = read_json(cached / "result.json")
    outdir = session.config.stage_dir / "images"
    outdir.mkdir(parents=True, exist_ok=True)
    for kind in ("path", "checksum", "manifest"):
        source, target = cached / record[kind], outdir / record[kind]
        with contextlib.suppress(OSError):
            if target.samefile(source):
                continue
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    return images.ImageResult(
        path=outdir / record["path"],
        checksum=outdir / record["checksum"],
        manifest=outdir / record["manifest"],
        sha256=record["sha256"],
        size=record["size"],
        seconds=record["seconds"],
    )


def failed_root(session: Session, name: str) -> tuple[sandbox.Sandbox, bool]:
    """The build root of a package for looking around, with the state of its last failure if there is one."""
    from .rpmbuild import build_sandbox, stage_sources
    from .sandbox import Bind

    spec = session.spec(name)
    done = build_packages(session, session.graph.needs[spec.name])
    _, _, installed = lookup(session.builder, spec, done)
    failed = session.store.root / "failed" / spec.name / "build"
    binds = []
    if failed.exists():
        binds.append(Bind(failed, "/build", readonly=False))
    else:
        folder = session.store.root / "failed" / spec.name / "sources"
        if folder.exists():
            session.store.remove(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage_sources(session.builder, spec, folder)
        binds.append(Bind(folder, "/build/SOURCES", readonly=False))
    return build_sandbox(session.builder, installed.values(), binds), failed.exists()


def fetch_sources(session: Session, folders: Sequence[Path]) -> None:
    """Every source of these specs in the store, eight at a time; raises the first error after trying all."""
    entries = {
        f"{folder.name}/{entry.file}": (folder, entry)
        for folder in folders
        for entry in load_sources(folder, root=session.config.root).sources
    }
    with session.reporter.phase("sources"):
        errors = run_graph(
            dict.fromkeys(entries, ()),
            lambda name: void(fetch(session.fetcher, *entries[name])),
            workers=8,
            priority={},
            keep_going=True,
            on_interrupt=sandbox.end_all,
        )
    if errors:
        raise first_error(session, errors)
    session.reporter.info(f"{len(entries)} files are in the store")


def void(value: object) -> None:
    """For a function whose result is not wanted."""


def verify_sources(session: Session, folders: Sequence[Path]) -> int:
    """Number of stored sources, each with the right digest; raises SourceError for the first that is not."""
    count = 0
    for folder in folders:
        for entry in load_sources(folder, root=session.config.root).sources:
            path = stored(session.store, entry)
            if path.exists():
                if sha512_of(path) != entry.sha512:
                    raise SourceError(
                        f"{entry.file} in the store is damaged", where=str(path), hint="remove it, then fetch again"
                    )
                count += 1
    return count

"""What a seed is made of, fetched: its locked packages, accepted by digest, and its Go toolchain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from photonbuild.config.load import Config
from photonbuild.config.models import Seed
from photonbuild.errors import SandboxError, SourceError
from photonbuild.files import sha256_of
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.lock import Deb, resolve
from photonbuild.sources.certificates import certificate_binds
from photonbuild.sources.mirrors import archives_of, download, go_environment
from photonbuild.store import Store

Warn = Callable[[str], None]


def fetch_debs(
    config: Config, store: Store, seed: Seed, debs: Sequence[Deb], warn: Warn, *, locked: bool
) -> list[Path]:
    """Every package in the store, by digest, in the order given."""

    def fetch(deb: Deb) -> Path:
        target = store.use(store.root / "debs" / deb.sha256)
        if target.exists():
            if sha256_of(target) == deb.sha256:
                return target
            warn(f"{target.relative_to(store.root)} in the store is damaged; it is fetched again")
            store.discard(target)
        reasons = []
        for mirror in archives_of(deb.path, config.user.mirrors):
            with store.staging() as work:
                try:
                    download(f"{mirror}/{deb.path}", work / "deb", limit=deb.size)
                except SourceError as exc:
                    reasons.append(exc.message)
                    continue
                if sha256_of(work / "deb") != deb.sha256:
                    reasons.append(f"{mirror}/{deb.path}: wrong digest")
                    continue
                store.publish(work / "deb", target)
                return target
        if locked:
            raise SourceError(
                f"the archive no longer has {deb.path}",
                detail="\n".join(reasons),
                hint="photonbuild seed lock, or build without --locked",
            )
        current = resolve(config, seed, [deb.name], security=deb.path.startswith("pool/updates/"))[0]
        if current.path == deb.path:
            raise SourceError(f"cannot fetch {deb.path}", detail="\n".join(reasons))
        warn(f"the archive has dropped {deb.path}: going on with {current.path}, which is not the locked package")
        return fetch(current)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(fetch, debs))


def fetch_go(config: Config, store: Store, seed: Seed, root: Path, work: Path) -> Path:
    """Let the seed's own Go fetch the exact toolchain module, checked against the checksum database."""
    modules = work / "gomod"
    modules.mkdir()
    binds = [Bind(source=modules, target="/out", readonly=False, links=True), *certificate_binds()]
    env = {
        **go_environment(config.user.mirrors),
        "GOTOOLCHAIN": str(seed.go_toolchain),
        "GOMODCACHE": "/out",
        "GOFLAGS": "-modcacherw",
        "GOTELEMETRY": "off",
        "GOCACHE": "/tmp/go",
        "HOME": "/tmp",
    }
    sandbox = Sandbox(layers=[root], scratch=store.scratch, binds=binds, env=env, network=True)
    go = sorted(root.glob("usr/lib/go-*/bin/go"))
    if not go:
        raise SandboxError("the seed has no Go that could fetch the toolchain", where="build/seed.yaml")
    sandbox.run([f"/{go[-1].relative_to(root)}", "version"], error=SourceError)
    found = sorted(modules.glob("golang.org/toolchain@*"))
    if not found:
        raise SourceError(f"the Go module proxy did not yield {seed.go_toolchain}")
    return found[0]

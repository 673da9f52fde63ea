"""Buildbarn from its Go modules, of the versions in tests/cluster/engine, with the patches that its authors apply."""

from __future__ import annotations

from pathlib import Path

from photonbuild.files import sha256_of
from photonbuild.keys import key_of
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind
from photonbuild.sources.fetch import go_sandbox
from tests.support.native import LIMIT, ROOT, go_offline

ENGINE = ROOT / "tests" / "cluster" / "engine"
EXECUTION = "github.com/buildbarn/bb-remote-execution"
STORAGE = "github.com/buildbarn/bb-storage"
FUSE, STREAM = "github.com/hanwen/go-fuse/v2", "google.golang.org/genproto/googleapis/bytestream"
COMMANDS = (
    *(f"{EXECUTION}/cmd/{name}" for name in ("bb_runner", "bb_scheduler", "bb_worker")),
    f"{STORAGE}/cmd/bb_storage",
)
# The patches are in the modules' own archives; a vendored module lacks the files that nothing imports.
VENDOR = f"""
export GOMODCACHE=/modules GOFLAGS=-modcacherw
cp /engine/go.mod /engine/go.sum .
go mod vendor
folder() {{ go list -mod=mod -m -f '{{{{with .Replace}}}}{{{{.Dir}}}}{{{{else}}}}{{{{.Dir}}}}{{{{end}}}}' "$1"; }}
cp -r "$(folder {FUSE})/." vendor/{FUSE}/
for name in direntrylist-offsets-and-testability writeback-cache notify-testability; do
    patch -sf -p0 -d vendor/{FUSE} <"$(folder {EXECUTION})/patches/com_github_hanwen_go_fuse_v2/$name.diff"
done
patch -sf -p0 -d vendor/{STREAM} <"$(folder {STORAGE})/patches/org_golang_google_genproto_googleapis_bytestream/service-registrar.diff"
"""  # noqa: E501


def buildbarn(session: Session) -> Path:
    """The folder with bb_storage, bb_scheduler, bb_worker and bb_runner, built once: minutes."""
    key = key_of(
        {
            "seed": session.seed.digest,
            "how": VENDOR,
            **{path.name: sha256_of(path) for path in sorted(ENGINE.iterdir())},
        }
    )
    final = session.store.root / "go" / "buildbarn" / key
    with session.store.lock(f"go-{key[:32]}"), session.store.staging() as work:
        if final.exists():
            return final
        for name in ("module", "modules", "out"):
            (work / name).mkdir()
        binds = [
            Bind(ENGINE, "/engine"),
            Bind(work / "module", "/module", readonly=False, links=True),
            Bind(work / "modules", "/modules", readonly=False, links=True),
        ]
        go_sandbox(session.fetcher, binds).run(["bash", "-euc", VENDOR], cwd="/module", timeout=LIMIT)
        binds = [Bind(work / "module", "/module"), Bind(work / "out", "/out", readonly=False)]
        argv = ["env", "CGO_ENABLED=0", "GOFLAGS=-mod=vendor", "go", "build", "-trimpath", "-ldflags=-s -w"]
        sandbox = go_offline(session, work / "modules", binds)
        sandbox.run([*argv, "-o", "/out/", *COMMANDS], cwd="/module", timeout=LIMIT)
        session.store.publish(work / "out", final)
    return final

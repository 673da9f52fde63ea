"""Where the packages of a run are built: here, or on the workers of an engine that the user has named."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.config.models import Remote
from photonbuild.packages.buildroot import MOST_LAYERS, Builder
from photonbuild.packages.here import Run, run_here
from photonbuild.packages.package import Package
from photonbuild.packages.recheck import recheck
from photonbuild.packages.spec import Spec
from photonbuild.pipeline.session import Session
from photonbuild.run import Completed
from photonbuild.sandbox import process

CERTAIN = 1_000_000  # a share of builds is drawn in millionths


@contextlib.contextmanager
def places(
    session: Session, priority: Mapping[str, float], workers: int
) -> Iterator[tuple[Run, int, Callable[[], None]]]:
    """(what runs a build, how many at once, what ends them all). Without an engine: here, `workers` at once.

    Raises ConfigError, RemoteError when the engine that is to be used cannot be.
    """
    remote = session.config.user.remote
    if remote is None:
        yield run_here, workers, process.end_all
        return
    # Takes a third of a second to import.
    from photonbuild.packages.there import There
    from photonbuild.remote.endpoint import endpoint
    from photonbuild.remote.engine import engine

    server = endpoint(
        remote.address, authority=_path(remote.authority), certificate=_path(remote.certificate), key=_path(remote.key),
        token_file=_path(remote.token_file),
    )  # fmt: skip
    with engine(server, remote.platform) as found:
        there = There(
            engine=found,
            priority=priority,
            costs=session.shared_costs,
            said=session.reporter.warn,
            reading=threading.Semaphore(session.jobs),
        )
        both = Both(there=there.run, workers=there.workers, remote=remote)

        def end() -> None:
            process.end_all()
            found.connection.close()

        yield both.run, remote.jobs + remote.local_jobs, end
        traffic = found.connection.traffic
        session.reporter.detail(
            f"{server.address}: {len(there.workers)} builds by {len(set(there.workers.values()))} workers; "
            f"{traffic.up / 1e6:.1f} MB up, {traffic.down / 1e6:.1f} MB down, {traffic.calls} calls"
        )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name).expanduser()


@dataclass(kw_only=True)
class Both:
    """Builds here and there: here as many as the user wants and what no worker can do, there all else.

    `workers`: who built what. A share of what was built there is built here again, and compared.
    """

    there: Run
    workers: Mapping[str, str]
    remote: Remote
    _here: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._here = threading.Semaphore(max(1, self.remote.local_jobs))

    def run(self, builder: Builder, spec: Spec, installed: Mapping[str, Package], work: Path, log: Path) -> Completed:
        # More than an overlay takes are merged, which a worker does not.
        only_here = len(installed) + len(builder.layers_of(spec)) >= MOST_LAYERS
        if (only_here or self.remote.local_jobs) and self._here.acquire(blocking=only_here):
            try:
                return run_here(builder, spec, installed, work, log)
            finally:
                self._here.release()
        done = self.there(builder, spec, installed, work, log)
        if not done.returncode and secrets.randbelow(CERTAIN) < self.remote.share * CERTAIN:
            with self._here:
                recheck(builder, spec, installed, work, worker=self.workers[spec.name])
        return done

"""Garden's own integration tests, told again: `internal/gdn/gardensuite` of src/go, run beside the server.

Their client speaks HTTP as Garden's own does, with the persistent connections of Go's net/http/httputil. Which case of
Garden's is which of ours, and which differ: docs/internals/garden-suite.md.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.machines.guest import left_behind, traces
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support.garden_lab import SOCKET, Lab
from tests.support.machines import Guest
from tests.support.native import Go

pytestmark = [pytest.mark.boot, pytest.mark.long]

FOLDER = "/root/suite"
# A file system with id-mapped mounts: folders there are not copied for each container.
ROOTS = "/run/garden-suite"
DEBUG = "127.0.0.1:17013"
LIMIT = 1800.0
# So that nobody mistakes a suite that was cut short for one that passed.
FEWEST = 150


@pytest.fixture(scope="module")
def suite(guest: Guest, configuration: Config, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command of the suite in the machine."""
    go = Go(Session(config=configuration, store=store, reporter=Reporter()))
    program = go.tests_of("./internal/gdn/gardensuite", "garden", tmp_path_factory.mktemp("suite"))
    guest.ssh(f"rm -rf {FOLDER} && mkdir {FOLDER}")
    for name, content in (("suite", program.read_bytes()), ("busybox", guest.busybox.read_bytes())):
        guest.ssh(f"gzip -d > {FOLDER}/{name} && chmod 755 {FOLDER}/{name}", input=gzip.compress(content, 1))
    told = {"SOCKET": SOCKET, "BUSYBOX": f"{FOLDER}/busybox", "FOLDER": ROOTS, "DEBUG": DEBUG}
    yield " ".join(["env", *(f"GARDEN_{name}={value}" for name, value in told.items()), f"{FOLDER}/suite -test.v"])
    guest.ssh(f"rm -rf {FOLDER} {ROOTS}")


def test_gardens_own_cases(lab: Lab, suite: str) -> None:
    host, _, port = DEBUG.partition(":")
    before = traces(lab.guest.config)
    with lab.server_options(f"--debug-bind-ip={host}", f"--debug-bind-port={port}"):
        done = lab.guest.ssh(f"cd {FOLDER} && {suite}", check=False, timeout=LIMIT)
    results = re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.MULTILINE)
    assert [name for result, name in results if result != "PASS"] == [], done.stdout[-20000:]
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert len(results) >= FEWEST
    assert left_behind(lab.guest.config, before) == []

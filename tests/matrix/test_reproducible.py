"""Every format twice, in two checkout folders: the same bytes in every file."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.files import sha256_of
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.image import make_image
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store
from tests.matrix.conftest import ROOT, Variant, session_of

pytestmark = pytest.mark.matrix

NAMES = sorted(path.stem for path in (ROOT / "build" / "images").glob("*.yaml"))
AGAIN = """
import sys
from pathlib import Path
from photonbuild.log import Reporter
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
root, store, name, fresh = map(Path, sys.argv[1:])
session = Session(config=load_config(root), store=Store(store), reporter=Reporter())
make_image(session, str(name), [], fresh=fresh)
"""


def elsewhere(checkout: Path, store: Store, name: str, fresh: Path) -> None:
    """Make the image anew, by the code and the data of another checkout."""
    argv = [sys.executable, "-c", AGAIN, str(checkout), str(store.root), name, str(fresh)]
    env = {**os.environ, "PYTHONPATH": str(checkout), "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    done = subprocess.run(argv, env=env, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def digests(folder: Path) -> dict[str, str]:
    """Of the files that are published; the store's own records, one of which has times, lie beside them."""
    records = ("result.json", "inputs.json")
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name not in records}


@contextlib.contextmanager
def fresh_folder(store: Store) -> Iterator[Path]:
    with store.staging() as folder:
        yield folder


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes(name: str, configuration: Config, store: Store, checkout: Path) -> None:
    first, _ = make_image(session_of(configuration, store), name, [])
    with fresh_folder(store) as folder:
        elsewhere(checkout, store, name, folder)
        again = digests(folder / "image")
    files = [first.path, first.checksum, first.manifest, *first.extras]
    assert again == {path.name: sha256_of(path) for path in files}


@pytest.mark.parametrize("disk", [{"filesystem": "xfs"}, {"var": True, "root_size": "1 GiB", "filesystem": "xfs"}])
def test_the_same_bytes_with_xfs(disk: dict[str, object], variant: Variant, checkout: Path, store: Store) -> None:
    first = variant("raw", disk=disk)
    name = "raw" + first.name.removesuffix(".raw").removeprefix(load_config(checkout).distribution.prefix)
    with fresh_folder(store) as folder:
        elsewhere(checkout, store, name, folder)
        assert digests(folder / "image")[first.name] == sha256_of(first)


def test_the_disk_in_the_vmdk_is_the_disk(configuration: Config, store: Store, machine_seed: Path) -> None:
    """Of the image that publishes both."""
    result, _ = make_image(session_of(configuration, store), "ami", [])
    streamed = next(path for path in result.extras if path.suffix == ".vmdk")
    sandbox = Sandbox(
        layers=[machine_seed],
        scratch=store.scratch,
        binds=[Bind(result.path, "/disk.raw"), Bind(streamed, "/disk.vmdk")],
    )
    done = sandbox.run(["qemu-img", "compare", "-f", "raw", "-F", "vmdk", "/disk.raw", "/disk.vmdk"])
    assert "Images are identical" in done.stdout

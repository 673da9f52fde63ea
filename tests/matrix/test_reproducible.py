"""Every format twice: in two checkout folders, on a disk's file system and on a tmpfs; the same bytes in every file.

The packages are the same: none is built a second time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
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
MEMORY = 4 << 30  # what the files of one image take while it is made
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
    """Of the files that are published; the store's own records, two of which have times, lie beside them."""
    records = ("result.json", "inputs.json", "contents.json", "contents.boot")
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name not in records}


@pytest.fixture(scope="module")
def in_memory(store: Store) -> Iterator[Store]:
    """A store on a tmpfs, by default /dev/shm: finished work is that of the other store, all work is done in memory."""
    place = Path(os.environ.get("PHOTONBUILD_TMPFS") or "/dev/shm")
    kind = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True, check=True).stdout.strip()
    if kind != "tmpfs" or shutil.disk_usage(place).free < MEMORY:
        pytest.fail(f"{place} is no tmpfs of {MEMORY >> 30} GiB: PHOTONBUILD_TMPFS names another", pytrace=False)
    with tempfile.TemporaryDirectory(prefix="photonbuild-", dir=place) as folder:
        made = Store(Path(folder))
        for name in ("tmp", "mnt"):
            (made.root / name).mkdir()
        for path in store.root.iterdir():
            if not (made.root / path.name).exists():
                (made.root / path.name).symlink_to(path)
        assert made.root.stat().st_dev != (store.root / "tmp").stat().st_dev
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes(name: str, configuration: Config, store: Store, in_memory: Store, checkout: Path) -> None:
    first, _ = make_image(session_of(configuration, store), name, [])
    with in_memory.staging() as folder:
        elsewhere(checkout, in_memory, name, folder)
        again = digests(folder / "image")
    files = [first.path, first.checksum, first.manifest, *first.extras]
    assert again == {path.name: sha256_of(path) for path in files}


@pytest.mark.parametrize("disk", [{"filesystem": "xfs"}, {"var": True, "root_size": "1 GiB", "filesystem": "xfs"}])
def test_the_same_bytes_with_xfs(disk: dict[str, object], variant: Variant, checkout: Path, in_memory: Store) -> None:
    first = variant("raw", disk=disk)
    name = "raw" + first.name.removesuffix(".raw").removeprefix(load_config(checkout).distribution.prefix)
    with in_memory.staging() as folder:
        elsewhere(checkout, in_memory, name, folder)
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

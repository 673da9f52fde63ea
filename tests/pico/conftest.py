"""The store, the seeds and the ISO, as the boot tests have them; images, and a pico of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.load import Config
from photonbuild.store import Store
from tests.support import oci_images
from tests.support.oci_images import busybox_root, docker_archive, file, layer, oci_layout
from tests.support.pico_command import PicoCommand

WORDS = """
    sh cat chmod chown cut date dd echo env false free grep head hostname httpd id ip kill ln ls md5sum mkdir mount nc
    nslookup od ps pwd rm seq sleep sort stat stty tail tee touch tr trap true tty uname wc wget yes
"""
APPLETS = WORDS.split()
CONFIG: dict[str, Any] = {
    "Cmd": ["/bin/sh"],
    "Env": ["PATH=/bin", "FROM_IMAGE=yes"],
    "Labels": {"a": "b"},
}


@pytest.fixture(scope="session")
def images(machine_seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the image ``box`` as an OCI layout and as a docker archive."""
    folder = tmp_path_factory.mktemp("images")
    layers = [
        layer(busybox_root((machine_seed / "usr/bin/busybox").read_bytes(), APPLETS)),
        layer([file("etc/second", b"of the second layer\n"), file("home/user/own", b"mine\n", uid=1000, gid=1000)]),
    ]
    oci_layout(folder / "box", layers, oci_images.configuration(layers, **CONFIG))
    docker_archive(folder / "box.tar", layers, oci_images.configuration(layers, **CONFIG), name="box:latest")
    with_entry = oci_images.configuration(
        layers, Entrypoint=["/bin/echo", "entry"], Cmd=["default"], User="user", WorkingDir="/home/user"
    )
    oci_layout(folder / "entry", layers, with_entry)
    oci_layout(folder / "nothing", layers, oci_images.configuration(layers))
    return folder


@pytest.fixture(scope="session")
def pico(store: Store, configuration: Config) -> Iterator[PicoCommand]:
    if not any((configuration.stage_dir / "images").glob("*-pico.vmlinux")):
        pytest.fail("there is no pico kernel: make pico", pytrace=False)
    with store.staging() as work:
        made = PicoCommand(work / "pico", store.root)
        yield made
        made.end()


@pytest.fixture
def box(pico: PicoCommand, images: Path) -> Iterator[Path]:
    """The image; machines of a test are gone afterwards."""
    before = set(pico.ps())
    yield images / "box"
    for name, row in pico.ps().items():
        if name not in before and row["state"] != "spare":
            pico.call("rm", "-f", row["id"])

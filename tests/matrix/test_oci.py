"""The base image for containers: every digest of its layout, and Docker of a booted machine that loads and runs it."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.load import Config
from photonbuild.images.formats.oci import OciImage
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.pipeline.image import make_image
from photonbuild.store import Store
from tests.matrix.conftest import session_of
from tests.support.published import wait_for_boot

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def image(configuration: Config, store: Store) -> Path:
    return make_image(session_of(configuration, store), "oci", [])[0].path


class Layout:
    """An OCI image layout in a tar; whatever is read by its descriptor must be what that says."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            self.files = {member.name: self.content(archive, member) for member in archive}

    @staticmethod
    def content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        file = archive.extractfile(member)
        assert file is not None, f"{member.name} is no regular file"
        return file.read()

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        data = self.files[f"blobs/{algorithm}/{digest}"]
        assert algorithm == "sha256" and hashlib.sha256(data).hexdigest() == digest
        assert len(data) == descriptor["size"]
        return data


def test_the_layout(image: Path, configuration: Config) -> None:
    """image-spec 1.1: layout, index, manifest, configuration, layer."""
    layout = Layout(image)
    assert json.loads(layout.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(layout.files["index.json"])
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    (entry,) = index["manifests"]
    distribution = configuration.distribution
    name = f"localhost/{distribution.id}:{distribution.version}"
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == name
    manifest = json.loads(layout.blob(entry))
    assert manifest["mediaType"] == entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    settings = json.loads(layout.blob(manifest["config"]))
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    data = gzip.decompress(layout.blob(layer))
    assert settings["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]}
    assert (settings["os"], settings["architecture"]) == ("linux", "amd64")
    wanted = {descriptor["digest"].replace(":", "/") for descriptor in (entry, manifest["config"], layer)}
    assert set(layout.files) == {"oci-layout", "index.json", *(f"blobs/{name}" for name in wanted)}


def test_docker_loads_and_runs_it(image: Path, configuration: Config, store: Store, machine_seed: Path) -> None:
    settings = configuration.image("oci")
    assert isinstance(settings, OciImage)
    host = make_image(session_of(configuration, store), "raw", [])[0].path
    with (
        boot_drive(host) as plugged,
        Machine(
            Hardware(boot_drive=plugged, accel=best_accel(machine_seed, store.scratch)),
            seed=machine_seed,
            scratch=store.scratch,
        ) as machine,
    ):
        wait_for_boot(machine)
        machine.ssh("cat > /root/image.tar", input=image.read_bytes())
        loaded = machine.ssh("docker load --quiet --input /root/image.tar", timeout=300).stdout
        name = f"localhost/{configuration.distribution.id}:{configuration.distribution.version}"
        assert loaded == f"Loaded image: {name}\n"
        said = machine.ssh(f"docker run --rm {name} {settings.command[0]} -c '. /etc/os-release; echo $ID $VERSION_ID'")
        assert said.stdout == f"{configuration.distribution.id} {configuration.distribution.version}\n"
        assert "bash" in machine.ssh(f"echo 'echo $0' | docker run --rm -i {name}").stdout
        assert machine.ssh(f"docker run --rm {name} curl --version").stdout.startswith("curl ")
        machine.shut_down()

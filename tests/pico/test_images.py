"""Images from everywhere, and whatever else can be wrong before a machine runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from pico.cli.options import MOST_MEMORY
from pico.vm import memory
from tests.pico.conftest import APPLETS
from tests.support.oci_images import configuration, file, layer, oci_layout
from tests.support.pico_command import PicoCommand
from tests.support.registry import box_repository, registry

pytestmark = pytest.mark.boot


def test_both_forms_of_an_image_are_one(pico: PicoCommand, box: Path, images: Path) -> None:
    pico.ok("pull", box)
    assert pico.ok("run", "--rm", images / "box.tar", "cat", "/etc/second") == "of the second layer\n"
    assert len({line.split()[0] for line in pico.ok("images").splitlines()[1:] if "box" in line}) == 1
    assert pico.ok("run", "--rm", "box", "echo", "by name") == "by name\n"


def test_images_are_removed(pico: PicoCommand, box: Path, images: Path) -> None:
    pico.ok("run", "-d", "--name", "holder", "--entrypoint", "sleep", images / "entry", "600")
    assert "is run by holder" in pico.fails(125, "rmi", images / "entry")
    pico.ok("rm", "-f", "holder")
    assert "entry" in pico.ok("rmi", images / "entry")
    assert "/entry" not in pico.ok("images")


def test_bad_input(pico: PicoCommand, box: Path, tmp_path: Path) -> None:
    tar = layer([file("a", b"a")])
    oci_layout(tmp_path / "arm", [tar], configuration([tar], architecture="arm64"))
    assert "is for linux/arm64" in pico.fails(125, "run", tmp_path / "arm")
    oci_layout(tmp_path / "damaged", [tar], configuration([tar], Cmd=["a"]))
    for blob in (tmp_path / "damaged/blobs/sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(blob.read_bytes()[:-9])
    assert "damaged layer" in pico.fails(125, "run", tmp_path / "damaged")
    assert "no such file" in pico.fails(125, "run", "./missing")
    assert "there is no image" in pico.fails(125, "run", "missing")
    assert "no size of memory" in pico.fails(125, "run", "--memory", "lots", box)
    assert "40 to 65536 MiB" in pico.fails(125, "run", "--memory", "1m", box)
    assert "there is no machine" in pico.fails(125, "logs", "missing")
    assert "error:" in pico.fails(125, "run")
    (index,) = json.loads((tmp_path / "arm/index.json").read_text())["manifests"]
    manifest = tmp_path / "arm/blobs" / index["digest"].replace(":", "/")
    without = json.dumps({key: value for key, value in json.loads(manifest.read_text()).items() if key != "config"})
    digest = hashlib.sha256(without.encode()).hexdigest()
    manifest.with_name(digest).write_text(without)
    index["digest"] = f"sha256:{digest}"
    (tmp_path / "arm/index.json").write_text(json.dumps({"manifests": [index]}))
    assert "the image has no configuration" in pico.fails(125, "run", tmp_path / "arm")
    assert not list((pico.folder / "machines").iterdir())


def test_no_memory(pico: PicoCommand, box: Path) -> None:
    total, _ = memory.of_host()
    if total < MOST_MEMORY:
        assert "no memory for a machine of" in pico.fails(125, "run", "--memory", f"{total + 1}m", box)
    # The host gives QEMU less than the machine is to have.
    words = pico.argv("run", "--cold", "--memory", "2g", box)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 1500000; exec "$@"', "sh", *words], env=pico.env, capture_output=True, check=False
    )
    assert done.returncode == 125
    assert b"Cannot allocate memory" in done.stderr
    assert all(row["state"] == "spare" for row in pico.ps().values())
    assert not list((pico.folder / "machines").iterdir())


def test_no_qemu(pico: PicoCommand, box: Path, tmp_path: Path) -> None:
    pico.ok("pull", box)
    pico.ok("template")
    (known,) = pico.folder.glob("host-*.json")
    before = known.read_text()
    known.write_text(json.dumps({**json.loads(before), "seed": str(tmp_path)}))
    said = pico.fails(125, "run", "--no-spare", box, "true")
    known.write_text(before)
    assert "there is no QEMU in the machine seed" in said
    assert "hint: photonbuild seed build machine" in said
    assert not list((pico.folder / "machines").iterdir())


def test_no_kernel(pico: PicoCommand, box: Path, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "build").symlink_to(Path(__file__).resolve().parents[2] / "build")
    (root / "specs").symlink_to(Path(__file__).resolve().parents[2] / "specs")
    said = pico.fails(125, "--root", root, "run", box)
    assert "there is no kernel for pico machines" in said
    assert "hint: make pico" in said


@pytest.mark.long
def test_pulled_from_a_registry(pico: PicoCommand, box: Path, machine_seed: Path) -> None:
    repository = box_repository(machine_seed / "usr/bin/busybox", APPLETS)
    with registry({"box": repository}) as served:
        name = f"127.0.0.1:{served.port}/box:{next(tag for tag in repository.manifests if ':' not in tag)}"
        assert "--tls-verify=false" in pico.fails(125, "pull", name)
        pico.ok("pull", "--tls-verify", "false", name)
        assert pico.ok("run", "--rm", name, "echo", "pulled") == "pulled\n"
        asked = len(served.asked)
        pico.ok("run", "--rm", "--pull", "missing", name, "true")
        assert len(served.asked) == asked, "what is here is not asked for again"
        layers = [path.name for path in (pico.folder / "blobs/sha256").iterdir() if path.stat().st_size > 1 << 16]
        assert layers
        pico.ok("run", "--rm", "--pull", "always", "--tls-verify", "false", name, "true")
        again = " ".join(map(str, served.asked[asked:]))
        assert "/manifests/" in again
        assert not [digest for digest in layers if f"GET /v2/box/blobs/sha256:{digest}" in again], "layers are kept"
        missing = f"127.0.0.1:{served.port}/none:1"
        assert "cannot pull" in pico.fails(125, "run", "--tls-verify", "false", missing)
    assert "never" not in pico.ok("run", "--rm", "--pull", "never", name, "echo", "kept")
    pico.ok("rmi", name)
    assert "layers of images that are gone" in pico.ok("gc")


def test_the_distributions_own_image(pico: PicoCommand, box: Path, configuration: Config) -> None:
    image = configuration.stage_dir / "images" / f"{configuration.distribution.prefix}.oci.tar"
    if not image.is_file():
        pytest.fail(f"{image} does not exist: make oci", pytrace=False)
    text = pico.ok("run", "--rm", image, "bash", "-c", ". /etc/os-release; echo $ID $VERSION_ID; exit 0")
    assert text.split() == [configuration.distribution.id, configuration.distribution.version]
    assert pico.call("run", "--rm", image, "bash", "-c", "exit 12").code == 12

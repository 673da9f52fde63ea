"""One disk in all the forms that hypervisors and clouds take, by the real tools: each is that disk, byte for byte."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.models import DiskImage, Signing
from photonbuild.errors import ConfigError
from photonbuild.files import sha256_of, write_json
from photonbuild.images.formats import FORMATS
from photonbuild.images.publish import ImageResult
from photonbuild.images.request import ImageRequest, disk_request
from photonbuild.images.sign import Signer, sign_image, signer
from photonbuild.log import Reporter
from photonbuild.machines.clouds import ovf
from photonbuild.machines.drive import boot_drive
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.run import run
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, STORE
from tests.support.image_requests import image_request
from tests.support.native import by_govmomi
from tests.support.ova_rules import package_problems

pytestmark = pytest.mark.integration

MIB, GIB = 1 << 20, 1 << 30
Make = Callable[..., ImageResult]


@pytest.fixture(scope="module")
def session(seeded_store: Path) -> Session:
    return Session(config=load_config(PROJECT), store=Store.open(STORE), reporter=Reporter())


@pytest.fixture
def make(tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Publish the image `name` of a disk with some data, which is kept in ``disk.raw`` of the test's folder.

    With `dense` its zeros lie on the disk, as on a file system that knows no holes.
    """
    without_holes = False

    def raw(request: ImageRequest, seconds: dict[str, float]) -> Path:
        assert isinstance(request.image, DiskImage)
        for each in request.image.disk.disks:
            further = disk_request(request, each.name).folder / "disk.raw"
            with further.open("wb") as handle:
                handle.truncate(each.size)
                handle.seek(3 * MIB)
                handle.write(random.Random(f"{request.identity} {each.name}").randbytes(5000))
            run(["cp", "--sparse=always", further, tmp_path / f"{each.name}.raw"])
        path, some = request.folder / "disk.raw", random.Random(request.identity)
        with path.open("wb") as handle:
            handle.truncate(request.image.disk.size)
            for place in (0, 5 * MIB + 512, GIB // 2 - 4096, request.image.disk.size - 512):
                handle.seek(place)
                handle.write(some.randbytes(64) * 8 * (1 if place else 6144))
        if without_holes:
            run(["cp", "--sparse=never", path, tmp_path / "dense"])
            assert (tmp_path / "dense").stat().st_blocks * 512 >= request.image.disk.size
            (tmp_path / "dense").rename(path)
        run(["cp", "--sparse=always", path, tmp_path / "disk.raw"])
        return path

    for found in FORMATS.values():
        if issubclass(found.model, DiskImage):
            monkeypatch.setattr(f"{found.build.__module__}.make_raw", raw)

    def made(
        name: str,
        folder: str = "out",
        identity: str = "0123456789abcdef",
        *,
        dense: bool = False,
        disks: Sequence[Mapping[str, str]] = (),
    ) -> ImageResult:
        nonlocal without_holes
        without_holes = dense
        work = tmp_path / f"work-{folder}"
        image = session.config.image(name).model_dump(mode="json")
        image["disk"] |= {"size": "1 GiB", **({"disks": disks} if disks else {})}
        for path in (tmp_path / "nothing", work):
            path.mkdir(exist_ok=True)
        (work / "root.tar").touch()
        found = FORMATS[name]
        request = image_request(
            work, found.model.model_validate_json(json.dumps(image)), seed=session.seed.root,
            machine_seed=session.machine_seed.root if found.machine_seed else None, loader=tmp_path / "nothing",
            identity=identity, outdir=tmp_path / folder,
        )  # fmt: skip
        result = found.build(request)
        stem = f"{request.distribution.prefix}{request.image.variant}"
        wanted = [f"{stem}{suffix}" for suffix in (found.suffix, *found.extras)]
        wanted += [file for disk in disks for file in found.names(stem, disk["name"])]
        assert sorted(path.name for path in (result.path, *result.extras)) == sorted(wanted)
        return result

    return made


def qemu_img(session: Session, tmp_path: Path, *words: str) -> str:
    binds = [Bind(tmp_path, "/test")]
    sandbox = Sandbox(layers=[session.machine_seed.root], scratch=session.store.scratch, binds=binds)
    return sandbox.run(["qemu-img", *words]).stdout


def compare(session: Session, tmp_path: Path, form: str, path: Path) -> None:
    inside = f"/test/{path.relative_to(tmp_path)}"
    said = qemu_img(session, tmp_path, "compare", "-f", "raw", "-F", form, "/test/disk.raw", inside)
    assert said == "Images are identical.\n"
    facts: dict[str, Any] = json.loads(qemu_img(session, tmp_path, "info", "--output=json", "-f", form, inside))
    assert facts["virtual-size"] == GIB


DISKS = [{"name": "data", "size": "1 GiB"}, {"name": "more", "size": "1 GiB"}]


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.long) for name in ("ami", "azure", "gce", "ova", "raw")), "qcow2"]
)
def test_further_disks(make: Make, session: Session, tmp_path: Path, name: str) -> None:
    """Each is that disk, byte for byte; twice the same; the manifest and the checksums have what lies apart."""
    result, again = make(name, disks=DISKS), make(name, "again", disks=DISKS)
    for one, other in zip((result.path, *result.extras), (again.path, *again.extras), strict=True):
        assert one.name == other.name and sha256_of(one) == sha256_of(other)
    (tmp_path / "first.raw").hardlink_to(tmp_path / "disk.raw")
    with boot_drive(result.path) as drive:
        for source, each in zip(("first", "data", "more"), (drive, *drive.further), strict=True):
            inside = tmp_path / "drive"
            inside.unlink(missing_ok=True)
            shutil.copyfile(each.file, inside)
            words = ["-f", "raw", "-F", each.format, f"/test/{source}.raw", "/test/drive"]
            assert qemu_img(session, tmp_path, "compare", *words) == "Images are identical.\n"
    listed = json.loads(result.manifest.read_text(encoding="utf-8")).get("disks", [])
    lines = [line.split() for line in result.checksum.read_text(encoding="utf-8").splitlines()]
    if name == "ova":
        assert listed == [] and len(lines) == 1
        assert package_problems(result.path) == []
        devices = by_govmomi(session, result.path, {})["Machine"]["Devices"]
        assert devices.count("*types.VirtualDisk") == 3
        return
    assert [disk["name"] for disk in listed] == ["data", "more"]
    assert lines == [[sha256_of(result.path.with_name(file)), file] for _, file in lines]
    assert [file for _, file in lines] == [result.path.name, *(disk["file"] for disk in listed)]
    if name == "ami":
        imports = [path for path in result.extras if path.name.endswith(".import.json")]
        keys = {json.loads(path.read_text())["UserBucket"]["S3Key"] for path in imports}
        assert keys == {path.name for path in result.extras if path.suffix == ".vmdk"} and len(keys) == 3


def test_qcow2(make: Make, session: Session, tmp_path: Path) -> None:
    result = make("qcow2")
    compare(session, tmp_path, "qcow2", result.path)
    facts = json.loads(qemu_img(session, tmp_path, "check", "--output=json", f"/test/out/{result.path.name}"))
    assert facts["compressed-clusters"] == facts["allocated-clusters"] > 0


def test_vhd(make: Make, session: Session, tmp_path: Path) -> None:
    result = make("azure")
    compare(session, tmp_path, "vpc", result.path)
    size = result.path.stat().st_size - 512
    assert size % MIB == 0
    with result.path.open("rb") as handle:
        handle.seek(size)
        footer = handle.read()
    cookie, features, version, offset = struct.unpack_from(">8sIIQ", footer)
    assert (cookie, features, version, offset) == (b"conectix", 2, 0x10000, 2**64 - 1)
    assert struct.unpack_from(">QQ", footer, 40) == (size, size)
    assert sum(footer[:64] + footer[68:]) & 0xFFFFFFFF == ~struct.unpack_from(">I", footer, 64)[0] & 0xFFFFFFFF
    cylinders, heads, sectors = struct.unpack_from(">HBB", footer, 56)
    assert 0 <= size // 512 - cylinders * heads * sectors < heads * sectors, "the geometry is not that of the size"
    generations = [entry["hyperVGeneration"] for entry in json.loads(result.extras[0].read_text())]
    assert generations == ["V1", "V2"]


def test_gce(make: Make, tmp_path: Path) -> None:
    result = make("gce")
    with tarfile.open(result.path) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.size % GIB, member.uid, member.mode) == ("disk.raw", 0, 0, 0o644)
        archive.extract(member, tmp_path / "taken", filter="data")
    assert sha256_of(tmp_path / "taken/disk.raw") == sha256_of(tmp_path / "disk.raw")
    with tarfile.open(result.path) as archive:
        content = archive.fileobj
        assert content is not None
        content.seek(257)
        assert content.read(8) == b"ustar  \0", "not GNU's old format"


def test_ami(make: Make, session: Session, tmp_path: Path) -> None:
    result = make("ami")
    streamed, description = sorted(result.extras, key=lambda path: path.suffix, reverse=True)
    compare(session, tmp_path, "vmdk", streamed)
    assert sha256_of(result.path) == sha256_of(tmp_path / "disk.raw")
    facts = json.loads(description.read_text())
    assert facts["Format"] == "VMDK" and facts["UserBucket"]["S3Key"] == streamed.name


def test_ova(make: Make, session: Session, tmp_path: Path) -> None:
    result = make("ova")
    assert package_problems(result.path) == []
    with tarfile.open(result.path) as archive:
        name = next(name for name in archive.getnames() if name.endswith(".vmdk"))
        archive.extract(name, tmp_path, filter="data")
    compare(session, tmp_path, "vmdk", tmp_path / name)


def test_vmwares_own_reader_takes_the_appliance(make: Make, session: Session) -> None:
    """Every device of it, and every property under the key that cloud-init looks for."""
    image, filled_in = make("ova").path, {"hostname": "a<b>&c", "instance-id": "1", "user-data": "eA=="}
    found = by_govmomi(session, image, filled_in)
    assert found["Unknown"] is None
    assert found["Properties"]["instance-id"] == "iid-ovf"
    machine = found["Machine"]
    assert (machine["Processors"], machine["MemoryMB"], machine["Family"]) == (2, 2048, "vmx-14")
    devices = ["ParaVirtualSCSIController", "VirtualDisk", "VirtualVmxnet3"]
    assert machine["Devices"] == [f"*types.{name}" for name in devices]
    ours = ovf.environment_values(ovf.descriptor(image), filled_in)
    name = "{http://schemas.dmtf.org/ovf/environment/1}"
    theirs = ElementTree.fromstring(found["Environment"]).findall(f"{name}PropertySection/{name}Property")
    assert {entry.attrib[f"{name}key"]: entry.attrib[f"{name}value"] for entry in theirs} == ours


@pytest.mark.parametrize(
    "name",
    # Those that are made of the raw disk take as long, and differ little from it.
    [*(pytest.param(name, marks=pytest.mark.long) for name in ("ami", "azure", "raw")), "gce", "ova", "qcow2"],
)
def test_the_same_twice_and_another_for_other_content(make: Make, name: str) -> None:
    def digests(result: ImageResult) -> dict[str, str]:
        return {path.name: sha256_of(path) for path in (result.path, result.checksum, *result.extras)}

    one, same, other = (digests(make(name, folder, identity)) for folder, identity in zip("abc", "112", strict=True))
    assert one == same
    assert one.keys() == other.keys() and one != other
    assert digests(make(name, "dense", "1", dense=True)) == one


@pytest.fixture
def signing(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, session: Session) -> Signer:
    """A new key with a certificate of its own."""
    keys = tmp_path_factory.mktemp("keys")
    seed, scratch = session.seed.root, session.store.scratch
    sandbox = Sandbox(layers=[seed], scratch=scratch, binds=[Bind(tmp_path, "/test", readonly=False)])
    for name in ("key", "other"):
        words = ["-subj", "/CN=test", "-keyout", f"/test/{name}.pem", "-out", f"/test/{name}.crt"]
        sandbox.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *words])
        shutil.copyfile(tmp_path / f"{name}.pem", keys / f"{name}.pem")  # the user's, not a sandbox's
        os.chmod(keys / f"{name}.pem", 0o600)
    chosen = Signing(key=str(keys / "key.pem"), certificate=str(tmp_path / "key.crt"))
    return signer(chosen, seed=seed, scratch=scratch, work=tmp_path)


def test_a_signed_appliance(make: Make, signing: Signer, tmp_path: Path) -> None:
    result = make("ova")
    record = {name: getattr(result, name).name for name in ("path", "checksum", "manifest")}
    record |= {"sha256": result.sha256, "size": result.size, "seconds": {}, "extras": []}
    write_json(tmp_path / "out" / "result.json", record)
    for folder in ("signed", "again"):
        sign_image(tmp_path / "out", tmp_path / folder, signing)
    image = tmp_path / "signed" / result.path.name
    assert package_problems(image) == []
    with tarfile.open(image) as archive:
        assert [name.rpartition(".")[2] for name in archive.getnames()] == ["ovf", "mf", "cert", "vmdk"]
    made = {path.name: path for path in (tmp_path / "signed").iterdir()}
    assert sorted(made) == sorted(["result.json", *(str(record[name]) for name in ("path", "checksum", "manifest"))])
    assert made[result.checksum.name].read_text() == f"{sha256_of(image)}  {image.name}\n"
    assert sha256_of(image) == sha256_of(tmp_path / "again" / image.name)
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in made.values())
    # A signature over anything else is found.
    data = image.read_bytes()
    wrong = data.index(b".mf)= ") + 6
    image.write_bytes(data[:wrong] + (b"1" if data[wrong : wrong + 1] != b"1" else b"2") + data[wrong + 1 :])
    assert package_problems(image) == ["the signature is not that of the manifest"]


def test_a_certificate_of_another_key(signing: Signer, tmp_path: Path) -> None:
    chosen = Signing(key=str(signing.key), certificate=str(tmp_path / "other.crt"))
    with pytest.raises(ConfigError, match="not that of the key"):
        signer(chosen, seed=signing.seed, scratch=signing.scratch, work=tmp_path)
    signing.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ConfigError, match="no RSA private key"):
        signer(chosen, seed=signing.seed, scratch=signing.scratch, work=tmp_path)

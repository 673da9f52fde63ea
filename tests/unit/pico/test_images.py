"""Images of pico: found, checked, and flattened layer by layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pico.errors import NotFoundError, PicoError
from pico.oci import archive, config, flatten, layers, reference, tarout
from tests.support.pico_images import Entry, configuration, docker_archive, file, layer, oci_layout, other, packed


def merged(tmp_path: Path, *stack: list[Entry]) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """The members of the flattened layers by name, with their content."""
    paths = []
    for number, entries in enumerate(stack):
        paths.append(tmp_path / f"layer{number}.tar")
        paths[-1].write_bytes(layer(entries))
    count = flatten.flatten(paths, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as tar:
        members = tar.getmembers()
        assert len(members) == count
        found = {}
        for member in members:
            content = None if member.issym() else tar.extractfile(member)
            found[member.name] = (member, content.read() if content else b"")
        return found


DIR = tarfile.DIRTYPE


def test_later_layers_replace(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("etc", DIR), file("etc/a", b"old", uid=1), file("etc/b", b"b"), file("x", b"file")],
        [file("etc/a", b"new", uid=7, gid=8, mode=0o4755), other("x", DIR), file("x/y", b"in")],
    )
    assert sorted(found) == [".", "etc", "etc/a", "etc/b", "x", "x/y"]
    member, content = found["etc/a"]
    assert (content, member.uid, member.gid, member.mode) == (b"new", 7, 8, 0o4755)
    assert found["x"][0].isdir()


def test_a_folder_keeps_what_is_in_it_and_takes_the_new_mode(tmp_path: Path) -> None:
    found = merged(tmp_path, [other("d", DIR), file("d/a", b"a")], [other("d", DIR, mode=0o700)])
    assert found["d"][0].mode == 0o700
    assert "d/a" in found


def test_whiteouts(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("d", DIR), file("d/gone", b"1"), file("d/kept", b"2"), other("o", DIR), file("o/low", b"3")],
        [file("d/.wh.gone"), file("o/high", b"4"), file("o/.wh..wh..opq"), file("none/.wh.there")],
    )
    assert sorted(found) == [".", "d", "d/kept", "o", "o/high"]


def test_a_whiteout_spares_its_own_layer(tmp_path: Path) -> None:
    found = merged(tmp_path, [file("a", b"old")], [file("a", b"new"), file(".wh.a")])
    assert found["a"][1] == b"new"


def test_hard_links_across_layers_share_one_file(tmp_path: Path) -> None:
    found = merged(tmp_path, [file("z", b"content")], [other("a", tarfile.LNKTYPE, "z")])
    assert (found["a"][0].isreg(), found["a"][1]) == (True, b"content")
    assert (found["z"][0].islnk(), found["z"][0].linkname) == (True, "a")


def test_a_hard_link_outlives_the_name_it_was_made_from(tmp_path: Path) -> None:
    found = merged(tmp_path, [file("z", b"content"), other("a", tarfile.LNKTYPE, "z")], [file(".wh.z")])
    assert (found["a"][0].isreg(), found["a"][1], "z" in found) == (True, b"content", False)


def test_folders_reached_through_links(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("usr", DIR), other("usr/bin", DIR), other("bin", tarfile.SYMTYPE, "usr/bin")],
        [other("up", tarfile.SYMTYPE, "../../../usr"), file("bin/tool", b"t"), file("up/share", b"s")],
    )
    assert found["usr/bin/tool"][1] == b"t"
    assert found["usr/share"][1] == b"s"
    assert found["bin"][0].issym()


def test_devices_attributes_and_long_names(tmp_path: Path) -> None:
    long = "/".join(["n" * 60] * 4)
    found = merged(
        tmp_path,
        [
            other("null", tarfile.CHRTYPE, device=(1, 3)),
            other("pipe", tarfile.FIFOTYPE),
            file("cap", b"c", xattr_security_capability="\x01\x00\udcff\n=x"),
            file(long, b"l", uid=3_000_000),
            other("link", tarfile.SYMTYPE, long),
        ],
    )
    null = found["null"][0]
    assert (null.ischr(), null.devmajor, null.devminor) == (True, 1, 3)
    assert found["pipe"][0].isfifo()
    assert found["cap"][0].pax_headers["SCHILY.xattr.security.capability"] == "\x01\x00\udcff\n=x"
    assert (found[long][1], found[long][0].uid) == (b"l", 3_000_000)
    assert found["link"][0].linkname == long


@pytest.mark.parametrize(
    "entry",
    [file("../evil", b""), file("a/../../evil", b""), other("l", tarfile.LNKTYPE, "../../etc/passwd")],
    ids=lambda entry: entry[0].name,
)
def test_names_that_lead_out_are_refused(tmp_path: Path, entry: Entry) -> None:
    with pytest.raises(PicoError, match="leads out of the image"):
        merged(tmp_path, [entry])


def test_a_hard_link_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PicoError, match="which is no file"):
        merged(tmp_path, [other("a", tarfile.LNKTYPE, "missing")])


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PicoError, match="too many symbolic links"):
        merged(tmp_path, [other("a", tarfile.SYMTYPE, "b"), other("b", tarfile.SYMTYPE, "a"), file("a/x", b"")])


@pytest.mark.parametrize("size", [1, 90, 91, 980, 981, 9970])
def test_lengths_of_records_count_themselves(size: int) -> None:
    blocks = tarout.header(b"p" * 101, "file", mode=0, uid=0, gid=0, mtime=0, xattrs={b"user.x": b"v" * size})
    with tarfile.open(fileobj=io.BytesIO(blocks + bytes(1024))) as tar:
        assert tar.getmembers()[0].pax_headers["SCHILY.xattr.user.x"] == "v" * size


LAYER = layer([file("a", b"content")])
CONFIG = configuration([LAYER], Cmd=["/bin/sh"], Env=["A=b"])


def read(path: Path, tag: str | None = None) -> archive.Container:
    with archive.opened(path) as files:
        return archive.read(files, tag)


def unpacked(path: Path, target: Path) -> bytes:
    """The first layer of an image, as it is unpacked for flattening."""
    with archive.opened(path) as files:
        found = archive.read(files, None)
        layers.unpack(files, found.layers[0], found.config.diff_ids[0], target / "out.tar", _no_zstd)
    return (target / "out.tar").read_bytes()


def _no_zstd(source: Path, target: Path) -> None:
    raise AssertionError("this layer is not compressed with zstd")


def test_all_forms_hold_the_same_image(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "layout", [LAYER], CONFIG)
    plain = oci_layout(tmp_path / "plain", [LAYER], CONFIG, packed=False)
    archive = packed(layout, tmp_path / "oci.tar")
    docker = docker_archive(tmp_path / "docker.tar", [LAYER], CONFIG, name="box:1")
    zipped = tmp_path / "docker.tar.gz"
    zipped.write_bytes(gzip.compress(docker.read_bytes()))
    forms = [layout, plain, archive, docker, zipped]
    assert len({read(form).digest for form in forms}) == 1
    assert {unpacked(form, tmp_path) for form in forms} == {LAYER}
    assert read(docker).names == ("box:1",)
    assert read(layout).config.command == ("/bin/sh",)


def test_tags(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path, [LAYER], CONFIG, name="v1")
    assert read(layout, "v1").digest == read(layout).digest
    with pytest.raises(PicoError, match="has no image 'v2'"):
        read(layout, "v2")


def test_two_images_need_a_tag(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "one", [LAYER], CONFIG, name="one")
    second = oci_layout(tmp_path / "two", [LAYER], configuration([LAYER]), name="two")
    index = json.loads((layout / "index.json").read_text())
    index["manifests"] += json.loads((second / "index.json").read_text())["manifests"]
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(PicoError, match="2 images here: one, two"):
        read(layout)


def test_an_index_of_several_architectures(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path, [LAYER], CONFIG)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "amd64"}
    other_one = {**index["manifests"][0], "platform": {"os": "linux", "architecture": "arm64"}, "digest": "sha256:1"}
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [other_one, *index["manifests"]]}))
    assert read(layout).config.env == ("A=b",)
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [other_one]}))
    with pytest.raises(PicoError, match="no image for linux/amd64 here, but for linux/arm64"):
        read(layout)


def test_damaged_layers(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "l", [LAYER], CONFIG)
    name = read(layout).layers[0].file
    whole = (layout / name).read_bytes()
    for content in (whole[:-20], whole[:60] + b"?" + whole[61:], b"", gzip.compress(LAYER + b"more")):
        (layout / name).write_bytes(content)
        with pytest.raises(PicoError, match="damaged layer"):
            unpacked(layout, tmp_path)
    (layout / name).unlink()
    with pytest.raises(PicoError, match="the layer is missing"):
        unpacked(layout, tmp_path)


def test_a_docker_layer_is_judged_by_what_it_unpacks_to(tmp_path: Path) -> None:
    docker = docker_archive(tmp_path / "d.tar", [LAYER + bytes(512)], CONFIG, name="box:1")
    with pytest.raises(PicoError, match="unpacked it is not sha256:"):
        unpacked(docker, tmp_path)


def _without_config(document: dict[str, Any]) -> None:
    del document["config"]


def _false_digest(document: dict[str, Any]) -> None:
    document["config"]["digest"] = "sha256:../../../etc/passwd"


def _no_layers(document: dict[str, Any]) -> None:
    document["layers"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_config, "has no configuration"),
        (_false_digest, "is no sha256 digest"),
        (_no_layers, "has 0 layers, its configuration speaks of 1"),
    ],
)
def test_bad_manifests(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    layout = oci_layout(tmp_path, [LAYER], CONFIG)
    index = json.loads((layout / "index.json").read_text())
    blob = layout / index["manifests"][0]["digest"].replace("sha256:", "blobs/sha256/")
    document = json.loads(blob.read_text())
    change(document)
    text = json.dumps(document).encode()
    digest = hashlib.sha256(text).hexdigest()
    (blob.parent / digest).write_bytes(text)
    index["manifests"][0]["digest"] = f"sha256:{digest}"
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(PicoError, match=message):
        read(layout)


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PicoError, match="no image here"):
        read(tmp_path / "empty")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(PicoError, match="damaged or no archive"):
        read(tmp_path / "text")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "arm64"}, "is for linux/arm64, machines are linux/amd64"),
        ({"os": "windows"}, "is for windows/amd64"),
        ({"architecture": None}, "names no architecture"),
        ({"rootfs": None}, "is not one"),
        ({"rootfs": {"diff_ids": []}}, "has no layers"),
        ({"config": {"Cmd": "sh"}}, "key 'Cmd'"),
        ({"config": {"StopSignal": "SIGNOTHING"}}, "unknown signal"),
    ],
)
def test_bad_configurations(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PicoError, match=message):
        config.parse({**CONFIG, **change}, "image")


IMAGE = config.ImageConfig(entrypoint=("/entry",), command=("default",), env=("A=1", "PATH=/bin"))


@pytest.mark.parametrize(
    ("entrypoint", "command", "result"),
    [
        (None, [], ["/entry", "default"]),
        (None, ["x", "y"], ["/entry", "x", "y"]),
        ("/other", [], ["/other"]),
        ("/other", ["x"], ["/other", "x"]),
        ("", ["x"], ["x"]),
    ],
)
def test_entrypoint_and_command(entrypoint: str | None, command: list[str], result: list[str]) -> None:
    assert config.arguments(IMAGE, entrypoint, command, "image") == result


def test_nothing_to_run() -> None:
    with pytest.raises(NotFoundError, match="no entrypoint and no command"):
        config.arguments(config.ImageConfig(), None, [], "image")


def test_environment() -> None:
    found = config.environment(IMAGE, ["A=2", "B=3"], tty=True)
    assert found == ["PATH=/bin", "TERM=xterm", "A=2", "B=3"]


@pytest.mark.parametrize(("text", "number"), [("SIGTERM", 15), ("kill", 9), ("3", 3), ("SIGRTMIN+3", 37)])
def test_signals(text: str, number: int) -> None:
    assert config.signal_number(text) == number


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    oci_layout(tmp_path / "layout", [LAYER], CONFIG)
    (tmp_path / "a.tar").write_bytes(b"")
    assert reference.parse("layout:v1").tag == "v1"
    assert reference.parse("oci:layout").path == tmp_path / "layout"
    assert reference.parse("a.tar").kind == "path"
    assert reference.parse("docker://host:5000/a.tar").text == "host:5000/a.tar:latest"
    assert reference.parse("host.example/team/box:1").has_host
    assert not reference.parse("busybox").has_host
    for wrong in ("./missing", "UPPER", "a b", "oci:missing", "host/x:"):
        with pytest.raises(PicoError):
            reference.parse(wrong)


def test_a_changed_file_is_another_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"1")
    before = reference.parse(str(path)).state()
    path.write_bytes(b"22")
    assert reference.parse(str(path)).state() != before

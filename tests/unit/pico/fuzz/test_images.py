"""All that an image's author writes: archives, documents, layers. Nothing but PicoError comes of it, and in bounds."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hypothesis import given
from hypothesis import strategies as st

from pico.errors import PicoError
from pico.oci import archive, config, flatten, layers, reference
from pico.oci.archive import Layer
from pico.oci.bounds import Limits
from tests.support.fuzz import for_a_while, mutated
from tests.support.oci_images import CONFIG, file, layer, other

SMALL = Limits(size=1 << 20, names=500)
DIGEST = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Memory:
    """Named files."""

    files: dict[str, bytes]
    name: str = "memory"

    def open(self, name: str) -> IO[bytes] | None:
        return io.BytesIO(self.files[name]) if name in self.files else None


@for_a_while
@given(st.one_of(mutated("pico-archives"), mutated("pico-archives").map(lambda data: gzip.compress(data, 1))))
def test_an_archive(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.tar")
        path.write_bytes(data)
        with contextlib.suppress(PicoError), archive.opened(path) as files:
            found = archive.read(files, None)
            for number, (each, diff_id) in enumerate(zip(found.layers, found.config.diff_ids, strict=True)):
                layers.unpack(files, each, diff_id, Path(folder, f"{number}.tar"), no_zstd, most=1 << 20)


def no_zstd(source: Path, target: Path, most: int) -> None:
    raise PicoError("no zstd here")


KEYS = st.sampled_from([
    "manifests", "digest", "platform", "os", "architecture", "mediaType", "annotations", "config", "layers", "Config",
    "Layers", "RepoTags", "rootfs", "diff_ids", "Cmd", "Env", "Entrypoint", "User", "StopSignal", "ExposedPorts",
    "org.opencontainers.image.ref.name",
])  # fmt: skip
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just(DIGEST), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=12,
)


def blobs(*documents: Any) -> dict[str, bytes]:
    texts = [json.dumps(document).encode() for document in documents]
    return {f"blobs/sha256/{hashlib.sha256(text).hexdigest()}": text for text in texts}


@for_a_while
@given(TREES, TREES, TREES, st.sampled_from(archive.INDEXES))
def test_documents(index: Any, manifest: Any, configuration: Any, kind: str) -> None:
    files = blobs(manifest, configuration)
    first, second = (name.replace("blobs/sha256/", "sha256:") for name in [*files, *files][:2])
    if isinstance(manifest, dict):
        manifest["config"] = {"digest": second}
        files |= blobs(manifest)
        first = list(files)[-1].replace("blobs/sha256/", "sha256:")
    for top in (index, {"manifests": [{"digest": first}]}, {"manifests": [{"digest": first, "mediaType": kind}]}):
        for name in ("index.json", "manifest.json"):
            text = json.dumps(top).encode()
            with contextlib.suppress(PicoError):
                archive.read(Memory({**files, name: text}), None)
            with contextlib.suppress(PicoError):
                archive.read(Memory({**files, name: json.dumps([top]).encode()}), "latest")


@for_a_while
@given(TREES)
def test_a_configuration(tree: Any) -> None:
    for document in (tree, {**CONFIG, "config": tree}, {**CONFIG, "rootfs": tree}):
        with contextlib.suppress(PicoError):
            found = config.parse(document, "test")
            words = [*found.entrypoint, *found.command, *config.environment(found, [], tty=True), found.user, found.cwd]
            assert not any("\0" in word for word in words)
            "".join(words).encode()


@for_a_while
@given(st.one_of(st.binary(max_size=200), mutated("pico-layers")), st.integers(0, 3))
def test_a_packed_layer(data: bytes, members: int) -> None:
    packed = b"".join(gzip.compress(data, 1) for _ in range(members)) if members else data
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "layer.tar")
        diff_id = f"sha256:{hashlib.sha256(data * max(members, 1)).hexdigest()}"
        with contextlib.suppress(PicoError):
            layers.unpack(Memory({"l": packed}), Layer(file="l", digest=None), diff_id, target, no_zstd, most=65536)
            assert target.read_bytes() == data * max(members, 1)
        assert not target.exists() or target.stat().st_size <= 65536


def flat(*stack: bytes) -> dict[str, tarfile.TarInfo]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.tar") for number in range(len(stack))]
        for path, content in zip(paths, stack, strict=True):
            path.write_bytes(content)
        flatten.flatten(paths, Path(folder, "out.tar"), SMALL)
        assert Path(folder, "out.tar").stat().st_size < SMALL.size + SMALL.names * 4096
        with tarfile.open(Path(folder, "out.tar"), errors="surrogateescape") as tar:
            return {member.name: member for member in tar}


@for_a_while
@given(mutated("pico-layers"), mutated("pico-layers"))
def test_damaged_layers(first: bytes, second: bytes) -> None:
    with contextlib.suppress(PicoError):
        for name in flat(first, second):
            assert ".." not in name.split("/") and not name.startswith("/")


NAMES = st.lists(st.sampled_from(["a", "b", "c", ".wh.a", ".wh.b", ".wh..wh..opq", "..", "."]), min_size=1, max_size=4)
TARGETS = st.sampled_from(["a", "b/c", "/a", "../../a", ".", "c/../b"])
ENTRIES = st.lists(
    st.one_of(
        st.builds(lambda name: file("/".join(name), b"x"), NAMES),
        st.builds(lambda name: other("/".join(name), tarfile.DIRTYPE), NAMES),
        st.builds(lambda name, target: other("/".join(name), tarfile.SYMTYPE, target), NAMES, TARGETS),
        st.builds(lambda name, target: other("/".join(name), tarfile.LNKTYPE, target), NAMES, TARGETS),
    ),
    max_size=8,
)


@for_a_while
@given(ENTRIES, ENTRIES)
def test_layers_on_each_other(lower: list[Any], upper: list[Any]) -> None:
    """Whatever is merged is a tree of plain names; a lower file goes only by a name of its own."""
    with contextlib.suppress(PicoError):
        before = flat(layer(lower))
        after = flat(layer(lower), layer(upper))
        for name in after:
            parent = after.get(name.rpartition("/")[0])
            assert parent is None or parent.isdir(), name
        if not upper:
            assert sorted(before) == sorted(after)
        # What no entry of the upper layer has a name in common with is as it was.
        touched = {part.removeprefix(".wh.") for info, _ in upper for part in info.name.split("/")}
        if not any(info.name.endswith(".wh..wh..opq") for info, _ in upper):
            for name in before:
                assert name in after or touched & set(name.split("/")), name


@for_a_while
@given(st.one_of(st.text(max_size=60), st.text("./:@-_aB0", max_size=20)))
def test_a_reference(text: str) -> None:
    with contextlib.suppress(PicoError):
        found = reference.by_name(text)
        assert found.text.isprintable() and ".." not in found.text.split("/")

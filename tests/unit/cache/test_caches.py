"""Entries of shared caches: found, verified, fetched and sent, and what is wrong with those that are not used."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import zstandard

from photonbuild.cache import gc
from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import Cache, Found, Void
from photonbuild.cache.manifest import MOST_INLINE, Manifest, Part, blob_path, decode, encode, entry_path
from photonbuild.cache.parts import pack_files, pack_json, unpack_files, unpack_json
from photonbuild.cache.places import OPENERS, FolderPlace, open_place
from photonbuild.cache.signature import PAYLOAD, PublicKey, Signer, load_signer, new_key, verify
from photonbuild.config.cache import SCHEMES, ProjectCaches, UserAddress, UserCaches, merged
from photonbuild.config.load import load_user
from photonbuild.config.validation import load as load_yaml
from photonbuild.errors import ConfigError, StoreError
from photonbuild.store import Store

KEY, OTHER = "a" * 64, "b" * 64
LARGE = b"x" + os.urandom(MOST_INLINE)


def signer_of(folder: Path, name: str = "team") -> Signer:
    _, path = new_key(name, folder)
    found = load_signer(str(path))
    assert found is not None
    return found


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return signer_of(tmp_path / "keys")


@dataclass
class Lab:
    """A cache in a folder, and machines that use it."""

    folder: Path
    signer: Signer
    said: list[str] = field(default_factory=list)
    count: int = 0

    def machine(self, *, write: bool = True, trusted: Collection[PublicKey] | None = None) -> Caches:
        """A store of its own, with this cache."""
        self.count += 1
        return Caches(
            store=Store.open(self.folder / f"store{self.count}"),
            caches=[Cache("team", FolderPlace(self.place, make=write), write)],
            trusted=[self.signer.public] if trusted is None else list(trusted),
            signer=self.signer if write else None,
            warn=self.said.append,
        )

    @property
    def place(self) -> Path:
        return self.folder / "cache"

    @property
    def entry(self) -> Path:
        return self.place / entry_path("package", "zlib", KEY)

    def blobs(self) -> list[Path]:
        return sorted((self.place / "blobs").iterdir())


@pytest.fixture
def lab(tmp_path: Path, signer: Signer) -> Lab:
    return Lab(tmp_path, signer)


def part(data: bytes) -> Callable[[Path], int]:
    def write(target: Path) -> int:
        target.write_bytes(data)
        return len(data)

    return write


def packed(value: object) -> Callable[[Path], int]:
    data, size = pack_json(value)

    def write(target: Path) -> int:
        target.write_bytes(data)
        return size

    return write


def fill(caches: Caches, key: str = KEY) -> None:
    caches.push("package", "zlib", key, {"record": packed({"answer": 42}), "packages": part(LARGE)})


def find(caches: Caches) -> Found:
    found = caches.find("package", "zlib", KEY)
    assert found is not None
    return found


def test_an_entry_goes_from_one_machine_to_another(lab: Lab, tmp_path: Path) -> None:
    fill(lab.machine())
    reader = lab.machine(write=False)
    found = find(reader)
    assert found.cache == "team" and found.key == lab.signer.public
    assert reader.json(found, "record") == {"answer": 42}
    reader.fetch(found, "packages", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == LARGE
    # What is small lies in the manifest.
    assert [path.name for path in lab.blobs()] == [hashlib.sha256(LARGE).hexdigest()]
    assert lab.said == []
    assert stat.S_IMODE(lab.entry.stat().st_mode) == 0o644


def test_the_store_keeps_an_entry_for_a_run_without_the_cache(lab: Lab) -> None:
    fill(lab.machine())
    reader = lab.machine(write=False)
    find(reader)
    again = replace(reader, caches=[], _known={})
    assert find(again).cache is None
    # Another checkout, which trusts another key, sees nothing of it.
    assert (
        replace(again, trusted=[signer_of(lab.folder / "other").public], _known={}).find("package", "zlib", KEY) is None
    )


def test_the_same_is_sent_once_and_has_the_same_bytes(lab: Lab) -> None:
    first, second = lab.machine(), lab.machine()
    fill(first)
    before = lab.entry.read_bytes()
    fill(second)
    assert second.caches[0].pushed == 0
    lab.entry.unlink()
    fill(second)
    assert lab.entry.read_bytes() == before and second.caches[0].sent == len(before)


def test_a_reader_sends_nothing(lab: Lab) -> None:
    fill(lab.machine(write=False))
    assert not lab.place.exists()


def signed(lab: Lab, manifest: Manifest, signer: Signer | None = None) -> bytes:
    return (signer or lab.signer).sign(encode(manifest))


def manifest(**changes: object) -> Manifest:
    values = {"kind": "package", "name": "zlib", "key": KEY, "parts": {}, "made_by": "test", **changes}
    return Manifest.model_validate(values)


def with_sig(data: bytes, sig: bytes) -> bytes:
    outer = json.loads(data)
    outer["signatures"][0]["sig"] = base64.b64encode(sig).decode()
    return json.dumps(outer).encode()


def other_payload(data: bytes) -> bytes:
    outer = json.loads(data)
    outer["payload"] = base64.b64encode(base64.b64decode(outer["payload"]).replace(b"zlib", b"zlob")).decode()
    return json.dumps(outer).encode()


def other_type(data: bytes) -> bytes:
    return data.replace(PAYLOAD.encode(), b"application/vnd.photonbuild.other+json")


FORGED: Mapping[str, tuple[Callable[[Lab, bytes], bytes], str]] = {
    "cut off": (lambda lab, data: data[: len(data) // 2], "no signed entry"),
    "empty object": (lambda lab, data: b"{}", "no signed entry"),
    "nothing of ours": (lambda lab, data: b"\xff" * 100, "no signed entry"),
    "deep": (lambda lab, data: b"[" * 200000, "no signed entry"),
    "large": (lambda lab, data: data + b" " * (5 << 20), "too large"),
    "another signature": (lambda lab, data: with_sig(data, b"\0" * 64), "the signature of team is not right"),
    "a short signature": (lambda lab, data: with_sig(data, b"\0"), "the signature of team is not right"),
    "another payload": (lambda lab, data: other_payload(data), "the signature of team is not right"),
    "another type": (lambda lab, data: other_type(data), "no signed entry"),
    "no signature": (lambda lab, data: json.dumps({**json.loads(data), "signatures": []}).encode(), "not signed by"),
    "another key": (lambda lab, data: signed(lab, manifest(), signer_of(lab.folder / "thief")), "not signed by a key"),
    "the same name of a key": (
        lambda lab, data: signed(lab, manifest(), signer_of(lab.folder / "thief", "team")),
        "not signed by a key",
    ),
    "another name": (lambda lab, data: signed(lab, manifest(name="bash")), "the entry of package bash"),
    "another key of the store": (lambda lab, data: signed(lab, manifest(key=OTHER)), f"package zlib {OTHER[:12]}"),
    "another kind": (lambda lab, data: signed(lab, manifest(kind="image")), "the entry of image zlib"),
    "no manifest": (lambda lab, data: lab.signer.sign(b"[]"), "no manifest"),
    "unknown keys": (lambda lab, data: lab.signer.sign(encode(manifest())[:-1] + b',"more":1}'), "no manifest: more"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_entry_is_named_and_not_used(lab: Lab, name: str) -> None:
    change, reason = FORGED[name]
    fill(lab.machine())
    lab.entry.write_bytes(change(lab, lab.entry.read_bytes()))
    reader = lab.machine(write=False)
    assert reader.find("package", "zlib", KEY) is None and reader.find("package", "zlib", KEY) is None
    (said,) = lab.said
    assert said.startswith(f"cache team: package zlib {KEY[:12]} is not used: ") and reason in said
    # A cache with one bad entry is not down, and who builds it puts it right.
    writer = lab.machine()
    assert writer.find("package", "zlib", KEY) is None
    fill(writer)
    assert find(lab.machine(write=False))


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"y" + d[1:], lambda d: b""])
def test_a_damaged_blob_is_named_and_not_used(lab: Lab, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    fill(lab.machine())
    (blob,) = lab.blobs()
    blob.write_bytes(change(blob.read_bytes()))
    writer = lab.machine()
    found = find(writer)
    with pytest.raises(Void):
        writer.fetch(found, "packages", tmp_path / "got")
    (said,) = lab.said
    assert "its part 'packages' is not what its digest says" in said
    writer.forget(found.entry)
    assert writer.find("package", "zlib", KEY) is None
    fill(writer)
    assert blob.read_bytes() == LARGE


def test_a_blob_that_is_lost_is_named(lab: Lab, tmp_path: Path) -> None:
    fill(lab.machine())
    lab.blobs()[0].unlink()
    reader = lab.machine(write=False)
    with pytest.raises(Void):
        reader.fetch(find(reader), "packages", tmp_path / "got")
    assert lab.said == [f"cache team: package zlib {KEY[:12]} is not used: its part 'packages' is not there"]


def test_a_second_cache_has_what_the_first_has_lost(lab: Lab, tmp_path: Path) -> None:
    fill(lab.machine())
    reader = lab.machine(write=False)
    whole = Lab(tmp_path / "second", lab.signer)
    whole.folder.mkdir()
    fill(whole.machine())
    lab.blobs()[0].unlink()
    reader.caches = [*reader.caches, Cache("second", FolderPlace(whole.place), False)]
    reader.fetch(find(reader), "packages", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == LARGE


@pytest.mark.parametrize("data", ["!!!!", "", base64.b64encode(b"other").decode()])
def test_a_part_in_the_manifest_is_checked(lab: Lab, tmp_path: Path, data: str) -> None:
    lab.entry.parent.mkdir(parents=True)
    wrong = Part(sha256=hashlib.sha256(b"right").hexdigest(), size=5, unpacked=5, data=data)
    lab.entry.write_bytes(signed(lab, manifest(parts={"record": wrong})))
    reader = lab.machine(write=False)
    with pytest.raises(Void):
        reader.json(find(reader), "record")
    assert len(lab.said) == 1
    with pytest.raises(Void):
        reader.fetch(find(reader), "absent", tmp_path / "got")


def test_a_cache_that_is_away_is_named_once(lab: Lab) -> None:
    reader = lab.machine(write=False)
    for number in range(3):
        assert reader.find("package", f"p{number}", KEY) is None
    (said,) = lab.said
    assert said.startswith("cache team cannot be reached, and is left out: ") and reader.misses == 3


def test_a_cache_that_takes_nothing_is_still_read(lab: Lab, tmp_path: Path) -> None:
    fill(lab.machine())

    class Full(FolderPlace):
        def put(self, source: Path, path: str) -> None:
            raise OSError(28, "No space left on device")

    writer = lab.machine()
    writer.caches = [Cache("team", Full(lab.place), True)]
    fill(writer, OTHER)
    fill(writer, "c" * 64)
    assert lab.said == ["cache team takes nothing: [Errno 28] No space left on device"]
    assert find(writer)


def test_what_is_sent_beside_other_work_is_there_in_the_end(lab: Lab) -> None:
    writer = lab.machine()
    for number in range(20):
        writer.push_later("package", f"p{number}", KEY, {"record": packed(number)})

    def broken(target: Path) -> int:
        raise StoreError("it is damaged")

    writer.push_later("package", "bad", KEY, {"record": broken})
    writer.finish()
    reader = lab.machine(write=False)
    assert [reader.json(found, "record") for n in range(20) if (found := reader.find("package", f"p{n}", KEY))] == [
        *range(20)
    ]
    assert lab.said == ["package bad was not sent to a cache: it is damaged"]


def test_dsse(signer: Signer) -> None:
    """By the words of the protocol, not by our code for it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    outer = json.loads(signer.sign(b"hello"))
    assert outer["payloadType"] == PAYLOAD and base64.b64decode(outer["payload"]) == b"hello"
    (row,) = outer["signatures"]
    text = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} 5 hello".encode()
    Ed25519PublicKey.from_public_bytes(signer.public.raw).verify(base64.b64decode(row["sig"]), text)
    assert verify(signer.sign(b"hello"), [signer.public]) == (b"hello", signer.public)


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, path = new_key("ci", tmp_path / "keys")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert PublicKey.parse(str(public)) == public
    with pytest.raises(ConfigError, match="there is a key of this name"):
        new_key("ci", tmp_path / "keys")
    with pytest.raises(ConfigError, match="no name of a key"):
        new_key("../ci", tmp_path / "keys")
    for text in ("ci", "ci:", "ci:!!!", "../ci:" + "A" * 43 + "=", "ci:" + "A" * 40):
        with pytest.raises(ConfigError, match="no public key"):
            PublicKey.parse(text)
    monkeypatch.setenv("PHOTONBUILD_CACHE_KEY", str(path))
    found = load_signer(None)
    assert found is not None and found.public == public and "PRIVATE" not in repr(found)
    monkeypatch.setenv("PHOTONBUILD_CACHE_KEY", path.read_text())
    found = load_signer(None)
    assert found is not None and found.public.raw == public.raw
    monkeypatch.setenv("PHOTONBUILD_CACHE_KEY", "-----BEGIN nothing")
    with pytest.raises(ConfigError) as caught:
        load_signer(None)
    assert "nothing" not in str(caught.value)
    monkeypatch.delenv("PHOTONBUILD_CACHE_KEY")
    assert load_signer(None) is None
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others can read this private key"):
        load_signer(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_signer(str(tmp_path / "none"))


def tar_of(target: Path, *members: tuple[str, bytes | str]) -> int:
    """What no packer of ours writes: bytes are a file, a text is the target of a link."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = (
                    (tarfile.SYMTYPE if not content.startswith("=") else tarfile.LNKTYPE),
                    content,
                )
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    target.write_bytes(zstandard.compress(data.getvalue()))
    return len(data.getvalue())


@pytest.mark.parametrize(
    "members",
    [
        [("../out", b"x")],
        [("/etc/passwd", b"x")],
        [("a/b", b"x")],
        [(".hidden", b"x")],
        [("-rf", b"x")],
        [("", b"x")],
        [("a\nb", b"x")],
        [("link", "/etc/passwd")],
        [("hard", "=/etc/passwd")],
        [("twice", b"x"), ("twice", b"y")],
        [("link", ".."), ("link/out", b"x")],
    ],
)
def test_nothing_is_unpacked_elsewhere(tmp_path: Path, members: list[tuple[str, bytes | str]]) -> None:
    size = tar_of(tmp_path / "packed", *members)
    (tmp_path / "in" / "folder").mkdir(parents=True)
    with pytest.raises(StoreError, match="no plain file"):
        unpack_files(tmp_path / "packed", tmp_path / "in" / "folder", size=size)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["folder"]
    assert {path.name for path in (tmp_path / "in" / "folder").iterdir()} <= {"twice"}


def test_files_come_out_as_they_went_in_with_their_holes(tmp_path: Path) -> None:
    with (tmp_path / "disk").open("wb") as disk:
        disk.write(b"start")
        disk.truncate(64 << 20)
    (tmp_path / "empty").write_bytes(b"")
    files = {name: tmp_path / name for name in ("disk", "empty")}
    size = pack_files(files, tmp_path / "one")
    os.utime(tmp_path / "disk", (1, 1))
    pack_files(dict(reversed(files.items())), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    (tmp_path / "out").mkdir()
    assert unpack_files(tmp_path / "one", tmp_path / "out", size=size) == ["disk", "empty"]
    got = tmp_path / "out" / "disk"
    assert got.read_bytes() == (tmp_path / "disk").read_bytes() and got.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("size", [0, 100, 10240])
def test_no_more_is_unpacked_than_the_manifest_says(tmp_path: Path, size: int) -> None:
    tar_of(tmp_path / "bomb", ("zeros", bytes(32 << 20)))
    with pytest.raises(StoreError):
        unpack_files(tmp_path / "bomb", tmp_path, size=size)
    data, _ = pack_json("x" * 100000)
    with pytest.raises(StoreError):
        unpack_json(data, size)


@pytest.mark.parametrize("cut", [0, 1, 20, 100])
def test_what_is_cut_off_is_an_error(tmp_path: Path, cut: int) -> None:
    (tmp_path / "file").write_bytes(os.urandom(5000))
    size = pack_files({"file": tmp_path / "file"}, tmp_path / "packed")
    (tmp_path / "packed").write_bytes((tmp_path / "packed").read_bytes()[:cut])
    (tmp_path / "out").mkdir()
    with pytest.raises(StoreError):
        unpack_files(tmp_path / "packed", tmp_path / "out", size=size)


def test_garbage(lab: Lab) -> None:
    writer = lab.machine()
    for number, age in enumerate((300, 200, 100)):
        name = f"p{number}"
        blob = os.urandom(MOST_INLINE + 1)
        writer.push("package", name, KEY, {"packages": part(blob), "shared": part(LARGE)})
        os.utime(lab.place / entry_path("package", name, KEY), (1e9 - age, 1e9 - age))
    (lab.place / "blobs" / "lost").write_bytes(b"x")
    (lab.place / "blobs" / ".new-1").write_bytes(b"x")
    (lab.place / "own-notes").write_bytes(b"x")
    os.utime(lab.place / "blobs" / "lost", (1e9 - 2 * gc.GRACE, 1e9 - 2 * gc.GRACE))
    os.utime(lab.place / "blobs" / ".new-1", (1e9 - 5, 1e9 - 5))
    found = gc.survey(writer.caches[0].place, "team")
    gone, freed = gc.choose(found, older=150, size=None, now=1e9)
    entries = [path for path in gone if path.startswith("entries/")]
    assert entries == [entry_path("package", name, KEY) for name in ("p0", "p1")]
    # A blob that a younger entry names stays; what is being written stays; what is none of ours stays.
    assert blob_path(hashlib.sha256(LARGE).hexdigest()) not in gone and len(gone) == 5 and "blobs/lost" in gone
    assert freed == sum(found.sizes[path] for path in gone)
    least, _ = gc.choose(found, older=None, size=found.size - 1000, now=1e9)
    assert [path for path in least if path.startswith("entries/")] == [entry_path("package", "p0", KEY)]
    everything, _ = gc.choose(found, older=None, size=0, now=1e9)
    writer.caches[0].place.remove(everything)
    assert {path.name for path in lab.place.rglob("*") if path.is_file()} == {".new-1", "own-notes"}


@pytest.mark.parametrize("name", ["../../own-notes", "../own-notes"])
def test_garbage_is_nothing_but_what_the_cache_lists(lab: Lab, name: str) -> None:
    """Manifests are not verified here: whoever writes to the cache may have put one there."""
    payload = json.dumps({"parts": {"packages": {"sha256": name}}}).encode()
    lab.entry.parent.mkdir(parents=True)
    lab.entry.write_text(json.dumps({"payload": base64.b64encode(payload).decode()}))
    (lab.place / "blobs").mkdir()
    (lab.place / "blobs" / name).write_bytes(b"x")
    place = FolderPlace(lab.place)
    gone, _ = gc.choose(gc.survey(place, "team"), older=None, size=0, now=1e9)
    place.remove(gone)
    assert gone == [entry_path("package", "zlib", KEY)] and (lab.place / "blobs" / name).exists()


CONFIGURATIONS = {
    "cache:\n  caches:\n    - name: team\n      url: htps://x/x\n": ":4: key 'cache.caches.0.url': 'htps' is no kind",
    "cache:\n  caches:\n    - name: team\n      url: https://me:secret@there/x\n": ":4: .*credentials are not part",
    "cache:\n  caches:\n    - name: team\n": ":3: .*either 'path' or 'url'",
    "cache:\n  caches:\n    - name: team\n      path: /x\n      url: https://x/y\n": ":3: .*either 'path' or 'url'",
    "cache:\n  caches:\n    - name: team\n      path: /x\n      acces: write\n": ":5: .*did you mean 'access'",
    "cache:\n  caches:\n    - name: team\n      path: /x\n      access: full\n": ":5: .*unknown value 'full'",
    "cache:\n  caches:\n    - {name: a, path: /x}\n    - {name: a, path: /y}\n": ":3: .*there are two caches 'a'",
    "cache:\n  caches:\n    - {name: a, url: 'http://x/y', token_file: t}\n": ":3: .*a token goes to an https:",
    "cache:\n  trust:\n    - ci:abc\n": ":3: key 'cache.trust.0'",
    "cache:\n  leave_out: [sources]\n": ":2: .*unknown value 'sources', did you mean 'source'",
}


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_mistakes_of_a_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "user.yaml").write_text(text)
    with pytest.raises(ConfigError, match=CONFIGURATIONS[text]) as caught:
        load_user(tmp_path / "user.yaml")
    assert "secret" not in str(caught.value)


def test_a_project_names_no_file_of_a_token_or_key(tmp_path: Path) -> None:
    for line in ("caches:\n  - {name: a, url: 'https://x/y', token_file: t}\n", "key: /home/me/.ssh/id\n"):
        (tmp_path / "cache.yaml").write_text(line)
        with pytest.raises(ConfigError, match="unknown key"):
            load_yaml(tmp_path / "cache.yaml", ProjectCaches)


def test_the_users_cache_of_the_same_name_takes_the_place_of_the_projects() -> None:
    mine = UserCaches.model_validate({"caches": ({"name": "team", "path": "/mine"}, {"name": "own", "path": "/own"})})
    project = ProjectCaches.model_validate(
        {"caches": ({"name": "team", "url": "https://x/y"}, {"name": "more", "path": "/more"}), "leave_out": ("log",)}
    )
    found = merged(mine, [project])
    assert [(cache.name, cache.path) for cache in found.caches] == [
        ("team", "/mine"),
        ("own", "/own"),
        ("more", "/more"),
    ]
    assert found.leave_out == ("log",)


def test_every_opener_has_a_scheme_that_a_configuration_takes(tmp_path: Path) -> None:
    assert set(OPENERS) <= set(SCHEMES)
    for scheme in set(SCHEMES) - set(OPENERS):
        with pytest.raises(ConfigError, match="not spoken here"):
            open_place(UserAddress(name="a", url=f"{scheme}://there/x"), tmp_path)
    assert open_place(UserAddress(name="a", path="below"), tmp_path) == FolderPlace(tmp_path / "below")


def test_a_token_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("very-secret\n")
    place = open_place(UserAddress(name="a", url="https://x/y", token_file=str(tmp_path / "token")), tmp_path)
    assert "very-secret" not in repr(place)
    with pytest.raises(ConfigError, match="the token cannot be read: No such file"):
        open_place(UserAddress(name="a", url="https://x/y", token_file=str(tmp_path / "none")), tmp_path)


def test_a_manifest_is_read_as_it_was_written() -> None:
    one = manifest(parts={"record": Part(sha256=KEY, size=1, unpacked=2, data="AA==")})
    assert decode(encode(one), kind="package", name="zlib", key=KEY) == one

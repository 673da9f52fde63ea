"""Small container images, as an OCI layout or a docker archive, and reading them back."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pico.oci import archive
from pico.oci.layers import unpack

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0, **headers: str) -> Entry:
    """`headers`: PAX headers, ``xattr_user_x`` for SCHILY.xattr.user.x."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uid, info.gid = len(content), mode, uid, gid
    info.pax_headers = {key.replace("xattr_", "SCHILY.xattr.").replace("_", "."): text for key, text in headers.items()}
    return info, content


def other(name: str, kind: bytes, target: str = "", *, mode: int = 0o755, device: tuple[int, int] = (0, 0)) -> Entry:
    """A folder, a link, a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    info.devmajor, info.devminor = device
    return info, b""


def layer(entries: Sequence[Entry]) -> bytes:
    """The tar of a layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return out.getvalue()


def busybox_root(program: bytes, applets: Sequence[str]) -> list[Entry]:
    """A root with a shell and a user of two groups."""
    folders = [other(name, tarfile.DIRTYPE) for name in ("bin", "etc", "home", "home/user")]
    links = [other(f"bin/{name}", tarfile.SYMTYPE, "busybox", mode=0o777) for name in applets]
    users = b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
    groups = b"root:x:0:\nuser:x:1000:\nextra:x:44:user\n"
    files = [file("bin/busybox", program, mode=0o755), file("etc/passwd", users), file("etc/group", groups)]
    return [*folders, other("tmp", tarfile.DIRTYPE, mode=0o1777), *files, *links]


def configuration(layers: Sequence[bytes], *, architecture: str = "amd64", **config: Any) -> dict[str, Any]:
    diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in layers]
    return {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def oci_layout(
    folder: Path, layers: Sequence[bytes], config: Mapping[str, Any], *, name: str = "latest", packed: bool = True
) -> Path:
    """Write an OCI image layout; `folder`."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes, media: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(content)}

    suffix, pack = ("+gzip", lambda tar: gzip.compress(tar, 1, mtime=0)) if packed else ("", bytes)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": [put(pack(tar), f"layer.v1.tar{suffix}") for tar in layers],
    }
    entry = put(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def packed(folder: Path, target: Path) -> Path:
    """The layout in a tar."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(folder).as_posix())
    return target


def docker_archive(target: Path, layers: Sequence[bytes], config: Mapping[str, Any], *, name: str) -> Path:
    """Write what ``docker save`` wrote before it knew OCI; `target`."""
    text = json.dumps(config).encode()
    digest = hashlib.sha256(text).hexdigest()
    members = {f"{digest}.json": text}
    members |= {f"layer{number}/layer.tar": tar for number, tar in enumerate(layers)}
    manifest = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": [key for key in members if "/" in key]}]
    members["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(target, "w") as tar:
        for key, content in members.items():
            tar.addfile(*file(key, content)[:1], io.BytesIO(content))
    return target


LAYER = layer([file("a", b"content")])


CONFIG = configuration([LAYER], Cmd=["/bin/sh"], Env=["A=b"])


def read(path: Path, tag: str | None = None) -> archive.Manifest:
    with archive.opened(path) as files:
        return archive.read(files, tag)


def unpacked(path: Path, target: Path, most: int = 1 << 30) -> bytes:
    """The first layer of an image, as it is unpacked for flattening."""
    with archive.opened(path) as files:
        found = archive.read(files, None)
        unpack(files, found.layers[0], found.config.diff_ids[0], target / "out.tar", _no_zstd, most=most)
    return (target / "out.tar").read_bytes()


def _no_zstd(source: Path, target: Path, most: int) -> None:
    raise AssertionError("this layer is not compressed with zstd")

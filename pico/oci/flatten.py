"""The layers of an image as one tree, without unpacking: layer tars in, one normalised tar out.

Rules of https://github.com/opencontainers/image-spec/blob/main/layer.md: a later layer's entry replaces an earlier
one's, ``.wh.NAME`` removes NAME of the layers below, ``.wh..wh..opq`` all that its folder had there.
"""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pico.errors import PicoError
from pico.oci import tarout
from pico.oci.bounds import Limits, damaged, members, opened

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MOST_LINKS = 40
KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.DIRTYPE: "dir",
    tarfile.FIFOTYPE: "fifo",
}
XATTR = "SCHILY.xattr."


@dataclass(eq=False)
class Node:
    """A file of the merged tree. Names that are hard links of each other share one."""

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    content: tuple[int, tarfile.TarInfo] | None = None
    children: dict[str, Node] = field(default_factory=dict)


def flatten(layers: Sequence[Path], target: Path, limits: Limits) -> int:
    """Merge uncompressed layer tars, lowest first, into the tar `target`; the number of names in it.

    Raises PicoError for an archive that is damaged, larger than `limits`, or has a name that leads out of the root.
    """
    root, left = Node("dir"), limits
    for number, layer in enumerate(layers):
        left = _apply(root, layer, number, left)
    with target.open("wb") as out:
        return _write(root, layers, out)


def _apply(root: Node, layer: Path, number: int, left: Limits) -> Limits:
    """Merge a layer; what is left for the others."""
    _remove(root, layer, left)
    size, names = left.size, left.names
    for member in _members(layer, left):
        size, names = size - (member.size if member.isreg() else 0), names - 1
        if size < 0:
            raise PicoError("the image is too large when it is unpacked", where=layer.name)
        parts = _parts(member.name, layer)
        if not parts:
            if member.isdir():
                _adopt(root, member)
            continue
        if parts[-1].startswith(WHITEOUT):
            continue
        folder = _folder(root, parts[:-1], create=True)
        assert folder is not None
        _add(root, folder, parts[-1], member, number, layer)
    return Limits(size=size, names=names)


def _remove(root: Node, layer: Path, left: Limits) -> None:
    """The whiteouts of a layer, first: they speak of the layers below, wherever they stand in this one.

    The path of one is that of the lower file itself: it is followed through no symbolic link.
    """
    for member in _members(layer, left):
        *above, name = _parts(member.name, layer) or [""]
        if not name.startswith(WHITEOUT):
            continue
        folder: Node | None = root
        for part in above:
            folder = folder.children.get(part) if folder is not None else None
        if folder is None or folder.kind != "dir":
            continue
        if name == OPAQUE:
            folder.children.clear()
        else:
            folder.children.pop(name.removeprefix(WHITEOUT), None)


def _add(root: Node, folder: Node, name: str, member: tarfile.TarInfo, number: int, layer: Path) -> None:
    if member.islnk():
        parts = _parts(member.linkname, layer)
        parent = _folder(root, parts[:-1], create=False) if parts else None
        linked = parent.children.get(parts[-1]) if parent else None
        if linked is None or linked.kind == "dir":
            raise PicoError(f"hard link '{member.name}' to '{member.linkname}', which is no file", where=layer.name)
        folder.children[name] = linked
        return
    kind = KINDS.get(member.type)
    if kind is None:
        raise PicoError(f"'{member.name}' is of an unknown type {member.type!r}", where=layer.name)
    before = folder.children.get(name)
    if kind == "dir" and before is not None and before.kind == "dir":
        _adopt(before, member)
        return
    node = Node(kind, target=member.linkname if kind == "symlink" else "")
    if kind == "file":
        node.size, node.content = member.size, (number, member)
    if kind in ("char", "block"):
        node.device = (member.devmajor, member.devminor)
    _adopt(node, member)
    folder.children[name] = node


def _adopt(node: Node, member: tarfile.TarInfo) -> None:
    """Take over owner, mode, time and attributes."""
    node.mode, node.uid, node.gid, node.mtime = member.mode & 0o7777, member.uid, member.gid, int(member.mtime)
    node.xattrs = {
        key.removeprefix(XATTR).encode(errors="surrogateescape"): value.encode(errors="surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith(XATTR)
    }


def _parts(name: str, layer: Path) -> list[str]:
    """The components of a name. Raises PicoError when it leads out of the root."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise PicoError(f"the name '{name}' leads out of the image", where=layer.name)
    return parts


def _folder(root: Node, parts: Sequence[str], *, create: bool) -> Node | None:
    """The folder at a path; symbolic links on the way are followed inside the tree, as a chroot would."""
    trail, todo, links = [root], list(reversed(parts)), 0
    while todo:
        part = todo.pop()
        if part == "..":
            del trail[max(len(trail) - 1, 1) :]
            continue
        here = trail[-1]
        child = here.children.get(part)
        if child is not None and child.kind == "symlink":
            links += 1
            if links > MOST_LINKS:
                raise PicoError(f"too many symbolic links in the path '{'/'.join(parts)}'")
            if child.target.startswith("/"):
                trail = [root]
            todo += [step for step in reversed(child.target.split("/")) if step not in ("", ".")]
            continue
        if child is None or child.kind != "dir":
            if not create:
                return None
            child = here.children[part] = Node("dir")
        trail.append(child)
    return trail[-1]


def _members(layer: Path, left: Limits) -> Iterator[tarfile.TarInfo]:
    with layer.open("rb") as handle:
        yield from members(handle, layer.name, left.names)


def _write(root: Node, layers: Sequence[Path], out: IO[bytes]) -> int:
    written: dict[int, bytes] = {}
    count = 0
    with contextlib.ExitStack() as stack:
        tars = []
        for layer in layers:
            with damaged(layer.name):
                tars.append(stack.enter_context(opened(stack.enter_context(layer.open("rb")))))
        for path, node in _walk(root, b""):
            first = written.setdefault(id(node), path)
            linked = first is not path and node.kind != "dir"
            out.write(
                tarout.header(
                    path,
                    "link" if linked else node.kind,
                    mode=node.mode,
                    uid=node.uid,
                    gid=node.gid,
                    mtime=node.mtime,
                    size=0 if linked else node.size,
                    target=first if linked else node.target.encode(errors="surrogateescape"),
                    device=node.device,
                    xattrs={} if linked else node.xattrs,
                )
            )
            if node.content and not linked:
                number, member = node.content
                with damaged(layers[number].name):
                    _copy(tars[number].fileobject(tars[number], member), out, node.size)
                out.write(bytes(-node.size % tarout.BLOCK))
            count += 1
    tarout.end(out)
    return count


def _copy(source: IO[bytes], out: IO[bytes], size: int) -> None:
    """As many bytes as the header said. Raises EOFError."""
    while size > 0:
        chunk = source.read(min(size, 1 << 20))
        if not chunk:
            raise EOFError("a file is shorter than its header says")
        out.write(chunk)
        size -= len(chunk)


def _walk(root: Node, prefix: bytes) -> Iterator[tuple[bytes, Node]]:
    """Every name below and including the root, folders before what is in them, in the order of their bytes."""
    yield prefix or b".", root
    stack = [(prefix, root)]
    while stack:
        base, folder = stack.pop()
        encoded = {name.encode(errors="surrogateescape"): node for name, node in folder.children.items()}
        named = sorted(encoded.items(), key=lambda item: item[0])
        deeper = []
        for name, node in named:
            path = base + b"/" + name if base else name
            yield path, node
            if node.kind == "dir":
                deeper.append((path, node))
        stack += reversed(deeper)

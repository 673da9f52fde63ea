"""Reads what a repository's server gave, which anybody may have written: within bounds of size, depth and count.

XML is read by the standard library's expat; a document type, and so every entity of its own, is refused.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable
from pathlib import Path

from photonbuild.installer.errors import FetchError
from photonbuild.run import run

# Bytes of metadata as it comes and unpacked, in memory; Fedora's has 30 and 180 MB.
METADATA_LIMIT, UNPACKED_LIMIT = 64 << 20, 256 << 20
# Of elements in each other; primary.xml has five.
DEPTH_LIMIT = 32
# A program for what Python before 3.14 does not unpack, by the end of the name.
PROGRAMS = {".zst": "zstd", ".xz": "xz"}
PACKED = (".gz", *PROGRAMS)


def unpacked(data: bytes, name: str, work: Path, limit: int = UNPACKED_LIMIT) -> bytes:
    """The content of a file with one of the ends PACKED. Raises FetchError: it is damaged or larger than `limit`."""
    suffix = Path(name).suffix
    return _gunzipped(data, name, limit) if suffix == ".gz" else _by_program(PROGRAMS[suffix], data, name, work, limit)


def _gunzipped(data: bytes, name: str, limit: int) -> bytes:
    found = b""
    try:
        while data and len(found) <= limit:
            reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            found += reader.decompress(data, limit + 1 - len(found))
            if not reader.eof and len(found) <= limit:
                raise FetchError("cannot be unpacked: it ends too early", where=name)
            # gzip(1) takes several parts after each other, and zeros at the end.
            data = reader.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise FetchError(f"cannot be unpacked: {error}", where=name) from None
    return _within(found, name, limit)


def _by_program(program: str, data: bytes, name: str, work: Path, limit: int) -> bytes:
    """By zstd or xz, which take the same words; the kernel ends it where it writes more than one byte too much."""
    output = work / "metadata"
    work.mkdir(parents=True, exist_ok=True)
    try:
        argv = ["prlimit", f"--fsize={limit + 1}", program, "--decompress", "--quiet", "--stdout"]
        done = run(argv, input=data, log=output, check=False, error=FetchError)
        found = output.read_bytes()
    finally:
        output.unlink(missing_ok=True)
    _within(found, name, limit)
    if done.returncode:
        raise FetchError(f"cannot be unpacked: {program} failed with exit code {done.returncode}", where=name)
    return found


def _within(found: bytes, name: str, limit: int) -> bytes:
    if len(found) > limit:
        raise FetchError(f"this is larger than {limit >> 20} MiB when it is unpacked", where=name)
    return found


class _Bounded(ElementTree.TreeBuilder):
    """Builds one child of the root after the other, hands it on, and forgets it."""

    def __init__(self, take: Callable[[ElementTree.Element], None], where: str) -> None:
        super().__init__()
        self.take, self.where, self.depth = take, where, 0
        self.root: ElementTree.Element | None = None

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise FetchError("it has a document type, which metadata has not", where=self.where)

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise FetchError(f"more than {DEPTH_LIMIT} elements are in each other", where=self.where)
        made = super().start(tag, attrs)
        self.root = made if self.root is None else self.root
        return made

    def end(self, tag: str, /) -> ElementTree.Element:
        self.depth -= 1
        done = super().end(tag)
        if self.depth == 1 and self.root is not None:
            self.take(done)
            self.root.clear()
        return done


def each_child(data: bytes, where: str, take: Callable[[ElementTree.Element], None]) -> None:
    """Calls `take` with every child of the root. Raises FetchError for what is no XML or is out of bounds."""
    parser = ElementTree.XMLParser(target=_Bounded(take, where))
    try:
        parser.feed(data)
        parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise FetchError(f"not valid XML: {error}", where=where) from None

"""Packages of a repository, from its metadata: repomd.xml and primary.xml.gz."""

from __future__ import annotations

import gzip
import hashlib
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import dataclass

from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.kickstart.model import Repository

REPO = "{http://linux.duke.edu/metadata/repo}"
COMMON = "{http://linux.duke.edu/metadata/common}"
RPM = "{http://linux.duke.edu/metadata/rpm}"
METADATA_LIMIT = 64 << 20
ARCHITECTURES = ("x86_64", "noarch")


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package of a repository, by its address; sizes in bytes. `provides` has the files of bin folders too."""

    name: str
    epoch: str
    version: str
    release: str
    url: str
    sha256: str
    size: int
    provides: frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()

    @property
    def nevr(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch not in ("", "0") else ""
        return f"{self.name}-{epoch}{self.version}-{self.release}"


def read_repository(fetcher: Fetcher, repository: Repository) -> list[Package]:
    """All packages of a repository for this architecture. Raises FetchError, with the file that is wrong."""
    base = repository.baseurl.rstrip("/")
    index = fetcher.read_bytes(parse_source(f"{base}/repodata/repomd.xml"), limit=METADATA_LIMIT)
    href, digest = primary_of(index, f"{base}/repodata/repomd.xml")
    where = f"{base}/{href}"
    data = fetcher.read_bytes(parse_source(where), limit=METADATA_LIMIT)
    if hashlib.sha256(data).hexdigest() != digest:
        raise FetchError("its sha256 is not the one in repomd.xml", where=where, hint="run createrepo_c again")
    try:
        text = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FetchError(f"cannot be unpacked: {error}", where=where) from None
    return packages_of(text, base, where)


def _parsed(data: bytes, where: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise FetchError(f"not valid XML: {error}", where=where) from None


def primary_of(index: bytes, where: str) -> tuple[str, str]:
    """Path and sha256 of primary.xml.gz."""
    for entry in _parsed(index, where).iter(f"{REPO}data"):
        if entry.get("type") == "primary":
            location, checksum = entry.find(f"{REPO}location"), entry.find(f"{REPO}checksum")
            href = location.get("href", "") if location is not None else ""
            if not href.endswith(".gz"):
                raise FetchError(
                    f"'{href}' is not of the kind that is read here", where=where, hint="publish gz metadata"
                )
            if checksum is None or checksum.get("type") != "sha256" or not checksum.text:
                raise FetchError("the primary metadata has no sha256", where=where)
            return href, checksum.text.strip()
    raise FetchError("no primary metadata is named", where=where)


def packages_of(data: bytes, base: str, where: str) -> list[Package]:
    found = []
    for entry in _parsed(data, where).iter(f"{COMMON}package"):
        if entry.findtext(f"{COMMON}arch") not in ARCHITECTURES:
            continue
        name = entry.findtext(f"{COMMON}name", "")
        version, location = entry.find(f"{COMMON}version"), entry.find(f"{COMMON}location")
        checksum, size = entry.find(f"{COMMON}checksum"), entry.find(f"{COMMON}size")
        if version is None or location is None or checksum is None or size is None or checksum.get("type") != "sha256":
            raise FetchError(f"package '{name}' lacks its version, place, size or sha256", where=where)
        href = location.get("href", "")
        if ".." in href.split("/") or not href.endswith(".rpm"):
            raise FetchError(f"package '{name}' has the odd place '{href}'", where=where)
        found.append(
            Package(
                name=name,
                epoch=version.get("epoch", "0"),
                version=version.get("ver", ""),
                release=version.get("rel", ""),
                url=f"{base}/{href}",
                sha256=(checksum.text or "").strip(),
                size=int(size.get("package", "0")),
                provides=_names(entry, "provides")
                | frozenset(item.text or "" for item in entry.iterfind(f".//{COMMON}file")),
                requires=_names(entry, "requires"),
            )
        )
    return found


def _names(entry: ElementTree.Element, kind: str) -> frozenset[str]:
    return frozenset(item.get("name", "") for item in entry.iterfind(f".//{RPM}{kind}/{RPM}entry"))

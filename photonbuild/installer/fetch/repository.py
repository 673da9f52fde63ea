"""Packages of a repository, from its metadata: repomd.xml and primary.xml, packed by gzip, zstd or xz."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.metadata import METADATA_LIMIT, PACKED, each_child, unpacked
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.kickstart.model import Repository

REPO = "{http://linux.duke.edu/metadata/repo}"
COMMON = "{http://linux.duke.edu/metadata/common}"
RPM = "{http://linux.duke.edu/metadata/rpm}"
ARCHITECTURES = ("x86_64", "noarch")
# Forms of what packages are named and compared by.
NAME, VERSION, NUMBER, SHA256 = r"[A-Za-z0-9][\w.+-]*", r"[\w.+~^]+", r"[0-9]{1,18}", r"[0-9a-f]{64}"


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
    return packages_of(unpacked(data, where, fetcher.paths.work), base, where)


def primary_of(index: bytes, where: str) -> tuple[str, str]:
    """Path and sha256 of the packed primary.xml."""
    found: list[ElementTree.Element] = []
    each_child(index, where, lambda entry: found.append(entry) if _is_primary(entry) else None)
    if not found:
        raise FetchError("no primary metadata is named", where=where)
    location, checksum = found[0].find(f"{REPO}location"), found[0].find(f"{REPO}checksum")
    href = location.get("href", "") if location is not None else ""
    if not href.endswith(PACKED) or not _is_inside(href):
        kinds = ", ".join(PACKED)
        raise FetchError(f"'{href}' is not of a kind that is read here", where=where, hint=f"there are {kinds}")
    digest = (checksum.text or "").strip() if checksum is not None and checksum.get("type") == "sha256" else ""
    if not re.fullmatch(SHA256, digest):
        raise FetchError("the primary metadata has no sha256", where=where)
    return href, digest


def _is_primary(entry: ElementTree.Element) -> bool:
    return entry.tag == f"{REPO}data" and entry.get("type") == "primary"


def _is_inside(href: str) -> bool:
    """Whether it is a plain path below the repository, that needs no escapes but what `quote` gives it."""
    return ".." not in href.split("/") and not href.startswith("/") and href.isprintable() and "%" not in href


def packages_of(data: bytes, base: str, where: str) -> list[Package]:
    """Those for this architecture. Raises FetchError for an entry that lacks something or has it in an odd form."""
    found: list[Package] = []

    def take(entry: ElementTree.Element) -> None:
        if entry.tag == f"{COMMON}package" and entry.findtext(f"{COMMON}arch") in ARCHITECTURES:
            found.append(_package(entry, base, where))

    each_child(data, where, take)
    return found


def _package(entry: ElementTree.Element, base: str, where: str) -> Package:
    name = entry.findtext(f"{COMMON}name", "")
    version, location = entry.find(f"{COMMON}version"), entry.find(f"{COMMON}location")
    checksum, size = entry.find(f"{COMMON}checksum"), entry.find(f"{COMMON}size")
    if version is None or location is None or checksum is None or size is None or checksum.get("type") != "sha256":
        raise FetchError(f"package '{name}' lacks its version, place, size or sha256", where=where)
    href = location.get("href", "")
    if not _is_inside(href) or not href.endswith(".rpm"):
        raise FetchError(f"package '{name}' has the odd place '{href}'", where=where)
    forms = {
        "name": (NAME, name),
        "epoch": (NUMBER, version.get("epoch", "0") or "0"),
        "version": (VERSION, version.get("ver", "")),
        "release": (VERSION, version.get("rel", "")),
        "sha256": (SHA256, (checksum.text or "").strip()),
        "size": (NUMBER, size.get("package", "0")),
    }
    for what, (form, text) in forms.items():
        if not re.fullmatch(form, text, re.ASCII):
            raise FetchError(f"package '{name[:80]}' has the odd {what} '{text[:80]}'", where=where)
    return Package(
        **{key: forms[key][1] for key in ("name", "epoch", "version", "release", "sha256")},
        url=f"{base}/{urllib.parse.quote(href) if base.startswith('http') else href}",
        size=int(forms["size"][1]),
        provides=_names(entry, "provides") | frozenset(item.text or "" for item in entry.iterfind(f".//{COMMON}file")),
        requires=_names(entry, "requires"),
    )


def _names(entry: ElementTree.Element, kind: str) -> frozenset[str]:
    return frozenset(item.get("name", "") for item in entry.iterfind(f".//{RPM}{kind}/{RPM}entry"))

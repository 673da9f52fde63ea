"""Packages of a repository: its metadata read (repomd.xml and primary.xml.gz), the newest of each name chosen."""

from __future__ import annotations

import functools
import gzip
import hashlib
import itertools
import re
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable, Iterable, Sequence

from photonbuild.documents import nearest
from photonbuild.installer.facts import Package
from photonbuild.installer.failures import FetchError, PackageError
from photonbuild.installer.fetching import Fetcher, source
from photonbuild.installer.kickstart import Repository

REPO = "{http://linux.duke.edu/metadata/repo}"
COMMON = "{http://linux.duke.edu/metadata/common}"
RPM = "{http://linux.duke.edu/metadata/rpm}"
METADATA_LIMIT = 64 << 20
ARCHITECTURES = ("x86_64", "noarch")


def read_repository(fetcher: Fetcher, repository: Repository) -> list[Package]:
    """All packages of a repository for this architecture. Raises FetchError, with the file that is wrong."""
    base = repository.baseurl.rstrip("/")
    index = fetcher.data(source(f"{base}/repodata/repomd.xml"), limit=METADATA_LIMIT)
    href, digest = primary_of(index, f"{base}/repodata/repomd.xml")
    where = f"{base}/{href}"
    data = fetcher.data(source(where), limit=METADATA_LIMIT)
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


def choose(wanted: Sequence[str], available: Iterable[Package]) -> list[Package]:
    """The newest package for each name, name=version, or path of a program.

    Raises PackageError naming all that are missing.
    """
    by_name: dict[str, list[Package]] = {}
    for package in available:
        by_name.setdefault(package.name, []).append(package)
        for path in package.provides & set(wanted):
            by_name.setdefault(path, []).append(package)
    chosen, problems = [], []
    for text in wanted:
        name, _, version = text.partition("=")
        candidates = by_name.get(name, [])
        if not candidates:
            problems.append(f"no repository has '{name}'{nearest(name, by_name)}")
            continue
        fitting = [package for package in candidates if not version or version in _versions(package)]
        if not fitting:
            there = ", ".join(package.nevr for package in candidates)
            problems.append(f"there is no '{name}' of version {version} (there are: {there})")
            continue
        chosen.append(max(fitting, key=functools.cmp_to_key(compare)))
    if problems:
        raise PackageError(problems[0] if len(problems) == 1 else f"{len(problems)} packages are not to be had",
                           where="packages", detail="\n".join(problems) if len(problems) > 1 else None)  # fmt: skip
    return chosen


def _versions(package: Package) -> tuple[str, ...]:
    full = f"{package.version}-{package.release}"
    return package.version, full, f"{package.epoch}:{package.version}", f"{package.epoch}:{full}"


def required(
    chosen: Sequence[Package], available: Sequence[Package], unmet: Callable[[Sequence[str]], set[str]]
) -> list[Package]:
    """`chosen` and what they require of `available`, the newest where there are several; rpm judges the result.

    `unmet` says which of some capabilities the system itself does not have. Conditions and versions are rpm's to check.
    """
    result, asked = list(dict.fromkeys(chosen)), set[str]()
    while True:
        names = {name for package in result for name in package.requires if not name.startswith(("rpmlib(", "("))}
        have = {name for package in result for name in (package.name, *package.provides)}
        missing = unmet(sorted(names - have - asked))
        asked |= names
        more = []
        for name in sorted(missing):
            candidates = [package for package in available if name in package.provides or name == package.name]
            if candidates and not any(package in result or package in more for package in candidates):
                more.append(max(candidates, key=functools.cmp_to_key(compare)))
        if not more:
            return result
        result += more


def providers(complaint: str, available: Iterable[Package]) -> list[str]:
    """Names of packages that provide what rpm says is missing ("X is needed by Y")."""
    missing = {line.split()[0] for line in complaint.splitlines() if " is needed by " in line}
    return sorted({package.name for package in available if package.provides & missing or package.name in missing})


def compare(first: Package, second: Package) -> int:
    """-1, 0 or 1 as rpm orders them."""
    epochs = (int(first.epoch or 0), int(second.epoch or 0))
    if epochs[0] != epochs[1]:
        return -1 if epochs[0] < epochs[1] else 1
    return compare_versions(first.version, second.version) or compare_versions(first.release, second.release)


def compare_versions(first: str, second: str) -> int:
    """rpm's order of version strings: segments of digits or letters; '~' is older than the end, '^' newer than it."""
    one, two = (re.findall(r"[0-9]+|[A-Za-z]+|~|\^", text) for text in (first, second))
    for a, b in itertools.zip_longest(one, two, fillvalue=""):
        if _key(a) != _key(b):
            return -1 if _key(a) < _key(b) else 1
    return 0


def _key(segment: str) -> tuple[int, int, str]:
    order = {"~": 0, "": 1, "^": 2}
    if segment in order:
        return order[segment], 0, ""
    return (4, int(segment), "") if segment.isdigit() else (3, 0, segment)

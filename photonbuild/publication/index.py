"""What a repository's metadata lists, read by createrepo_c's own parsers."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from photonbuild.errors import VerifyError
from photonbuild.packages.repo import createrepo

MOST_METADATA = 256 << 20  # bytes of one metadata file


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file that repository metadata lists, by its path in the repository."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ListedPackage(Listed):
    """A package of a repository. `source`: file name of its source package, empty for one that is one."""

    name: str
    arch: str
    evr: tuple[str, str, str]
    nevra: str
    source: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return PurePosixPath(self.path).name

    @property
    def version(self) -> str:
        """[EPOCH:]VERSION-RELEASE, without an epoch of 0, as in `nevra`."""
        epoch, version, release = self.evr
        return f"{epoch}:{version}-{release}" if epoch != "0" else f"{version}-{release}"


@dataclass(frozen=True, kw_only=True)
class Index:
    """repomd.xml: the metadata files by their kind; `revision` as it is written there."""

    revision: str
    metadata: Mapping[str, Listed]


def read_index(data: bytes, where: str) -> Index:
    """repomd.xml. Raises VerifyError."""
    cr = createrepo()
    with _file(data) as path:
        try:
            repomd = cr.Repomd(str(path))
        except Exception as error:  # CreaterepoCError, OSError, UnicodeDecodeError where its message quotes the file
            raise VerifyError("it is no repomd.xml", where=where, detail=str(error)) from None
    metadata = {}
    for record in repomd.records:
        if record.checksum_type != "sha256" or not record.size or record.size > MOST_METADATA:
            raise VerifyError(f"'{record.type}' has no sha256, no size or too large a one", where=where)
        href = _inside(record.location_href, where)
        metadata[record.type] = Listed(path=href, sha256=record.checksum, size=record.size)
    if "primary" not in metadata:
        raise VerifyError("no primary metadata is named", where=where)
    return Index(revision=str(repomd.revision or ""), metadata=metadata)


def read_packages(data: bytes, where: str) -> tuple[ListedPackage, ...]:
    """The packed primary.xml, sorted by NEVRA. Raises VerifyError."""
    cr = createrepo()
    found: list[ListedPackage] = []

    def take(package: Any) -> None:
        # Of epoch 0 nobody speaks.
        nevra = package.nevra() if package.epoch not in (None, "0") else package.nevra().replace("-0:", "-", 1)
        found.append(
            ListedPackage(
                path=_inside(package.location_href, where),
                sha256=package.pkgId,
                size=package.size_package,
                name=package.name,
                arch=package.arch,
                evr=(package.epoch or "0", package.version, package.release),
                nevra=nevra,
                source=package.rpm_sourcerpm or "",
            )
        )

    _parse(data, where, ".xml.gz", lambda path: cr.xml_parse_primary(str(path), pkgcb=take, do_files=False))
    return tuple(sorted(found, key=lambda package: package.nevra))


def read_advisories(data: bytes, where: str) -> tuple[Any, ...]:
    """The packed updateinfo.xml as createrepo_c's records. Raises VerifyError."""
    cr = createrepo()
    found: list[Any] = []
    _parse(data, where, ".xml.gz", lambda path: found.extend(cr.UpdateInfo(str(path)).updates))
    return tuple(found)


def _parse(data: bytes, where: str, suffix: str, parse: Callable[[Path], None]) -> None:
    with _file(data, suffix) as path:
        try:
            parse(path)
        except VerifyError:
            raise
        except Exception as error:  # as in read_index, and whatever an absent field does to what takes the records
            raise VerifyError("it cannot be read", where=where, detail=str(error)) from None


def _inside(href: str | None, where: str) -> str:
    """A path below the repository. Raises VerifyError."""
    path = PurePosixPath(href or "")
    if not href or path.is_absolute() or ".." in path.parts or str(path) != href:
        raise VerifyError(f"'{href}' is no path below the repository", where=where)
    return href


@contextlib.contextmanager
def _file(data: bytes, suffix: str = ".xml") -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(suffix=suffix, prefix="photonbuild-") as handle:
        handle.write(data)
        handle.flush()
        yield Path(handle.name)

"""RPM files to a repository: deterministic gzip metadata beside copies of the packages.

Layout and format: https://github.com/rpm-software-management/createrepo_c
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from photonbuild.errors import SolveError
from photonbuild.files import copy_file, exchange, read_sealed, sealed, write_json
from photonbuild.store import is_full, no_space

CHECKSUM = "sha256"
METADATA = ("primary", "filelists", "other")
MARKER = ".made.json"
FOLDER = "Packages"


def make_repository(
    rpms: Sequence[Path],
    out: Path,
    *,
    revision: int,
    key: str | None = None,
    folder: str = FOLDER,
    advisories: str | None = None,
    sign: Callable[[Path], bytes] | None = None,
) -> None:
    """Make the repository `out` of exactly the files `rpms`; an older one is replaced at the end, in one step.

    The same packages and `revision` (seconds since 1970, the only time written) give the same bytes. The packages go
    to `folder` of it. `advisories`: the text of an updateinfo.xml. `sign` gives the detached signature of a file, for
    repomd.xml. `key` is what `is_made` is asked for afterwards. The caller sees to it that only one process makes `out`
    at a time. Raises SolveError.
    """
    twice = sorted(name for name, count in Counter(path.name for path in rpms).items() if count > 1)
    if twice:
        raise SolveError(f"package file '{twice[0]}' is listed twice", where=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in out.parent.glob(f".{out.name}.????????"):
        # Of a process that was killed.
        shutil.rmtree(left)
    staged = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        staged.chmod(0o755)
        try:
            _fill(sorted(rpms, key=lambda path: path.name), staged, revision, folder, advisories)
        except createrepo().CreaterepoCError as error:
            if is_full(staged):
                raise no_space(staged.parent) from error
            raise SolveError("cannot make the repository", where=str(out), detail=str(error)) from error
        if sign is not None:
            index = staged / "repodata" / "repomd.xml"
            index.with_suffix(".xml.asc").write_bytes(sign(index))
        if key is not None:
            write_json(staged / MARKER, sealed({"key": key, "files": _stamps(staged)}))
        _replace(staged, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def is_made(out: Path, key: str) -> bool:
    """Is this the repository that was made with this key, and nothing in it changed since?"""
    record = read_sealed(out / MARKER)
    return record is not None and record == {"key": key, "files": _stamps(out)}


def _stamps(folder: Path) -> dict[str, list[int]]:
    files = sorted(path for part in ("Packages", "repodata") for path in (folder / part).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def _fill(rpms: Sequence[Path], staged: Path, revision: int, folder: str, advisories: str | None) -> None:
    (staged / folder).mkdir(parents=True)
    (staged / "repodata").mkdir()
    packages = []
    for rpm in rpms:
        packages.append(_read(rpm, f"{folder}/{rpm.name}"))
        copy_file(rpm, staged / folder / rpm.name)
    _check_unique(packages, staged)
    _write_metadata(packages, staged / "repodata", revision, advisories)


def _read(rpm: Path, href: str) -> Any:
    cr = createrepo()
    try:
        package = cr.package_from_rpm(str(rpm), checksum_type=cr.SHA256, location_href=href, changelog_limit=0)
    except Exception as error:
        raise SolveError("not a readable package", where=str(rpm), detail=str(error)) from None
    # The modification time of the file says when it was copied here, not anything about the package.
    package.time_file = package.time_build
    return package


def metadata_of(rpm: Path) -> tuple[str, str, str]:
    """What a repository says of a package file: its primary, filelists and other XML. Raises SolveError."""
    cr, package = createrepo(), _read(rpm, f"{FOLDER}/{rpm.name}")
    return cr.xml_dump_primary(package), cr.xml_dump_filelists(package), cr.xml_dump_other(package)


def make_metadata(packages: Mapping[str, Path | tuple[str, str, str]], out: Path, *, revision: int) -> None:
    """A repository of metadata alone, in the empty folder `out`, the same as `make_repository` writes: by the name of
    each package's file, the file or what `metadata_of` gave. Raises SolveError."""
    (out / "repodata").mkdir()
    read = [
        _read(value, f"{FOLDER}/{name}") if isinstance(value, Path) else _parse(value)
        for name, value in sorted(packages.items())
    ]
    _check_unique(read, out)
    _write_metadata(read, out / "repodata", revision, None)


def _parse(metadata: tuple[str, str, str]) -> Any:
    cr = createrepo()
    found: list[Any] = []
    primary, filelists, other = metadata
    try:
        cr.xml_parse_primary_snippet(primary, pkgcb=found.append, do_files=False)
        (package,) = found
        cr.xml_parse_filelists_snippet(filelists, newpkgcb=lambda *words: package)
        cr.xml_parse_other_snippet(other, newpkgcb=lambda *words: package)
    except Exception as error:
        raise SolveError("no metadata of a package", detail=str(error)) from None
    return package


def evr_of(rpm: Path) -> str:
    """[EPOCH:]VERSION-RELEASE of a package file, without an epoch of 0. Raises SolveError."""
    package = _read(rpm, rpm.name)
    evr = f"{package.version}-{package.release}"
    return evr if package.epoch in (None, "0") else f"{package.epoch}:{evr}"


def _check_unique(packages: Sequence[Any], folder: Path) -> None:
    seen: dict[str, str] = {}
    for package in packages:
        nevra = package.nevra()
        if nevra in seen:
            raise SolveError(f"{nevra} is in two files: {seen[nevra]} and {package.location_href}", where=str(folder))
        seen[nevra] = package.location_href


def _write_metadata(packages: Sequence[Any], repodata: Path, revision: int, advisories: str | None) -> None:
    cr = createrepo()
    makers = {"primary": cr.PrimaryXmlFile, "filelists": cr.FilelistsXmlFile, "other": cr.OtherXmlFile}
    repomd = cr.Repomd()
    repomd.set_revision(str(revision))
    for kind in METADATA:
        path = repodata / f"{kind}.xml.gz"
        stat = cr.ContentStat(cr.SHA256)
        handle = makers[kind](str(path), cr.GZ, stat)
        handle.set_num_of_pkgs(len(packages))
        for package in packages:
            handle.add_pkg(package)
        handle.close()
        _add_record(repomd, kind, path, stat, revision)
    if advisories is not None:
        path = repodata / "updateinfo.xml.gz"
        stat = cr.ContentStat(cr.SHA256)
        handle = cr.CrFile(str(path), cr.MODE_WRITE, cr.GZ, stat)
        handle.write(advisories)
        handle.close()
        _add_record(repomd, "updateinfo", path, stat, revision)
    (repodata / "repomd.xml").write_text(repomd.xml_dump(), encoding="utf-8")


def _add_record(repomd: Any, kind: str, path: Path, stat: Any, revision: int) -> None:
    cr = createrepo()
    record = cr.RepomdRecord(kind, str(path))
    record.load_contentstat(stat)
    record.fill(cr.SHA256)
    record.timestamp = revision
    record.rename_file()
    repomd.set_record(record)


def _replace(staged: Path, out: Path) -> None:
    """Let the two change places, so that there is always one. What was there goes with the folder `staged`."""
    if out.exists():
        exchange(staged, out)
    else:
        os.rename(staged, out)


def createrepo() -> ModuleType:
    """The bindings, imported late: their RPM library reads a configuration that a host without RPM lacks."""
    os.environ.setdefault("RPM_CONFIGDIR", str(Path(__file__).parent / "rpmconfig"))
    import createrepo_c

    module: ModuleType = createrepo_c
    return module

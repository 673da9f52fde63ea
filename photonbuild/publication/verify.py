"""Re-read a publication as a client does, and more: every digest, every signature, every file that is listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from photonbuild.errors import VerifyError
from photonbuild.files import sha256_of
from photonbuild.publication.index import Listed, read_advisories
from photonbuild.publication.layout import INDEX
from photonbuild.publication.openpgp import Key, OpenPGP
from photonbuild.publication.repository import Repository, need_repository
from photonbuild.storage.interface import Reader

AT_ONCE = 64 << 20  # bytes of packages that are fetched before their signatures are checked


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found in order."""

    packages: int
    files: int
    bytes: int
    advisories: int


def verify(source: Reader, folders: Iterable[str], *, key: Key, tools: OpenPGP) -> Verified:
    """Read all of these repositories, signed by `key`. Raises VerifyError that lists everything that is wrong."""
    wrong: list[str] = []
    packages = files = size = advisories = 0
    for folder in folders:
        try:
            repository = need_repository(source, folder)
        except VerifyError as error:
            wrong.append(str(error))
            continue
        wrong += index_faults(repository, key, tools)
        wrong += _packages(source, repository, key, tools)
        wrong += _metadata(source, repository)
        advisories += _advisories(source, repository, wrong)
        packages += len(repository.packages)
        files += len(repository.files) + 2
        size += sum(item.size for item in repository.files.values())
    if wrong:
        hint = "publish again: photonbuild repo publish"
        raise VerifyError(
            f"{len(wrong)} things are wrong", where=source.where, detail="\n".join(wrong[:100]), hint=hint
        )
    return Verified(packages=packages, files=files, bytes=size, advisories=advisories)


def index_faults(repository: Repository, key: Key, tools: OpenPGP) -> list[str]:
    """What is wrong with the signature of an index."""
    where = f"{repository.folder}/{INDEX}"
    if repository.signature is None:
        return [f"{where}: it has no signature"]
    with TemporaryDirectory(prefix="photonbuild-") as folder:
        work = Path(folder)
        (work / "repomd.xml").write_bytes(repository.index_file)
        (work / "repomd.xml.asc").write_bytes(repository.signature)
        bad = tools.check(key, work, files=["repomd.xml"])
    return [f"{where}: not signed by {key.fingerprint}: {_last(detail)}" for detail in bad.values()]


def _packages(source: Reader, repository: Repository, key: Key, tools: OpenPGP) -> list[str]:
    wrong: list[str] = []
    for group in _groups({f"{repository.folder}/{item.path}": item for item in repository.packages}):
        with TemporaryDirectory(prefix="photonbuild-") as folder:
            work = Path(folder)
            names = {}
            for number, (path, item) in enumerate(group.items()):
                name = f"{number}.rpm"
                fault = fetch_listed(source, path, item, work / name)
                if fault is None:
                    names[name] = path
                else:
                    wrong.append(fault)
            wrong += package_faults(work, names, key, tools)
    return wrong


def package_faults(folder: Path, names: Mapping[str, str], key: Key, tools: OpenPGP) -> list[str]:
    """Which files of `folder` (name → what it is called in a message) are no packages that the key has signed."""
    bad = tools.check(key, folder, packages=list(names)) if names else {}
    return [f"{names[name]}: not signed by {key.fingerprint}: {_last(detail)}" for name, detail in bad.items()]


def _metadata(source: Reader, repository: Repository) -> list[str]:
    with TemporaryDirectory(prefix="photonbuild-") as folder:
        work = Path(folder)
        found = (
            fetch_listed(source, f"{repository.folder}/{item.path}", item, work / "file")
            for item in repository.index.metadata.values()
        )
        return [fault for fault in found if fault is not None]


def _advisories(source: Reader, repository: Repository, wrong: list[str]) -> int:
    listed = repository.index.metadata.get("updateinfo")
    data = source.read(f"{repository.folder}/{listed.path}") if listed else None
    if data is None:
        return 0
    try:
        return len(read_advisories(data, f"{repository.folder}/{listed.path if listed else ''}"))
    except VerifyError as error:
        wrong.append(str(error))
        return 0


def fetch_listed(source: Reader, path: str, item: Listed, target: Path) -> str | None:
    """What is wrong with a file, or None; it is then at `target`."""
    target.unlink(missing_ok=True)
    # No more than that: whoever gives it might never end.
    if not source.get(path, target, item.size):
        return f"{path}: it is listed, but is not there"
    if target.stat().st_size != item.size:
        return f"{path}: it has not the {item.size} bytes that are listed"
    if sha256_of(target) != item.sha256:
        return f"{path}: its sha256 is not the one that is listed"
    return None


def _groups(files: Mapping[str, Listed]) -> Iterator[dict[str, Listed]]:
    """In order, each of as much as is worth a look at once."""
    group: dict[str, Listed] = {}
    size = 0
    for path, item in files.items():
        group[path] = item
        size += item.size
        if size >= AT_ONCE:
            yield group
            group, size = {}, 0
    if group:
        yield group


def _last(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if "OK" not in line]
    return "; ".join(lines[-3:])

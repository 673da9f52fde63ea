"""Advisories as updateinfo.xml, written by createrepo_c: which packages of which version mend what."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from photonbuild import documents
from photonbuild.config import validation
from photonbuild.config.advisories import Advisory
from photonbuild.config.models import Distribution
from photonbuild.documents import Document, Problem, fail, nearest
from photonbuild.packages.package import Package
from photonbuild.packages.repo import createrepo
from photonbuild.packages.versions import compare
from photonbuild.roots import Roots

FOLDER = "advisories"


def read_advisories(roots: Roots, packages: Mapping[str, Sequence[Package]]) -> tuple[Advisory, ...]:
    """The advisories of ``build/advisories``, sorted by id. `packages`: those that are published, by spec.

    Each must name specs that are published, in this version or a later one. Raises ConfigError.
    """
    found: dict[str, Advisory] = {}
    for path in roots.entries(f"build/{FOLDER}", "*.yaml").values():
        document = documents.read(path, name=roots.where(path))
        advisory = validation.validate(document, Advisory)
        problems = [*_own_problems(path, advisory, document), *_problems(advisory, document, packages)]
        if problems:
            raise fail(document.name, problems)
        found[advisory.id] = advisory
    return tuple(found[name] for name in sorted(found))


def _own_problems(path: Path, advisory: Advisory, document: Document) -> Iterable[Problem]:
    if advisory.id.replace(":", "-") != path.stem:
        yield Problem(line=document.line(("id",)), message=f"key 'id': the file of {advisory.id} is to have its name")


def _problems(advisory: Advisory, document: Document, packages: Mapping[str, Sequence[Package]]) -> Iterable[Problem]:
    for spec, evr in advisory.packages.items():
        line = document.line(("packages", spec), key=True)
        if spec not in packages:
            yield Problem(line=line, message=f"no spec '{spec}' is published{nearest(spec, packages)}")
            continue
        for package in packages[spec][:1]:
            published = evr_of(package)
            if compare(published, evr) < 0:
                text = f"'{spec}' is published in version {published}, which is before {evr}"
                yield Problem(line=line, message=text)


def updateinfo(
    advisories: Iterable[Advisory], packages: Mapping[str, Sequence[Package]], distribution: Distribution
) -> str | None:
    """The text of updateinfo.xml, which names every package of the specs; None without advisories."""
    cr = createrepo()
    info, count = cr.UpdateInfo(), 0
    for advisory in advisories:
        info.append(_record(advisory, packages, distribution))
        count += 1
    return str(info.xml_dump()) if count else None


def _record(advisory: Advisory, packages: Mapping[str, Sequence[Package]], distribution: Distribution) -> Any:
    cr = createrepo()
    record = cr.UpdateRecord()
    record.fromstr = distribution.id
    record.status = "final"
    record.type = advisory.type
    record.version = "1"
    record.id = advisory.id
    record.title = advisory.title
    record.issued_date = _date(advisory.issued)
    record.updated_date = _date(advisory.updated or advisory.issued)
    record.release = f"{distribution.name} {distribution.version}"
    record.summary = advisory.title
    record.description = advisory.description
    record.severity = (advisory.severity or "none").capitalize()
    record.reboot_suggested = advisory.reboot
    for cve in advisory.cves:
        reference = cr.UpdateReference()
        reference.id = reference.title = cve
        reference.type = "cve"
        reference.href = f"https://www.cve.org/CVERecord?id={cve}"
        record.append_reference(reference)
    collection = cr.UpdateCollection()
    collection.shortname = f"{distribution.id}-{distribution.version}"
    collection.name = f"{distribution.name} {distribution.version}"
    for spec, evr in sorted(advisory.packages.items()):
        for package in sorted(packages[spec], key=lambda package: package.nevra):
            collection.append(_package(package, evr, advisory))
    record.append_collection(collection)
    return record


def _package(package: Package, evr: str, advisory: Advisory) -> Any:
    epoch, _, rest = evr.rpartition(":")
    version, _, release = rest.rpartition("-")
    item = createrepo().UpdateCollectionPackage()
    item.name, item.arch = package.name, package.arch
    item.epoch, item.version, item.release = epoch or "0", version, release
    item.filename = f"{package.name}-{version}-{release}.{package.arch}.rpm"
    item.src = package.source
    item.reboot_suggested = advisory.reboot
    return item


def evr_of(package: Package) -> str:
    """[EPOCH:]VERSION-RELEASE of a package."""
    return package.nevra.removeprefix(f"{package.name}-").removesuffix(f".{package.arch}")


def _date(day: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(day)

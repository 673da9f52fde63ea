"""From the text of a kickstart to its frozen data. Every mistake is reported at once, with file, line and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from photonbuild.documents import Document, Problem, fail, parse_json, parse_yaml, read_text
from photonbuild.errors import ConfigError
from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.convert import PACKAGE_KEYS, to_model, without_flavors
from photonbuild.installer.kickstart.crosschecks import CROSS_CHECKS
from photonbuild.installer.kickstart.keys import KICKSTART
from photonbuild.installer.kickstart.kinds import (
    Fault,
    Field,
    Items,
    Location,
    Record,
    check,
    dotted,
    instead,
    with_defaults,
)
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.kickstart.remarks import Remark, remarks
from photonbuild.installer.kickstart.values import PACKAGE
from photonbuild.installer.kickstart.variables import TAG, Parameters, has_sources, replaced, variables

LIST = Record(fields=tuple(Field(name=name, kind=Items(of=PACKAGE)) for name in (*PACKAGE_KEYS, "packages_aarch64")))


def load(path: Path, *, name: str | None = None, params: Mapping[str, str] | None = None) -> Kickstart:
    """Read and check a file. Raises ConfigError."""
    name = name or str(path)
    return parse(read_text(path, name), name, params=params)


def parse(
    text: str,
    name: str,
    *,
    params: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
) -> Kickstart:
    """Check JSON or YAML. Raises ConfigError with every mistake, each with the file's `name` and its line.

    `params` are values for `!param`. `values` are those of variables, as preinstall has set them; without them the
    kickstart is checked as far as it is known, and has them as `pending`.
    """
    given = Parameters(params or {})
    document = _document(text, name, given)
    given.require_asked(name)
    return from_document(document, values=values)


def packages_listed(text: str, name: str) -> tuple[str, ...]:
    """Packages of a file that `packagelist_file` names. Raises ConfigError."""
    document = _document(text, name, Parameters({}))
    _require_right(document, check(_mapping(document), LIST))
    return without_flavors(document.data)


def _document(text: str, name: str, params: Parameters) -> Document:
    if name.endswith((".yaml", ".yml")) or not text.lstrip().startswith("{"):
        return parse_json(text, name) if name.endswith(".json") else parse_yaml(text, name, tags={TAG: params.value})
    try:
        return parse_json(text, name)
    except ConfigError:
        # Published ones end in .cfg and are YAML of the form that looks like JSON.
        if name.endswith(".json"):
            raise
        try:
            return parse_yaml(text, name, tags={TAG: params.value})
        except ConfigError:
            pass
        raise


def _mapping(document: Document) -> dict[str, Any]:
    if not isinstance(document.data, dict):
        raise fail(document.name, [Problem(line=1, message="a mapping of keys to values is expected")])
    return document.data


def from_document(document: Document, *, values: Mapping[str, str] | None = None) -> Kickstart:
    """Check what is parsed. Raises ConfigError as `parse` does."""
    given = _mapping(document)
    waiting = dict(variables(given, KICKSTART)) if has_sources(given) else {}
    faults: list[Fault] = []
    if values is None and not (given.get("preinstall") or given.get("preinstallscripts")):
        environment = given.get("environment")
        values = environment if isinstance(environment, dict) else {}
    if values is not None:
        known = {loc: values[name] for loc, name in waiting.items() if isinstance(values.get(name), str)}
        for loc, name in waiting.items():
            if loc not in known:
                message = f"key '{dotted(loc)}': neither 'preinstall' nor 'environment' sets '{name}'"
                faults.append(Fault(loc=loc, message=message))
        given, waiting = replaced(given, known), {loc: name for loc, name in waiting.items() if loc not in known}
    faults += [fault for fault in check(given, KICKSTART) if fault.loc not in waiting]
    faulty = {fault.loc[0] for fault in faults if fault.loc}
    data = with_defaults(given, KICKSTART)
    for keys, find in CROSS_CHECKS:
        # How keys go together is looked at where they are right by themselves.
        if not faulty & set(keys):
            faults.extend(fault for fault in find(data) if fault.loc not in waiting)
    _require_right(document, faults)
    return _model(document, data, waiting)


def _require_right(document: Document, faults: Iterable[Fault]) -> None:
    problems = [Problem(line=document.line(f.loc, key=f.key), message=f.message) for f in faults]
    if problems:
        error = fail(document.name, problems)
        raise KickstartError(error.message, where=error.where, detail=error.detail)


def _model(document: Document, data: Mapping[str, Any], waiting: Mapping[Location, str]) -> Kickstart:
    def line(loc: Location, message: str) -> tuple[int, str]:
        number = document.line(loc)
        return number, f"{document.name}:{number}: {message}"

    said = list(remarks(data))
    notes = [line(fault.loc, fault.message) for fault in instead(data, KICKSTART)]
    notes += [line(remark.loc, remark.message) for remark in said if not remark.refusal]

    def refusals(found: Iterable[Remark]) -> tuple[str, ...]:
        return tuple(text for _, text in sorted(line(each.loc, each.message) for each in found if each.refusal))

    return to_model(
        document.name,
        data,
        notes=tuple(text for _, text in sorted(notes)),
        refusals=refusals(said),
        image_refusals=refusals(each for each in said if not each.of_disks),
        pending={dotted(loc): name for loc, name in waiting.items()},
    )

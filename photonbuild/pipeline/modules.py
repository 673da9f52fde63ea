"""Packages made from a Go module with ``tool`` lines: the versions that its proxy has, and go.mod raised to one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.sources import GoModule, SourceEntry
from photonbuild.errors import SourceError
from photonbuild.packages.spec import Spec
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind
from photonbuild.sources.fetch import GO_MODULE, fetch_anew, go_sandbox


@dataclass(frozen=True, kw_only=True)
class Module:
    """The module that a package is made from: the first that go.mod requires for one of its tools."""

    path: str
    version: str


def provider_of(entry: SourceEntry) -> GoModule | None:
    """The module beside the spec that a source is vendored from; one in a tar is our own, and has no other version."""
    return next((each for each in entry.providers if isinstance(each, GoModule) and each.tar is None), None)


def as_package(version: str) -> str:
    """A version of Go as packages have it: v2.0.0-beta.1+incompatible is 2.0.0~beta.1."""
    return version.removeprefix("v").partition("+")[0].replace("-", "~")


def as_module(version: str) -> str:
    """The other way, as far as it goes: Go's query finds what `+` is followed by."""
    return f"v{version.replace('~', '-')}"


def find_module(session: Session, folder: Path) -> Module | None:
    """The module in question of the go.mod in this folder; None where it has no tools of others."""
    parsed = json.loads(_go(session, folder, "mod", "edit", "-json"))
    tools = [tool["Path"] for tool in parsed.get("Tool") or ()]
    for each in parsed.get("Require") or ():
        if any(f"{tool}/".startswith(f"{each['Path']}/") for tool in tools):
            return Module(path=each["Path"], version=each["Version"])
    return None


def newest(session: Session, folder: Path) -> str | None:
    """The newest version that the proxy tells, as packages have it. Raises SourceError."""
    module = find_module(session, folder)
    return as_package(_version(session, f"{module.path}@latest")) if module else None


def raised(
    session: Session, spec: Spec, index: int, version: str | None
) -> tuple[str, Mapping[Path, str], SourceEntry]:
    """(the version as packages have it, go.mod and go.sum with it, the source locked anew, which is in the store then).

    Raises SourceError where the proxy does not give it, with the versions that it lists.
    """
    entry = spec.fetched.sources[index]
    provider = provider_of(entry)
    assert provider is not None
    folder = spec.folder / provider.module
    module = find_module(session, folder)
    if module is None:
        raise SourceError("its go.mod names no tool of another module", where=str(folder / "go.mod"))
    try:
        chosen = _version(session, f"{module.path}@{'latest' if version is None else as_module(version)}")
    except SourceError as error:
        known = _go(session, None, "list", "-m", "-versions", module.path).split()[1:]
        hint = f"listed: {', '.join(map(as_package, known[::-1][:10])) or 'none'}"
        raise SourceError(f"no {module.path} {version} is given", detail=error.detail, hint=hint) from None
    with session.store.staging() as work:
        copy = work / "specs" / spec.name
        target = copy / provider.module
        target.mkdir(parents=True)
        for name in GO_MODULE:
            shutil.copyfile(folder / name, target / name)
        shutil.copyfile(spec.folder / "sources.yaml", copy / "sources.yaml")
        _go(session, target, "mod", "edit", f"-require={module.path}@{chosen}", write=True)
        _go(session, target, "mod", "tidy", write=True)
        locked = fetch_anew(session.fetcher, copy, entry)
        files = {folder / name: (target / name).read_text(encoding="utf-8") for name in GO_MODULE}
    return as_package(chosen), files, locked


def _version(session: Session, query: str) -> str:
    return _go(session, None, "list", "-m", "-f", "{{.Version}}", query).strip()


def _go(session: Session, module: Path | None, *words: str, write: bool = False) -> str:
    """Run go(1) in a module, or in a folder without one; what it prints. Raises SourceError."""
    with session.store.staging() as empty:
        box = go_sandbox(session.fetcher, [Bind(module or empty, "/module", readonly=not write)])
        try:
            return str(box.run(["go", *words], cwd="/module", error=SourceError).stdout)
        except SourceError as error:
            said = [line for line in (error.detail or "").splitlines() if line.startswith("go: ")]
            raise SourceError(said[0] if said else error.message, detail=error.detail) from None

"""Sources: every file is accepted by its sha512 only, whoever provides it; providers are tried in order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild import code, documents, pack
from photonbuild.config.load import Config, load_sources
from photonbuild.config.sources import Cargo, DebSrc, GoModule, Local, PyPI, Snapshot, SourceEntry, Url
from photonbuild.documents import Document
from photonbuild.errors import SourceError
from photonbuild.files import sha512_of
from photonbuild.roots import Roots
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.sources.certificates import CERTIFICATES, certificate_binds
from photonbuild.sources.local import LocalSource, local_tar
from photonbuild.sources.mirrors import (
    archives_of,
    cargo_configuration,
    cargo_environment,
    download,
    go_environment,
    snapshot_service,
)
from photonbuild.sources.pypi import file_url
from photonbuild.store import Store

GO_MODULE = ("go.mod", "go.sum")
GOVENDOR = code.program("photonbuild.sources.inside.govendor")
CRATE = ("Cargo.toml", "Cargo.lock")
CARGOVENDOR = code.program("photonbuild.sources.inside.cargovendor")


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """What the providers need. `roots`: the roots of the build seed in which packages of these names are, uppermost
    first; a callable, because only some providers need them."""

    config: Config
    store: Store
    roots: Callable[..., Sequence[Path]]
    offline: bool = False


def stored(store: Store, entry: SourceEntry) -> Path:
    """Where the store keeps this file, whether or not it is there yet."""
    return store.root / "sources" / str(entry.sha512)


def is_whole(store: Store, entry: SourceEntry) -> bool:
    """Has the stored file the locked digest? Each is read once by a process."""
    path = stored(store, entry)
    if path not in store.uses.intact and sha512_of(path) == entry.sha512:
        store.uses.intact.add(path)
    return path in store.uses.intact


def fetch(fetcher: Fetcher, spec_dir: Path, entry: SourceEntry) -> Path:
    """The file in the store, fetched now if need be. Raises SourceError that names every provider tried."""
    where = _where(fetcher, spec_dir)
    if entry.sha512 is None:
        raise SourceError(f"{entry.file} has no sha512", where=where, hint=f"photonbuild sources lock {spec_dir.name}")
    target = fetcher.store.use(stored(fetcher.store, entry))
    reasons = []
    with fetcher.store.lock(f"source-{entry.sha512[:32]}"):
        if target.exists():
            if is_whole(fetcher.store, entry):
                return target
            fetcher.store.warn(f"{entry.file} in the store is damaged; it is fetched again")
            fetcher.store.discard(target)
        if fetcher.offline:
            raise SourceError(f"{entry.file} is not in the store", where=where, hint="run once without --offline")
        for provider in entry.providers:
            with fetcher.store.staging() as work:
                try:
                    file = PROVIDERS[type(provider)](fetcher, spec_dir, entry, provider, work)
                except SourceError as exc:
                    reasons.append(f"{provider.type}: {exc.message}" + (f"\n{exc.detail}" if exc.detail else ""))
                    continue
                found = sha512_of(file)
                if found == entry.sha512:
                    file.chmod(0o644)
                    fetcher.store.publish(file, target)
                    return target
                reasons.append(f"{provider.type}: wrong sha512, wanted {entry.sha512[:16]}…, got {found[:16]}…")
    raise SourceError(
        f"no provider yields {entry.file}",
        where=where,
        detail="\n".join(reasons),
        hint=f"check the network, or run photonbuild sources lock {spec_dir.name} if upstream changed",
    )


def lock(fetcher: Fetcher, spec_dir: Path) -> list[str]:
    """Fill in sha512 and size from the first provider that answers; returns the names of the files that changed.

    The rest of sources.yaml stays as it is written, comments too. Raises ConfigError when it is no valid one.
    """
    path = spec_dir / "sources.yaml"
    entries = load_sources(spec_dir, roots=fetcher.config.roots).sources
    changed: dict[int, dict[str, str]] = {}
    for index, entry in enumerate(entries):
        anew = fetch_anew(fetcher, spec_dir, entry)
        if (anew.sha512, anew.size) != (entry.sha512, entry.size):
            changed[index] = {"sha512": str(anew.sha512), "size": str(anew.size)}
    if changed:
        temporary = path.with_name(".sources.yaml.new")
        temporary.write_text(with_values(documents.read(path), path.read_text("utf-8"), changed), encoding="utf-8")
        temporary.replace(path)
    return [entries[index].file for index in changed]


def fetch_anew(fetcher: Fetcher, spec_dir: Path, entry: SourceEntry) -> SourceEntry:
    """The entry with size and digest of what its first provider that answers gives, which is in the store then."""
    with fetcher.store.staging() as work:
        # What is locked says nothing of what there is now.
        anew = entry.model_copy(update={"sha512": None, "size": None})
        file = _first(fetcher, spec_dir, anew, work)
        digest, size = sha512_of(file), file.stat().st_size
        file.chmod(0o644)
        fetcher.store.publish(file, fetcher.store.root / "sources" / digest)
    return entry.model_copy(update={"sha512": digest, "size": size})


def _first(fetcher: Fetcher, spec_dir: Path, entry: SourceEntry, work: Path) -> Path:
    """The file of the first provider that answers. Raises SourceError that says why none did."""
    reasons = []
    for provider in entry.providers:
        try:
            return PROVIDERS[type(provider)](fetcher, spec_dir, entry, provider, work)
        except SourceError as exc:
            reasons.append(f"{provider.type}: {exc.message}" + (f"\n{exc.detail}" if exc.detail else ""))
    raise SourceError(
        f"no provider yields {entry.file}",
        where=_where(fetcher, spec_dir),
        detail="\n".join(reasons),
    )


def _where(fetcher: Fetcher, spec_dir: Path) -> str:
    """The sources.yaml in messages; a folder in none of the roots is a copy of one, for a while."""
    roots = fetcher.config.roots
    path = spec_dir / "sources.yaml"
    return roots.where(path) if roots.root_of(path) else f"specs/{spec_dir.name}/{path.name}"


def with_values(document: Document, text: str, changed: Mapping[int, Mapping[str, str]]) -> str:
    """The text of a sources.yaml with other values of these keys of these sources, and nothing else changed."""
    edits: list[tuple[int, int, str]] = []
    (listed,) = (value for key, value in document.node.value if key.value == "sources")  # type: ignore[union-attr]
    for index, values in changed.items():
        source = listed.value[index]
        nodes = {key.value: (key, value) for key, value in source.value}
        key, file = nodes["file"]
        separator = ", " if source.flow_style else "\n" + " " * key.start_mark.column
        new = "".join(f"{separator}{name}: {value}" for name, value in values.items() if name not in nodes)
        edits += [(file.end_mark.index, file.end_mark.index, new)] if new else []
        for name in values.keys() & nodes.keys():
            edits.append((nodes[name][1].start_mark.index, nodes[name][1].end_mark.index, values[name]))
    return with_edits(text, edits)


def with_edits(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """The text with others in the place of these parts: where each begins and ends, and what stands there then."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _deb_src(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: DebSrc, work: Path) -> Path:
    reasons = []
    for mirror in archives_of(provider.path, f.config.user.mirrors):
        try:
            download(f"{mirror}/{provider.path}", work / "file", limit=entry.size)
            return work / "file"
        except SourceError as exc:
            reasons.append(exc.message)
    raise SourceError("; ".join(reasons))


def _snapshot(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: Snapshot, work: Path) -> Path:
    service = snapshot_service(f.config.user.mirrors)
    if service is None:
        raise SourceError("no snapshot service is set: mirrors: {snapshot: URL} in the user configuration")
    download(f"{service}/file/{provider.sha1}", work / "file", limit=entry.size)
    return work / "file"


def _pypi(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: PyPI, work: Path) -> Path:
    download(file_url(f.config.user.mirrors, provider.project, provider.file), work / "file", limit=entry.size)
    return work / "file"


def _url(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: Url, work: Path) -> Path:
    download(provider.url, work / "file", limit=entry.size)
    return work / "file"


def _go_module(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: GoModule, work: Path) -> Path:
    packed = dict(_module(f.config.roots, spec_dir, provider).members())
    if "go.mod" not in packed:
        raise SourceError(f"no go.mod in {provider.tar or provider.module}")
    for name, path in packed.items():
        if name in GO_MODULE or name.endswith(".go"):
            (work / "module" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, work / "module" / name)
    binds = [
        Bind(source=work, target="/out", readonly=False),
        Bind(source=work / "module", target="/module"),
        Bind(source=GOVENDOR, target="/govendor.py"),
    ]
    prefix = entry.file.removesuffix(".tar")
    argv = ["python3", "-I", "/govendor.py", "/module", prefix, "/out/file"]
    go_sandbox(f, binds).run(argv, error=SourceError)
    return work / "file"


def go_sandbox(f: Fetcher, binds: Sequence[Bind]) -> Sandbox:
    """The build seed with a network, in which Go fetches modules from where the host's own Go would."""
    return Sandbox(
        layers=f.roots(),
        scratch=f.store.scratch,
        binds=[*binds, *certificate_binds()],
        network=True,
        env={**go_environment(f.config.user.mirrors), "GOTOOLCHAIN": "local", "HOME": "/tmp"},
    )


def _cargo(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: Cargo, work: Path) -> Path:
    (work / "crate").mkdir()
    for name in CRATE:
        path, root = f.config.roots.beside(spec_dir, f"{provider.crate}/{name}")
        source = LocalSource(name=name, path=path, root=root)
        source.write(work / "crate" / name)
    (work / "out").mkdir()
    binds = [
        Bind(source=work / "out", target="/out", readonly=False),
        Bind(source=work / "crate", target="/crate"),
        Bind(source=CARGOVENDOR, target="/cargovendor.py"),
    ]
    # By standard input: the host's configuration may hold a registry's token.
    configuration = cargo_configuration(f.config.user.mirrors).encode()
    argv = ["python3", "-I", "/cargovendor.py", "/crate", "/out/tree"]
    cargo_sandbox(f, binds).run(argv, input=configuration, error=SourceError)
    try:
        members = list(pack.tree(work / "out" / "tree"))
    except pack.PackError as error:
        raise SourceError(str(error)) from None
    pack.write_tar(members, entry.file.removesuffix(".tar"), work / "file")
    return work / "file"


def cargo_sandbox(f: Fetcher, binds: Sequence[Bind]) -> Sandbox:
    """The build seed with Rust and a network, in which cargo finds what the host's environment says of registries."""
    return Sandbox(
        layers=f.roots("cargo"),
        scratch=f.store.scratch,
        binds=[*binds, *certificate_binds()],
        network=True,
        env={**cargo_environment(), "CARGO_HTTP_CAINFO": CERTIFICATES, "HOME": "/tmp"},
    )


def _module(roots: Roots, spec_dir: Path, provider: GoModule) -> LocalSource:
    if provider.tar is not None:
        return local_tar(spec_dir, load_sources(spec_dir, roots=roots), provider.tar, roots)
    path, root = roots.beside(spec_dir, provider.module)
    return LocalSource(name=provider.module, path=path, root=root)


def _local(f: Fetcher, spec_dir: Path, entry: SourceEntry, provider: Local, work: Path) -> Path:
    source, _ = f.config.roots.beside(spec_dir, provider.path)
    if not source.is_file():
        raise SourceError(f"no such file: {provider.path}")
    shutil.copyfile(source, work / "file")
    return work / "file"


PROVIDERS: dict[type, Callable[..., Path]] = {
    DebSrc: _deb_src,
    Snapshot: _snapshot,
    PyPI: _pypi,
    Url: _url,
    GoModule: _go_module,
    Cargo: _cargo,
    Local: _local,
}

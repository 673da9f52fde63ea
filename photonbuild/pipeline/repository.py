"""The repository for the world: from packages of the store to a signed tree under stage/, and from there to clients."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import ConfigError
from photonbuild.files import locked
from photonbuild.packages.built import Built
from photonbuild.pipeline.build import build_packages, repository
from photonbuild.pipeline.session import Session
from photonbuild.publication.advisories import read_advisories, updateinfo
from photonbuild.publication.diff import Difference, advisory_ids, difference
from photonbuild.publication.gc import Collected, Retention, collect
from photonbuild.publication.keyring import Keyring, default_folder
from photonbuild.publication.layout import KINDS, Layout
from photonbuild.publication.older import Older, older_packages
from photonbuild.publication.openpgp import Key, OpenPGP
from photonbuild.publication.publish import Published, publish
from photonbuild.publication.repository import need_repository
from photonbuild.publication.tree import Tree, make_tree, read_tree
from photonbuild.publication.verify import Verified, verify
from photonbuild.storage.address import open_reader, open_storage

TREE = "publication"
NEWEST = Retention(keep=3, age=None)  # versions of a package that stay listed, unless it is said


@dataclass(frozen=True, kw_only=True)
class Place:
    """A publication, or a snapshot of it."""

    target: str
    snapshot: str | None = None


def keyring(session: Session) -> Keyring:
    tools = OpenPGP(seed=session.frozen("signing").root, scratch=session.store.scratch)
    return Keyring(folder=default_folder(), tools=tools)


def signing_key(session: Session, name: str | None, passphrase_file: Path | None = None) -> Key:
    """The key of this name, else that of the user's configuration, else the development key."""
    settings, ring = session.config.user.publication, keyring(session)
    chosen = name or settings.key
    if chosen is None:
        session.reporter.warn("signed by the development key, which nobody is to trust; --key names another")
        return ring.development()
    secret = passphrase_file or (Path(settings.passphrase_file) if settings.passphrase_file else None)
    return ring.load(chosen, passphrase_file=secret)


def checking_key(session: Session, name: str | None) -> Key:
    """The public key of this name, else that of the user's configuration, else the development key."""
    chosen, ring = name or session.config.user.publication.key, keyring(session)
    return ring.public(chosen) if chosen is not None else ring.development()


def build_repository(session: Session, names: Iterable[str]) -> tuple[dict[str, Built], Path]:
    """Build these specs and all they need; returns what was built, and the unsigned stage/repo of it."""
    names = session.graph.closure(names)
    done = build_packages(session, names, whole=names)
    with repository(session, done) as folder:
        return done, folder


def sign_repository(
    session: Session,
    done: dict[str, Built],
    key: Key,
    *,
    revision: int | None = None,
    over: str | None = None,
    retention: Retention = NEWEST,
) -> Tree:
    """The signed publication of these builds, under stage/publication.

    It lists, too, the older packages of the publication at `over` that `retention` keeps.
    """
    config = session.config
    packages = {name: built.packages for name, built in done.items()}
    advisories = updateinfo(read_advisories(config.roots, packages), packages, config.distribution)
    rpms = [
        path for built in done.values() for part in ("rpms", "srpms") for path in (built.folder / part).glob("*.rpm")
    ]
    layout, tools, tree = Layout.of(config.distribution), keyring(session).tools, config.stage_dir / TREE
    with (
        locked(config.stage_dir / f".{TREE}.lock"),
        session.store.staging() as work,
        session.reporter.phase("sign"),
    ):
        older: Mapping[str, Sequence[Older]] = {}
        if over is not None:
            older = older_packages(
                open_reader(over, config.user.publication.targets),
                layout,
                rpms,
                key=key,
                tools=tools,
                retention=retention,
                tree=tree,
                work=work,
                now=int(time.time()),
            )
        return make_tree(
            tree,
            sorted(rpms),
            layout=layout,
            store=session.store,
            tools=tools,
            key=key,
            epoch=config.distribution.source_date_epoch,
            advisories=advisories,
            older=older,
            revision=revision,
        )


def sign_checksums(session: Session, key: Key) -> list[Path]:
    """Sign the checksum file of each image in stage/images, by a FILE.asc beside it."""
    folder = session.config.stage_dir / "images"
    tools = keyring(session).tools
    found = sorted(folder.glob("*.sha256"))
    with locked(session.config.stage_dir / ".images.lock"):
        for path in found:
            with session.store.staging() as work:
                data = tools.signature(
                    key, path, work, time=max(key.created, session.config.distribution.source_date_epoch)
                )
            temporary = path.with_name(f".{path.name}.asc.new")
            temporary.write_bytes(data)
            temporary.replace(path.with_name(f"{path.name}.asc"))
    return [path.with_name(f"{path.name}.asc") for path in found]


def publish_tree(session: Session, target: str, *, snapshot: str | None, development: bool) -> Published:
    """Publish stage/publication; one that the development key has signed only if asked for. Raises ConfigError."""
    config = session.config
    with ExitStack() as stack:
        stack.enter_context(locked(config.stage_dir / f".{TREE}.lock"))
        tree = read_tree(config.stage_dir / TREE, Layout.of(config.distribution))
        if tree.development and not development:
            hint = "photonbuild key new, then photonbuild repo sign --key NAME; or publish it with --development"
            raise ConfigError(
                "it is signed by the development key, which nobody is to trust", where=str(tree.folder), hint=hint
            )
        stack.enter_context(session.reporter.phase("publish"))
        return publish(tree, open_storage(target, config.user.publication.targets), snapshot=snapshot)


def verify_publication(
    session: Session, target: str, key: Key, *, snapshot: str | None, kinds: Sequence[str] = KINDS
) -> Verified:
    """Re-read the publication at an address, or stage/publication's."""
    layout = Layout.of(session.config.distribution)
    source = open_reader(target, session.config.user.publication.targets)
    folders = [layout.repository(kind, snapshot) for kind in kinds]
    return verify(source, folders, key=key, tools=keyring(session).tools)


def compare_publications(session: Session, old: Place, new: Place) -> dict[str, Difference]:
    """What changes from one to the other, by kind of repository. Raises VerifyError, StoreError."""
    layout, named = Layout.of(session.config.distribution), session.config.user.publication.targets
    found = {}
    for kind in KINDS:
        repositories, advisories = [], []
        for place in (old, new):
            source = open_reader(place.target, named)
            repository = need_repository(source, layout.repository(kind, place.snapshot))
            repositories.append(repository)
            advisories.append(advisory_ids(source, repository))
        found[kind] = difference(repositories[0], repositories[1], (advisories[0], advisories[1]))
    return found


def collect_garbage(session: Session, target: str, retention: Retention, *, dry_run: bool) -> Collected:
    """Remove from a publication what `retention` does not keep. Raises StoreError, VerifyError."""
    storage = open_storage(target, session.config.user.publication.targets)
    layout = Layout.of(session.config.distribution)
    with session.reporter.phase("gc"):
        return collect(storage, layout, retention, now=int(time.time()), dry_run=dry_run)

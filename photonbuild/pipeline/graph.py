"""The requirements of a tree of specs, this checkout's or a foreign one: read, asked, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.documents import nearest
from photonbuild.errors import ConfigError, PhotonbuildError, SpecError
from photonbuild.packages.declared import DeclaredTree, declared, read_tree
from photonbuild.packages.drawing import tallied
from photonbuild.packages.requirements import Requirements, requirements
from photonbuild.pipeline.session import Session, first_lines
from photonbuild.store import Store

LAYOUT = "dot"
LAYOUT_SECONDS = 120.0
LAYOUT_MEMORY = 2 << 30


@dataclass(frozen=True, kw_only=True)
class Forest:
    """A tree of specs that was read, and its requirements. `own`: it is this checkout's."""

    tree: DeclaredTree
    graph: Requirements
    own: bool

    def named(self, name: str) -> str:
        """The spec of this name or path, or else the package. Raises ConfigError, SpecError."""
        if name in self.graph.specs or name in self.graph.maker:
            return name
        if (found := self.graph.named(name)) is not None:
            return found
        for path, text in self.tree.refused.items():
            if name in (path, Path(path).stem):
                raise SpecError("rpm cannot parse this spec", where=path, detail=text)
        for spec in self.tree.specs:
            if name in (spec.name, spec.path) and not spec.wanted:
                raise ConfigError(f"the spec '{name}' leaves itself out", where=spec.path, hint="see its build_if")
        several = sorted(spec.path for spec in self.tree.specs if spec.name == name and spec.path in self.graph.specs)
        if several:
            raise ConfigError(f"several specs are called '{name}'", hint=f"say which: {', '.join(several)}")
        known = {*self.graph.specs, *self.graph.maker}
        raise ConfigError(f"no spec or package '{name}'{nearest(name, known)}")

    def spec(self, name: str) -> str:
        """The spec of this name, or the one that makes the package of this name. Raises ConfigError, SpecError."""
        found = self.named(name)
        return found if found in self.graph.specs else self.graph.maker[found]


def read(session: Session, tree: Path | None, macros: Sequence[Path]) -> Forest:
    """The requirements of a foreign tree of specs with its macros, or of this checkout's."""
    if tree is None:
        if macros:
            raise ConfigError("--macros goes with --specs", hint="the macros of this checkout are in build/macros")
        return own(session)
    seed = session.seed
    with session.reporter.phase("specs"):
        found = read_tree(
            tree,
            macros,
            store=session.store,
            seed=seed.root,
            seed_digest=seed.digest,
            epoch=session.config.distribution.source_date_epoch,
        )
    with session.reporter.phase("graph"):
        graph = requirements(found.specs)
    return Forest(tree=found, graph=graph, own=False)


def own(session: Session) -> Forest:
    """The requirements of the specs of this checkout, as far as they can be read."""
    tree = declared(session.specs.values())
    refused = {name: _words(error) for name, error in session.graph.problems.items() if name not in session.specs}
    seeds = session.config.seeds
    graph = requirements(
        tree.specs,
        is_owned=seeds.is_owned,
        in_seed=lambda name: name in session.seed_capabilities or (name.startswith("/") and session.seed.holds(name)),
    )
    return Forest(tree=DeclaredTree(specs=tree.specs, refused=refused, fresh=frozenset()), graph=graph, own=True)


def _words(error: PhotonbuildError) -> str:
    return "\n".join(part for part in (str(error), error.detail) if part)


def tell(session: Session, forest: Forest) -> None:
    """What is to be said of the tree besides its graph: what rpm refuses, in its words, and how much there is."""
    if not forest.own:
        for path, text in sorted(forest.tree.refused.items()):
            session.reporter.warn(f"{path}: rpm cannot parse this spec: {first_lines(text)}")
        loud = [spec for spec in forest.tree.specs if spec.printed]
        for spec in loud:
            session.reporter.detail(f"{spec.path}: it printed while it was parsed: {first_lines(spec.printed)}")
        if loud and forest.tree.fresh:
            session.reporter.info(f"{len(loud)} specs printed something while they were parsed (-v shows it)")
    counts: Mapping[str, int] = tallied(forest.graph, forest.tree)
    session.reporter.info(", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "specs"))


def named_by(session: Session, forest: Forest, name: str) -> dict[str, list[str]]:
    """The profiles and images of this checkout that name the package, or a package of the spec, themselves."""
    wanted = set(forest.graph.made_by(name)) if name in forest.graph.specs else {name}
    config = session.config
    return {
        "profiles": sorted(key for key, profile in config.profiles.items() if wanted & set(profile.packages)),
        "images": sorted(key for key, image in config.images.items() if wanted & set(image.packages)),
    }


def layout(store: Store, dot: str) -> str:
    """A picture in SVG of a graph in the DOT language, by graphviz's dot(1) of this machine.

    It runs in the sandbox with bounds of its own: what it draws was written by others. Raises SpecError.
    """
    if not Path("/usr/bin", LAYOUT).exists():
        raise SpecError(
            f"a picture needs graphviz, and there is no /usr/bin/{LAYOUT} here",
            hint="install graphviz, or take --form dot and lay it out elsewhere",
        )
    host = store.host_sandbox()
    try:
        done = host.run(
            [LAYOUT, "-Tsvg"], input=dot.encode(), timeout=LAYOUT_SECONDS, memory=LAYOUT_MEMORY, error=SpecError
        )
    except SpecError as error:
        hint = "draw less: name some specs, with --depth 1, or only --kind build"
        raise SpecError(
            f"graphviz did not lay out this graph: {error.message}", detail=error.detail, hint=hint
        ) from None
    return done.stdout

"""Why a package, an image or a seed will be made again: the inputs that differ from the entry most like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from photonbuild.config.checks import unknown
from photonbuild.documents import nearest
from photonbuild.errors import ConfigError
from photonbuild.files import read_sealed
from photonbuild.images.make import image_inputs
from photonbuild.keys import key_of
from photonbuild.pipeline.plan import State, plan, reasons
from photonbuild.pipeline.publish import RECORD
from photonbuild.pipeline.recipe import image_specs, image_with, solve_recipe
from photonbuild.pipeline.session import Session
from photonbuild.seeds.seed import is_ready, seed_entries, seed_inputs


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`kind`: package, image or seed. `state`: as of a plan's step. `reasons`: a line each, or the key."""

    kind: str
    name: str
    state: State
    reasons: tuple[str, ...]


def why(session: Session, name: str) -> Answer:
    """What would happen to the image, seed or package `name`, and why. Makes nothing but the seed that reads specs.

    ``image:NAME``, ``seed:NAME`` and ``package:NAME`` say which is meant where a name is more than one of them. Raises
    ConfigError for a name that is none.
    """
    kind, _, plain = name.rpartition(":")
    if not kind:
        seeds = session.config.seed_names
        kind = "image" if plain in session.config.images else "seed" if plain in seeds else "package"
    if kind not in KINDS:
        raise ConfigError(f"unknown kind '{kind}'{nearest(kind, KINDS)}", hint=f"known: {', '.join(KINDS)}")
    return KINDS[kind](session, plain)


def of_package(session: Session, name: str) -> Answer:
    """The package's own reasons; those of what it needs are in ``photonbuild plan``."""
    spec = session.spec(name).name
    step = next(step for step in plan(session, [spec]) if step.spec == spec)
    return Answer(kind="package", name=spec, state=step.state, reasons=step.why)


def of_seed(session: Session, name: str) -> Answer:
    if name not in session.config.seed_names:
        raise unknown("seed", name, session.config.seed_names)
    inputs = seed_inputs(session.config, name)
    if is_ready(session.config, session.store, name):
        return Answer(kind="seed", name=name, state="cached", reasons=(key_of(inputs)[:12],))
    if (found := session.caches.find("seed", name, key_of(inputs))) is not None:
        where = f"in the cache {found.cache}" if found.cache else "from a cache"
        return Answer(kind="seed", name=name, state="cached", reasons=(key_of(inputs)[:12], where))
    return Answer(kind="seed", name=name, state="will", reasons=reasons(seed_entries(session.store, name), inputs))


def of_image(session: Session, name: str) -> Answer:
    """The image's own inputs where all its packages are built; else the packages that are to be built first."""
    image = image_with(session, name, None)
    steps = plan(session, image_specs(session, name, image))
    todo = [step for step in steps if step.built is None]
    if todo:
        lines = [f"package {step.spec}: {step.summary}" for step in todo if step.state in ("will", "error")]
        if may := sum(step.state == "may" for step in todo):
            lines.append(f"{may} more that {'needs' if may == 1 else 'need'} these")
        return Answer(kind="image", name=name, state="may", reasons=tuple(lines))
    done = {step.spec: step.built for step in steps if step.built}
    inputs = image_inputs(solve_recipe(session, name, image, (), done))
    entry = session.store.image(name, key_of(inputs))
    if read_sealed(entry / RECORD) is not None:
        return Answer(kind="image", name=name, state="cached", reasons=(entry.name[:12],))
    if (found := session.caches.find("image", name, entry.name)) is not None:
        where = f"in the cache {found.cache}" if found.cache else "from a cache"
        return Answer(kind="image", name=name, state="cached", reasons=(entry.name[:12], where))
    return Answer(kind="image", name=name, state="will", reasons=reasons(entry.parent.glob("*"), inputs))


KINDS: Mapping[str, Callable[[Session, str], Answer]] = {"image": of_image, "seed": of_seed, "package": of_package}

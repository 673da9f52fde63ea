"""The recipe of an image: its packages built, its install sets solved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from photonbuild.config import repositories
from photonbuild.config.load import Config
from photonbuild.config.models import BootImage, Image, Profile
from photonbuild.images.customise.clouddata import check_cloud_data
from photonbuild.images.customise.collect import customise
from photonbuild.images.formats import FORMATS
from photonbuild.images.installset import Role
from photonbuild.images.recipe import Recipe
from photonbuild.images.rootfs import RootfsFile, UnitSetting
from photonbuild.packages.buildroot import with_requirements
from photonbuild.packages.built import Built, builds_of, tree_of
from photonbuild.packages.graph import wanted_specs
from photonbuild.pipeline.build import build_packages, profile_specs, repository
from photonbuild.pipeline.fromcaches import bring
from photonbuild.pipeline.installsets import filesystem_needs, set_requests, solve_sets
from photonbuild.pipeline.session import Session


def make_recipe(session: Session, name: str, authorized_keys: Sequence[str], profile: str | None) -> Recipe:
    """Build the packages and solve for the install sets. `profile` replaces the image's own."""
    image = image_with(session, name, profile)
    customise(session.config, name, image)  # its mistakes are found before anything is built
    return solve_recipe(
        session, name, image, authorized_keys, build_packages(session, image_specs(session, name, image))
    )


def image_with(session: Session, name: str, profile: str | None) -> Image:
    """The settings of an image, with another profile in place of its own if one is given."""
    image = session.config.image(name)
    return image if profile is None else image.model_copy(update={"profile": session.config.profile(profile).name})


def solve_recipe(
    session: Session, name: str, image: Image, authorized_keys: Sequence[str], done: Mapping[str, Built]
) -> Recipe:
    """The recipe from the builds `done` of all that `image_specs` names. Raises SolveError, ConfigError."""
    config = session.config
    packages = {package.nevra: package for built in done.values() for package in built.packages}
    with repository(session, done) as place, session.reporter.phase("solve"):
        sets = solve_sets(place, packages, set_requests(config, image), arch=config.distribution.arch)
    if image.cloud_init is not None:
        bring(session, builds_of(done, sets[Role.ROOT].packages))
    check_cloud_data(config, name, image, (tree_of(package) for package in sets[Role.ROOT].packages))
    own = image.authorized_keys if isinstance(image, BootImage) else ()
    found = FORMATS[image.format]
    loader = done[session.spec(image.loader).name] if isinstance(image, BootImage) else None
    programs = [
        package
        for tool in filesystem_needs(config, image).tools
        for package in with_requirements(session.builder, [tool], done, session.spec(tool)).values()
    ]
    used = [*(package for chosen in sets.values() for package in chosen.packages), *programs]
    return Recipe(
        name=name,
        image=image,
        distribution=config.distribution,
        sets=sets,
        authorized_keys=tuple(dict.fromkeys([*own, *config.user.authorized_keys, *authorized_keys])),
        files=[
            *repository_files(config, name, image),
            *(RootfsFile(path=file.path, text=text, mode=int(file.mode, 8)) for file, text in config.image_files(name)),
        ],
        units=[
            UnitSetting(unit=unit, state=state, where=config.image_where(name, "services", unit))
            for unit, state in sorted(image.services.items())
        ],
        loader=loader,
        programs=programs,
        builds=[*builds_of(done, used), *filter(None, [loader])],
        seeds={
            "build": session.seed,
            "image": session.image_seed,
            **({"machine": session.machine_seed} if found.machine_seed else {}),
        },
        macros=session.builder.environment.macros,
        roots=config.roots,
        customised=customise(config, name, image),
    )


def repository_files(config: Config, name: str, image: Image) -> list[RootfsFile]:
    """What tells tdnf of the repositories of the image and, in one that boots, of the user."""
    files = repositories.repository_files(
        image.repositories,
        lambda key: config.roots.find(f"build/{key}"),
        where=config.image_where(name, "repositories"),
    )
    if isinstance(image, BootImage):
        known = {path for path, _ in files}
        own = repositories.repository_files(config.user.repositories, config.root.joinpath, where="your configuration")
        files += [(path, text) for path, text in own if path not in known]
    return [RootfsFile(path=path, text=text) for path, text in files]


def image_specs(session: Session, name: str, image: Image) -> set[str]:
    """Names of all specs that the image needs: its own packages, those of its sets, its maker's tools, the loader."""
    config = session.config
    found: set[str] = set()
    for index, package in enumerate(image.packages):
        where = config.image_where(name, "packages", index)
        found |= wanted_specs(session.graph, [package], where=where)
    profiles: Iterable[Profile] = (asked.profile for asked in set_requests(config, image).values())
    for profile in profiles:
        found |= profile_specs(session, profile)
    found |= {session.spec(package).name for package in filesystem_needs(config, image).tools}
    if isinstance(image, BootImage):
        found.add(session.spec(image.loader).name)
    return found

"""An image and everything before it: packages, repository, install set, root file system, files under stage/."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import images, installsets, signing, solve
from .config import BootImage, DiskImage, FileSystemNeeds, Image, IsoImage
from .errors import ConfigError, StoreError
from .installer import SHIPPED
from .pipeline import build_packages, profile_specs, repository
from .rootfs import RootfsSettings, build_rootfs
from .rpmbuild import Built, Package, with_requirements
from .session import Session
from .sources import sha256_of
from .stage import read_result, stage_image
from .store import write_json

IMAGE_CODE = (
    "images", "inside/layer.py", "inside/rootfs.py", "inside/sysusers.py", "inside/xfs.py", "rootfs.py", "initramfs.py",
    "repo.py", "rpmconfig", *SHIPPED,
)  # fmt: skip
IMAGE_DATA = ("dracut", "installer", "ovf")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an image is made of: settings, the install sets of its root and of its initramfs, the boot loader.

    `programs`: packages whose programs make it, beside those of the build seed. `checksums`: SHA-256 of each package's
    file as it was built.
    `installer` has the sets of a live image's installer, by its settings' names of their profiles.
    """

    name: str
    image: Image
    install: Sequence[solve.Package]
    tools: Sequence[solve.Package]
    keys: Sequence[str]
    loader: Built | None
    programs: Sequence[Package]
    checksums: Mapping[str, str]
    installer: Mapping[str, Sequence[solve.Package]]


def make_image(
    session: Session,
    name: str,
    authorized_keys: Sequence[str],
    *,
    profile: str | None = None,
    sign: bool = False,
    fresh: Path | None = None,
) -> tuple[images.ImageResult, int]:
    """An image and everything before it; returns the published files and the number of packages in it.

    `profile` replaces the image's own. With `sign` it must be an appliance, and the user's configuration must have a
    key. With `fresh`, a folder on the store's file system, the image is made anew from the same packages and put there
    only, not signed.
    """
    signer = _signer(session, name) if sign else None
    recipe = make_recipe(session, name, authorized_keys, profile)
    if fresh is not None:
        _make_image(session, recipe, fresh / "image")
        return read_result(fresh / "image"), len(recipe.install)
    key = image_key(session, recipe)
    cached = session.store.root / "images" / key
    with session.store.lock(f"image-{key[:32]}"):
        if not (cached / "result.json").exists():
            _make_image(session, recipe, cached)
    if signer is None:
        return stage_image(session.config.stage_dir, cached), len(recipe.install)
    with session.store.staging() as work:
        signing.sign_image(cached, work / "signed", signer)
        return stage_image(session.config.stage_dir, work / "signed"), len(recipe.install)


def _signer(session: Session, name: str) -> signing.Signer:
    """The user's key, found usable before anything is built. Raises ConfigError."""
    if session.config.image(name).format != "ova":
        raise ConfigError("only an appliance (format: ova) can be signed", where=f"build/images/{name}.yaml")
    if session.config.user.signing is None:
        raise ConfigError(
            "there is no key to sign with", hint="--sign-key and --sign-certificate, or 'signing' in your configuration"
        )
    with session.store.staging() as work:
        seed, scratch = session.seed.root, session.store.scratch
        return signing.signer(session.config.user.signing, seed=seed, scratch=scratch, work=work)


def make_recipe(session: Session, name: str, authorized_keys: Sequence[str], profile: str | None) -> Recipe:
    """Build the packages and solve for the install sets."""
    config = session.config
    image = config.image(name)
    if profile is not None:
        image = image.model_copy(update={"profile": config.profile(profile).name})
    names = [image.profile, *([image.initramfs_profile] if isinstance(image, IsoImage) else [])]
    profiles = [config.profile(each) for each in names]
    more = installsets.profiles(config, image)
    wanted = {spec for each in (*profiles, *more.values()) for spec in profile_specs(session, each)}
    loader = session.spec(image.loader).name if isinstance(image, BootImage) else None
    needs = config.filesystems[image.disk.filesystem] if isinstance(image, DiskImage) else FileSystemNeeds()
    wanted |= {session.spec(package).name for package in (*needs.tools, *needs.packages)}
    profiles[0] = profiles[0].model_copy(update={"packages": (*profiles[0].packages, *needs.packages)})
    done = build_packages(session, wanted | ({loader} if loader else set()))
    place = repository(session, done)
    with session.reporter.phase("solve"):
        install, *tools = (
            solve.solve(place, each.packages, arch=config.distribution.arch, where=each.name) for each in profiles
        )
        installer = {role: installsets.added(config, place, profiles[0], install, each) for role, each in more.items()}
    own = image.authorized_keys if isinstance(image, BootImage) else ()
    return Recipe(
        name=name,
        image=image,
        install=install,
        tools=tools[0] if tools else (),
        keys=tuple(dict.fromkeys([*own, *config.user.authorized_keys, *authorized_keys])),
        loader=done[loader] if loader else None,
        programs=[
            package
            for name in needs.tools
            for package in with_requirements(session.builder, [name], done.values(), session.spec(name)).values()
        ],
        checksums={package.path.name: package.sha256 for built in done.values() for package in built.packages},
        installer=installer,
    )


def image_identity(session: Session, recipe: Recipe) -> str:
    """Digest of what an image holds: packages and settings. Its serial numbers and UUIDs are named after it."""
    total = hashlib.sha256(session.config.distribution.model_dump_json().encode())
    every = (recipe.install, recipe.tools, *(recipe.installer[role] for role in sorted(recipe.installer)))
    sets = [[choice.sha256 for choice in choices] for choices in every]
    total.update(json.dumps([recipe.image.model_dump(mode="json"), *sets, list(recipe.keys)]).encode())
    return total.hexdigest()


def image_key(session: Session, recipe: Recipe) -> str:
    """Digest of all that an image is made of: what it holds, the data files and tools, and the code that makes it."""
    loader = recipe.loader.key if recipe.loader else ""
    programs = "".join(package.sha256 for package in recipe.programs)
    total = hashlib.sha256(f"{session.seed.digest}{image_identity(session, recipe)}{loader}{programs}".encode())
    code = Path(__file__).parent
    for base in [
        *(code / part for part in IMAGE_CODE),
        *(session.config.build_dir / part for part in IMAGE_DATA),
    ]:
        for path in [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.suffix != ".pyc"):
            if path.is_file():
                total.update(f"{path.relative_to(base)}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def check_packages(recipe: Recipe) -> None:
    """Raises StoreError when the file of a package to install is not the one that was built."""
    for choice in (*recipe.install, *recipe.tools):
        if sha256_of(choice.path) != recipe.checksums[choice.path.name]:
            raise StoreError(
                f"package {choice.nevra} is damaged: wrong checksum",
                where=str(choice.path),
                hint="remove this file and the package's folder under packages/ in the store, then run this again",
            )


def _make_image(session: Session, recipe: Recipe, final: Path) -> None:
    check_packages(recipe)
    config, image = session.config, recipe.image
    identity = image_identity(session, recipe)
    title = f"{config.distribution.name} {config.distribution.version}"
    extra = config.profile(image.initramfs_profile) if isinstance(image, IsoImage) else None
    log = session.store.root / "logs" / f"image-{recipe.name}.log"
    log.write_text("", encoding="utf-8")
    settings = RootfsSettings(
        source_date_epoch=config.distribution.source_date_epoch,
        hostname=config.distribution.id,
        authorized_keys=recipe.keys,
        exclude_docs=image.exclude_docs,
        exclude_paths=image.exclude_paths,
        unit_presets=isinstance(image, BootImage),
        files=images.ROOT_FILES[image.format](image, identity, title),
    )
    macros = [bind.source for bind in session.builder.macros]
    with session.store.staging() as work:
        for part in ("root", "image", "out", "no-loader"):
            (work / part).mkdir()
        with session.reporter.phase("root file system"):
            rootfs = build_rootfs(
                seed=session.seed.root,
                rpms=[choice.path for choice in recipe.install],
                first=config.profile(image.profile).first,
                settings=settings,
                macros=macros,
                workdir=work / "root",
                log=log,
            )
        loader = recipe.loader.folder / "trees" / recipe.loader.spec if recipe.loader else work / "no-loader"
        with session.reporter.phase(f"{image.format} image"):
            result = images.FORMATS[image.format](
                images.ImageRequest(
                    image=image,
                    distribution=config.distribution,
                    seed=session.seed.root,
                    macros=macros,
                    rootfs=rootfs,
                    extra_rpms=[choice.path for choice in recipe.tools],
                    extra_first=extra.first if extra is not None else (),
                    data=config.build_dir,
                    provenance={"build seed": session.seed.digest},
                    identity=identity,
                    loader=loader,
                    programs=[package.tree for package in recipe.programs],
                    machine_seed=lambda: session.machine_seed.root,
                    installer=installsets.for_image(config, image, recipe.installer),
                    workdir=work / "image",
                    outdir=work / "out",
                    log=log,
                )
            )
        record = {
            "path": result.path.name,
            "checksum": result.checksum.name,
            "manifest": result.manifest.name,
            "sha256": result.sha256,
            "size": result.size,
            "seconds": dict(result.seconds),
            "extras": [path.name for path in result.extras],
        }
        write_json(work / "out" / "result.json", record)
        session.store.publish(work / "out", final)

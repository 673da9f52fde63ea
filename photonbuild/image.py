"""An image and everything before it: packages, repository, install set, root file system, files under stage/."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import images, solve
from .config import BootImage, Image, IsoImage
from .graph import wanted_specs
from .pipeline import build_packages, profile_specs, repository
from .rootfs import RootfsFile, RootfsSettings, UnitSetting, build_rootfs
from .rpmbuild import Built
from .session import Session
from .sources import sha256_of
from .store import read_json, write_json

IMAGE_CODE = ("images", "inside/rootfs.py", "inside/sysusers.py", "rootfs.py", "initramfs.py", "rpmconfig")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an image is made of: settings, the install sets of its root and of its initramfs, the boot loader.

    `files` are those that its configuration asks for, with their text.
    """

    name: str
    image: Image
    install: Sequence[solve.Package]
    tools: Sequence[solve.Package]
    keys: Sequence[str]
    files: Sequence[RootfsFile]
    loader: Built | None


def make_image(
    session: Session,
    name: str,
    authorized_keys: Sequence[str],
    *,
    profile: str | None = None,
    fresh: Path | None = None,
) -> tuple[images.ImageResult, int]:
    """An image and everything before it; returns the published files and the number of packages in it.

    `profile` replaces the image's own. With `fresh`, a folder on the store's file system, the image is made anew from
    the same packages and put there only.
    """
    recipe = make_recipe(session, name, authorized_keys, profile)
    if fresh is not None:
        _make_image(session, recipe, fresh / "image")
        return _result(fresh / "image"), len(recipe.install)
    key = image_key(session, recipe)
    cached = session.store.root / "images" / key
    with session.store.lock(f"image-{key[:32]}"):
        if not (cached / "result.json").exists():
            _make_image(session, recipe, cached)
    return _stage_image(session, cached), len(recipe.install)


def make_recipe(session: Session, name: str, authorized_keys: Sequence[str], profile: str | None) -> Recipe:
    """Build the packages and solve for the install sets."""
    config = session.config
    image = config.image(name)
    if profile is not None:
        image = image.model_copy(update={"profile": config.profile(profile).name})
    names = [image.profile, *([image.initramfs_profile] if isinstance(image, IsoImage) else [])]
    profiles = [config.profile(each) for each in names]
    wanted = {spec for each in profiles for spec in profile_specs(session, each)}
    for index, package in enumerate(image.packages):
        where = config.image_where(name, "packages", index)
        wanted |= wanted_specs(session.specs, session.graph, [package], where=where)
    profiles[0] = profiles[0].model_copy(update={"packages": (*profiles[0].packages, *image.packages)})
    files = [RootfsFile(path=file.path, text=text, mode=int(file.mode, 8)) for file, text in config.image_files(name)]
    loader = session.spec(image.loader).name if isinstance(image, BootImage) else None
    done = build_packages(session, wanted | ({loader} if loader else set()))
    place = repository(session, done)
    with session.reporter.phase("solve"):
        install, *tools = (
            solve.solve(place, each.packages, arch=config.distribution.arch, where=each.name) for each in profiles
        )
    own = image.authorized_keys if isinstance(image, BootImage) else ()
    return Recipe(
        name=name,
        image=image,
        install=install,
        tools=tools[0] if tools else (),
        keys=tuple(dict.fromkeys([*own, *config.user.authorized_keys, *authorized_keys])),
        files=files,
        loader=done[loader] if loader else None,
    )


def image_identity(session: Session, recipe: Recipe) -> str:
    """Digest of what an image holds: packages and settings. Its serial numbers and UUIDs are named after it."""
    total = hashlib.sha256(session.config.distribution.model_dump_json().encode())
    sets = [[choice.sha256 for choice in choices] for choices in (recipe.install, recipe.tools)]
    files = [[file.path, file.mode, file.text] for file in recipe.files]
    total.update(json.dumps([recipe.image.model_dump(mode="json"), *sets, list(recipe.keys), files]).encode())
    return total.hexdigest()


def image_key(session: Session, recipe: Recipe) -> str:
    """Digest of all that an image is made of: what it holds, the data files and tools, and the code that makes it."""
    loader = recipe.loader.key if recipe.loader else ""
    total = hashlib.sha256(f"{session.seed.digest}{image_identity(session, recipe)}{loader}".encode())
    code = Path(__file__).parent
    for base in [
        *(code / part for part in IMAGE_CODE),
        *(session.config.build_dir / part for part in ("dracut", "ovf")),
    ]:
        for path in [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.suffix != ".pyc"):
            if path.is_file():
                total.update(f"{path.relative_to(base)}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def _make_image(session: Session, recipe: Recipe, final: Path) -> None:
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
        files=[*images.ROOT_FILES[image.format](image, identity, title), *recipe.files],
        units=[
            UnitSetting(unit=unit, state=state, where=config.image_where(recipe.name, "services", unit))
            for unit, state in sorted(image.services.items())
        ],
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
                    machine_seed=lambda: session.machine_seed.root,
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


def _stage_image(session: Session, cached: Path) -> images.ImageResult:
    """Put the store's copy of an image under stage/images, each file by rename."""
    record = read_json(cached / "result.json")
    outdir = session.config.stage_dir / "images"
    outdir.mkdir(parents=True, exist_ok=True)
    for name in (record["path"], record["checksum"], record["manifest"], *record["extras"]):
        source, target = cached / name, outdir / name
        with contextlib.suppress(OSError):
            if target.samefile(source):
                continue
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    return _result(cached, outdir)


def _result(cached: Path, outdir: Path | None = None) -> images.ImageResult:
    """What was made in `cached`, with the paths under which it lies there or in `outdir`."""
    record, folder = read_json(cached / "result.json"), outdir or cached
    return images.ImageResult(
        path=folder / record["path"],
        checksum=folder / record["checksum"],
        manifest=folder / record["manifest"],
        sha256=record["sha256"],
        size=record["size"],
        seconds=record["seconds"],
        extras=[folder / name for name in record["extras"]],
    )

"""An image and everything before it: packages, repository, install set, root file system, files under stage/."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from . import images, solve
from .config import Config, Image, IsoImage, Profile
from .pipeline import build_packages, profile_specs, repository
from .rootfs import RootfsSettings, build_rootfs
from .rpmbuild import Built
from .session import Session
from .sources import sha256_of
from .store import read_json, write_json

IMAGE_CODE = ("images", "inside/rootfs.py", "inside/sysusers.py", "rootfs.py", "initramfs.py", "rpmconfig")


def make_image(
    session: Session, name: str, authorized_keys: Sequence[str], *, fresh: Path | None = None
) -> tuple[images.ImageResult, int]:
    """An image and everything before it; returns the published files and the number of packages in it.

    With `fresh`, a folder on the store's file system, the image is made anew from the same packages and put there only.
    """
    config = session.config
    image = config.image(name)
    profile, extra = config.profile(image.profile), initramfs_profile(config, image)
    wanted = profile_specs(session, profile) | {session.spec(image.loader).name}
    if extra is not None:
        wanted |= profile_specs(session, extra)
    done = build_packages(session, wanted)
    place = repository(session, done)
    with session.reporter.phase("solve"):
        install = solve.solve(place, profile.packages, arch=config.distribution.arch, where=profile.name)
        tools = (
            solve.solve(place, extra.packages, arch=config.distribution.arch, where=extra.name)
            if extra is not None
            else []
        )
    keys = tuple(dict.fromkeys([*image.authorized_keys, *config.user.authorized_keys, *authorized_keys]))
    loader = done[session.spec(image.loader).name]
    identity = image_identity(session, name, [p.sha256 for p in install], [p.sha256 for p in tools], keys)
    key = image_key(session, identity, loader)
    rpms, tool_rpms = [p.path for p in install], [p.path for p in tools]
    if fresh is not None:
        _make_image(session, name, rpms, tool_rpms, keys, identity, loader, fresh / "image")
        return _result(fresh / "image"), len(install)
    cached = session.store.root / "images" / key
    with session.store.lock(f"image-{key[:32]}"):
        if not (cached / "result.json").exists():
            _make_image(session, name, rpms, tool_rpms, keys, identity, loader, cached)
    return _stage_image(session, cached), len(install)


def initramfs_profile(config: Config, image: Image) -> Profile | None:
    """The profile in whose root the image's initramfs is made, if the format has one."""
    return config.profile(image.initramfs_profile) if isinstance(image, IsoImage) else None


def image_identity(
    session: Session, name: str, install: Sequence[str], tools: Sequence[str], keys: Sequence[str]
) -> str:
    """Digest of what an image holds: packages and settings. Its serial numbers and UUIDs are named after it."""
    total = hashlib.sha256(session.config.distribution.model_dump_json().encode())
    total.update(json.dumps([session.config.image(name).model_dump(mode="json"), install, tools, list(keys)]).encode())
    return total.hexdigest()


def image_key(session: Session, identity: str, loader: Built) -> str:
    """Digest of all that an image is made of: what it holds, the data files and tools, and the code that makes it."""
    total = hashlib.sha256(f"{session.seed.digest}{identity}{loader.key}".encode())
    code = Path(__file__).parent
    for base in [*(code / part for part in IMAGE_CODE), session.config.build_dir / "dracut"]:
        for path in [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.suffix != ".pyc"):
            if path.is_file():
                total.update(f"{path.relative_to(base)}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def _make_image(
    session: Session,
    name: str,
    install: Sequence[Path],
    tools: Sequence[Path],
    keys: Sequence[str],
    identity: str,
    loader: Built,
    final: Path,
) -> None:
    config = session.config
    image = config.image(name)
    profile, extra = config.profile(image.profile), initramfs_profile(config, image)
    log = session.store.root / "logs" / f"image-{name}.log"
    log.write_text("", encoding="utf-8")
    settings = RootfsSettings(
        source_date_epoch=config.distribution.source_date_epoch,
        hostname=config.distribution.id,
        authorized_keys=keys,
        exclude_docs=image.exclude_docs,
        exclude_paths=image.exclude_paths,
        files=images.ROOT_FILES[image.format](
            image, identity, f"{config.distribution.name} {config.distribution.version}"
        ),
    )
    macros = [bind.source for bind in session.builder.macros]
    with session.store.staging() as work:
        for part in ("root", "image", "out"):
            (work / part).mkdir()
        with session.reporter.phase("root file system"):
            rootfs = build_rootfs(
                seed=session.seed.root,
                rpms=install,
                first=profile.first,
                settings=settings,
                macros=macros,
                workdir=work / "root",
                log=log,
            )
        with session.reporter.phase(f"{image.format} image"):
            result = images.FORMATS[image.format](
                images.ImageRequest(
                    image=image,
                    distribution=config.distribution,
                    seed=session.seed.root,
                    macros=macros,
                    rootfs=rootfs,
                    extra_rpms=tools,
                    extra_first=extra.first if extra is not None else (),
                    data=config.build_dir,
                    provenance={"build seed": session.seed.digest},
                    identity=identity,
                    loader=loader.folder / "trees" / image.loader,
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
